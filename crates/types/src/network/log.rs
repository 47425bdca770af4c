//! What a cage did on the network, as data.

use std::net::{IpAddr, SocketAddr};

use super::allow::HostName;

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
        /// Escaped where it was read, so printable as it is.
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

/// What an address is that no name may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressClass {
    /// Not an address of anything.
    #[error("which is no address")]
    Unspecified,
    /// Services that trust whoever is on the machine.
    #[error("a loopback address")]
    Loopback,
    /// Networks behind the host's router, those of providers (RFC 6598) among them.
    #[error("a private address")]
    Private,
    /// Neighbours on the wire; where clouds keep the machine's credentials.
    #[error("a link-local address")]
    LinkLocal,
    /// More than one host.
    #[error("a multicast address")]
    Multicast,
    /// Set aside for purposes that are not a host on the internet: documentation, tests, tunnels, the future.
    #[error("a reserved address")]
    Reserved,
    /// An address of this machine, by which its services can be reached like by a loopback address.
    #[error("an address of this machine")]
    ThisMachine,
}
