//! What a program did on the network, in `rollcage run --json`.

use rollcage_types::NetworkLog;
use rollcage_types::network::{ConnectionEnd, NetworkEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The record of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkReport {
    /// In the order they were over.
    pub events: Vec<NetworkEventReport>,
    /// How many more there were.
    pub dropped: u64,
    /// Bytes to hosts.
    pub bytes_sent: u64,
    /// Bytes from hosts.
    pub bytes_received: u64,
}

/// One thing the program did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkEventReport {
    /// It asked for a name.
    Queried {
        /// In printable ASCII, other bytes as `\DDD`.
        name: String,
        /// Whether it is on the list.
        allowed: bool,
    },
    /// It had a connection.
    Connected {
        /// To which host.
        host: String,
        /// And port.
        port: u16,
        /// Where that was.
        address: String,
        /// Bytes to the host.
        bytes_sent: u64,
        /// Bytes from the host.
        bytes_received: u64,
        /// `closed`, `reset`, `idle` or `run_over`.
        ended: String,
    },
    /// It was denied a connection.
    Refused {
        /// To which host.
        host: String,
        /// And port.
        port: u16,
        /// The ground.
        why: String,
    },
    /// A connection did not come about.
    Failed {
        /// To which host.
        host: String,
        /// And port.
        port: u16,
        /// The reason.
        why: String,
    },
}

impl From<&NetworkLog> for NetworkReport {
    fn from(log: &NetworkLog) -> Self {
        // A run in which the relay itself failed has no outcome, so there are no such failures to tell.
        let NetworkLog { events, dropped, failures_of_ours: _, bytes_sent, bytes_received } = log;
        Self {
            events: events.iter().map(Into::into).collect(),
            dropped: *dropped,
            bytes_sent: *bytes_sent,
            bytes_received: *bytes_received,
        }
    }
}

impl From<&NetworkEvent> for NetworkEventReport {
    fn from(event: &NetworkEvent) -> Self {
        match event {
            NetworkEvent::Queried { name, allowed } => {
                Self::Queried { name: name.clone(), allowed: *allowed }
            }
            NetworkEvent::Connected { host, port, address, bytes_sent, bytes_received, ended } => {
                Self::Connected {
                    host: host.to_string(),
                    port: *port,
                    address: address.to_string(),
                    bytes_sent: *bytes_sent,
                    bytes_received: *bytes_received,
                    ended: match ended {
                        ConnectionEnd::Closed => "closed",
                        ConnectionEnd::Reset => "reset",
                        ConnectionEnd::Idle => "idle",
                        ConnectionEnd::RunOver => "run_over",
                    }
                    .to_owned(),
                }
            }
            NetworkEvent::Refused { host, port, why } => {
                Self::Refused { host: host.to_string(), port: *port, why: why.to_string() }
            }
            NetworkEvent::Failed { host, port, why } => {
                Self::Failed { host: host.to_string(), port: *port, why: why.to_string() }
            }
        }
    }
}
