//! Fork servers: interpreters that have initialised, whose programs are copies of them.
//!
//! A server is a launcher of the host's, with a seat for each of its slots: a run by it uses the same uids, groups and
//! workspaces, and is supervised in the same way, as one that executes its program. What it cannot do as such a run
//! would, it does not take ([`ForkServer::accepts`]).

mod executable;
pub(crate) mod library;
mod server;
mod spec;

pub use server::{ForkServer, ForkServerError};
pub use spec::{ForkPoint, ForkServerSpec, Mismatch, Stop};
