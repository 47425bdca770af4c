//! What a run may reach over a network, and what it did there.

mod access;
mod allow;
mod log;

pub use access::{NetworkAccess, NetworkLevel};
pub use allow::{
    AllowEntry, AllowError, AllowList, ENTRIES_MAX, HostKind, HostName, LISTENERS_MAX, PORTS_MAX,
};
pub use log::{AddressClass, ConnectionEnd, Failure, NetworkEvent, NetworkLog, Refusal};
