//! Interpreters kept ready, so that programs need not wait for one to start.
//!
//! A [`Pool`] belongs to one host. Asked to run a program of a language whose file says how ([`rollcage_language::Warm`]),
//! it has a copy of a waiting interpreter run it, and where there is none that would do the same as a fresh one it runs the
//! program cold and counts why. Owns which interpreters there are, and when one is started, renewed and given up; leaves
//! what an interpreter at its fork point is to `rollcage-sandbox`.
#![forbid(unsafe_code)]

mod counts;
mod entry;
mod keeper;
mod pool;
mod prepared;
mod shelf;
mod spares;
mod toolchain;
mod watch;

pub use counts::{ColdReason, Counts};
pub use pool::{Bounds, Kept, Pool};
pub use prepared::{PrepareError, prepared_directory};
pub use toolchain::{ToolchainFiles, ToolchainIdentity};
