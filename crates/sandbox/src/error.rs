//! What we can fail at. None of these says anything about the program.

use std::io;
use std::path::PathBuf;

/// Why a host could not be made ready to run cages.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Full isolation needs root.
    #[error("isolation level `full` needs root, and this process runs as uid {uid}")]
    NotRoot {
        /// The effective uid.
        uid: u32,
    },
    /// A file or directory of ours could not be used.
    #[error("cannot {action} `{path}`")]
    Path {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Why a run has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The program is not there, or cannot be executed.
    #[error("cannot execute `{program}` in the cage")]
    Exec {
        /// The first element of `argv`.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The launcher is gone; the host must be started anew.
    #[error("the launcher process is gone")]
    LauncherGone,
}

impl SandboxError {
    /// Whether the same request may succeed if it is made again.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Exec { .. } => false,
            Self::LauncherGone => true,
        }
    }
}
