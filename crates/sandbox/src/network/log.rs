//! What a cage did on the network, as far as its relay saw it: bounded, however much that was.

use std::collections::BTreeSet;

use rollcage_types::network::{Failure, NetworkEvent, NetworkLog};

/// Names kept of those asked for; a program that asks for more is scanning, and these show what for.
const NAMES_MAX: usize = 256;

/// Connections kept, whether they came about or not: more than honest programs make in a run, and about 100 kB.
const CONNECTIONS_MAX: usize = 1024;

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
    use rollcage_types::network::AllowList;
    use rollcage_types::network::ConnectionEnd;

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
