//! What a cage did on the network, as far as its relay saw it: bounded, however much that was.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::address::AddressClass;
use super::allow::HostName;

/// Names kept of those asked for; a program that asks for more is scanning, and these show what for.
const NAMES_MAX: usize = 256;

/// Connections kept, whether they came about or not: more than honest programs make in a run, and about 100 kB.
const CONNECTIONS_MAX: usize = 1024;

/// The record of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkLog {
    /// In the order they were over.
    pub events: Vec<NetworkEvent>,
    /// How many more there were.
    pub dropped: u64,
    /// How often there was a [`Failure::Ours`], dropped events included. If ever, what the program did may be a
    /// consequence.
    pub failures_of_ours: u64,
    /// Bytes to hosts, those of dropped events too.
    pub bytes_sent: u64,
    /// Bytes from hosts, those of dropped events too.
    pub bytes_received: u64,
}

/// One thing the program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// It asked for a name. Each name is told once.
    Queried {
        /// As in [`super::dns::Answer::name`]: escaped there, so printable as it is.
        name: String,
        /// Whether it is on the list.
        allowed: bool,
    },
    /// It had a connection, which is over now.
    Connected {
        /// To which host.
        host: HostName,
        /// And port.
        port: u16,
        /// What that was just then.
        address: SocketAddr,
        /// Bytes taken by the host's side.
        bytes_sent: u64,
        /// Bytes taken by the program's side.
        bytes_received: u64,
        /// How it came to its end.
        ended: ConnectionEnd,
    },
    /// It was denied a connection.
    Refused {
        /// To which host.
        host: HostName,
        /// And port.
        port: u16,
        /// On what ground.
        why: Refusal,
    },
    /// A connection did not come about.
    Failed {
        /// To which host.
        host: HostName,
        /// And port.
        port: u16,
        /// The reason.
        why: Failure,
    },
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// Both sides had said all.
    Closed,
    /// One side broke off.
    Reset,
    /// Nothing moved for too long, so we broke off.
    Idle,
    /// The run was over first.
    RunOver,
}

/// Why a connection was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The program has too many open.
    #[error("{max} connections were open")]
    TooManyConnections {
        /// The most.
        max: usize,
    },
    /// The name stands for something inside the host's own networks.
    #[error("the name resolved to {address}, {class}")]
    Address {
        /// For what.
        address: IpAddr,
        /// What that is.
        class: AddressClass,
    },
}

/// Why a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The host's resolver had no answer.
    #[error("the name could not be resolved: {reason}")]
    Lookup {
        /// The resolver's words.
        reason: String,
    },
    /// The resolver took too long.
    #[error("resolving the name took longer than {seconds} s")]
    LookupTooLong {
        /// The bound.
        seconds: u64,
    },
    /// The host did not take the connection.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// The last address tried.
        address: SocketAddr,
        /// The kernel's words.
        reason: String,
    },
    /// Nobody answered.
    #[error("{address} did not answer within {seconds} s")]
    ConnectTooLong {
        /// The last address tried.
        address: SocketAddr,
        /// The bound.
        seconds: u64,
    },
    /// The machine had no descriptor, memory or thread for it: our failure, and no word on the host.
    #[error("the relay could not {action}: {reason}")]
    Ours {
        /// What for.
        action: &'static str,
        /// The kernel's words.
        reason: String,
    },
    /// The run was over first.
    #[error("the run was over before the host answered")]
    RunOver,
}

/// A log being written.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    log: NetworkLog,
    names: BTreeSet<String>,
    connections: usize,
}

impl Recorder {
    /// Names and connections have bounds of their own, so that a flood of queries cannot hide a connection.
    pub(super) fn record(&mut self, event: NetworkEvent) {
        let fits = match &event {
            NetworkEvent::Queried { name, .. } => {
                if self.names.contains(name) {
                    return;
                }
                let fits = self.names.len() < NAMES_MAX;
                if fits {
                    self.names.insert(name.clone());
                }
                fits
            }
            NetworkEvent::Connected { bytes_sent, bytes_received, .. } => {
                self.log.bytes_sent += bytes_sent;
                self.log.bytes_received += bytes_received;
                self.connection_fits()
            }
            NetworkEvent::Failed { why, .. } => {
                self.log.failures_of_ours += u64::from(matches!(why, Failure::Ours { .. }));
                self.connection_fits()
            }
            NetworkEvent::Refused { .. } => self.connection_fits(),
        };
        if fits {
            self.log.events.push(event);
        } else {
            self.log.dropped += 1;
        }
    }

    fn connection_fits(&mut self) -> bool {
        let fits = self.connections < CONNECTIONS_MAX;
        self.connections += usize::from(fits);
        fits
    }

    pub(super) fn finish(self) -> NetworkLog {
        self.log
    }
}

#[cfg(test)]
mod tests {
    use super::super::allow::AllowList;
    use super::*;

    #[test]
    fn floods_are_counted_and_hide_nothing_of_the_other_kind() {
        let host = AllowList::parse(["a"]).unwrap().entries()[0].host().clone();
        let connected = NetworkEvent::Connected {
            host,
            port: 80,
            address: ([192, 0, 2, 1], 80).into(),
            bytes_sent: 2,
            bytes_received: 3,
            ended: ConnectionEnd::Closed,
        };
        let mut recorder = Recorder::default();
        for index in 0..NAMES_MAX + 10 {
            for _ in 0..2 {
                recorder.record(NetworkEvent::Queried { name: index.to_string(), allowed: false });
            }
        }
        for _ in 0..CONNECTIONS_MAX + 5 {
            recorder.record(connected.clone());
        }
        let log = recorder.finish();
        let names = log.events.iter().filter(|event| matches!(event, NetworkEvent::Queried { .. })).count();
        assert_eq!((names, log.events.len() - names), (NAMES_MAX, CONNECTIONS_MAX));
        // A name that found no place is counted each time it is asked for.
        assert_eq!(log.dropped, 2 * 10 + 5);
        let connections = (CONNECTIONS_MAX + 5) as u64;
        assert_eq!((log.bytes_sent, log.bytes_received), (2 * connections, 3 * connections));
    }
}
