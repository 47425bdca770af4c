//! Live sessions: interpreters that stay in their cages between cells.
//!
//! A [`Farm`] holds them. It keeps what they take together within a memory budget: those not used for longest are *evicted*,
//! which leaves the log of their cells, the files of their workspaces and a digest of every outcome on disk, and are
//! *rehydrated* by their next cell: the log is run again in a fresh interpreter, and every outcome is compared with what it
//! had been.

mod agent;
mod budget;
mod error;
mod farm;
mod fork;
mod inner;
mod log;
mod outcome;
mod rehydrate;
mod room;
mod session;
mod spec;
mod store;

pub use error::{FarmError, LiveError};
pub use farm::{Farm, FarmConfig, FarmCounts};
pub use fork::{ForkWay, Forked, Snapshot};
pub use log::Recorded;
pub use outcome::{CellLimits, Display, DisplayKind, LiveOutcome, MimeBundle, Rehydrated};
pub use session::{LiveSession, LiveState};
pub use spec::{Answer, LiveCell, LiveSpec};
