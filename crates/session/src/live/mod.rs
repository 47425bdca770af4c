//! Live sessions: interpreters that stay in their cages between cells.
//!
//! A [`Farm`] holds them. It keeps what they take together within a memory budget: those not used for longest are *evicted*,
//! which leaves the log of their cells, the files of their workspaces and a digest of every outcome on disk, and are
//! *rehydrated* by their next cell: the log is run again in a fresh interpreter, and every outcome is compared with what it
//! had been.

mod agent;
mod alive;
mod aside;
mod banks;
mod budget;
mod bundle;
mod directory;
mod error;
mod farm;
mod fork;
mod inner;
mod log;
mod order;
mod outcome;
mod rehydrate;
mod room;
mod run;
mod session;
mod spec;
mod store;
mod watch;

pub use bundle::MimeBundle;
pub use directory::AsideDirectory;
pub use error::{FarmError, LiveError};
pub use farm::{Farm, FarmBudget, FarmConfig, FarmCounts};
pub use fork::{ForkWay, Forked, Snapshot};
pub use log::Recorded;
pub use outcome::{CellLimits, Display, DisplayKind, LiveOutcome, Rehydrated};
pub use session::{LiveSession, LiveState};
pub use spec::{Answer, LiveCell, LiveSpec};
