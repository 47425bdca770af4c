//! From a request to a finished, accounted process tree.
#![forbid(unsafe_code)]

mod cancel;
mod error;
mod host;

pub use cancel::Cancel;
pub use error::{HostError, SandboxError};
pub use host::{Host, HostConfig, LauncherProgram};
