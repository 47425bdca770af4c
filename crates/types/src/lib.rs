//! The vocabulary every other crate shares.
//!
//! Owns units, ids, limits, execution requests and outcomes, and what an outcome says about how it was
//! confined. Leaves serialisation to `rollcage-api` and all effects to `rollcage-sandbox`. Nothing here does
//! I/O, reads a clock or draws randomness.
#![forbid(unsafe_code)]

mod capture;
mod enforcement;
mod exec;
mod ids;
mod limits;
pub mod network;
mod path;
mod units;

pub use capture::{CapturePlan, Captured};
pub use enforcement::{Enforcement, IsolationLevel, Mechanism, MechanismState};
pub use exec::{Collect, ExecOutcome, ExecRequest, FileEntry, LimitKind, Start, Termination};
pub use ids::{ProblemId, RunId, TaskId, TrajectoryId};
pub use limits::{LimitOverrides, Limits, Usage};
pub use network::{AllowList, NetworkAccess, NetworkLevel, NetworkLog};
pub use path::{RelativePath, RelativePathError};
pub use units::{ByteSize, UnitError, format_duration, parse_duration};
