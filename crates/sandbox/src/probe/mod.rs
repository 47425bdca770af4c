//! What this host could enforce, for `doctor`: facts, the levels that really start, and what would raise them.

mod findings;
mod levels;
mod obstacles;

pub use findings::Finding;
pub use levels::{HostReport, LevelReport, probe};
