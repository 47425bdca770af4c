//! What a session can fail at. None of these is an outcome of the new cell.

use rollcage_sandbox::SandboxError;
use rollcage_types::{RelativePath, Termination};

use crate::report::Ending;

/// Why a session could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The driver takes the place of the source file on the command line, and there is none.
    #[error("the command of language `{language}` does not have `{filename}` as an argument of its own")]
    NoSourceArgument {
        /// The language.
        language: String,
        /// The file its command should name.
        filename: RelativePath,
    },
    /// The directory is the session's own.
    #[error("`{path}` lies in `.rollcage`, which belongs to the session")]
    ReservedPath {
        /// The file asked for.
        path: RelativePath,
    },
}

/// Why a cell has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The session was closed.
    #[error("the session is closed")]
    Closed,
    /// An earlier error left no state to continue from.
    #[error("the session cannot continue: {reason}")]
    Poisoned {
        /// What happened.
        reason: String,
    },
    /// The cell is longer than any a session takes.
    #[error("the cell is {bytes} bytes long, more than {max}")]
    CellTooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The session has as many cells as one may have.
    #[error("the session already holds {max} cells")]
    TooManyCells {
        /// The bound.
        max: usize,
    },
    /// Replaying takes so long that a limit of the new cell would be lost in it.
    #[error("replaying the earlier cells takes more than {factor} times the limit on time")]
    ReplayTooLong {
        /// The bound.
        factor: u32,
    },
    /// The run ended before the new cell began.
    #[error("the replay stopped at cell {cell}: {termination:?}")]
    ReplayStopped {
        /// The cell that did not come to its end, or the new one, which did not begin.
        cell: u32,
        /// How the run ended.
        termination: Termination,
    },
    /// An earlier cell did not end as it had.
    #[error("cell {cell} ended otherwise when it was replayed: {first}, then {again}")]
    Diverged {
        /// The cell.
        cell: u32,
        /// How it had ended.
        first: Ending,
        /// How it ended now.
        again: Ending,
    },
    /// The cage could not be run.
    #[error("cannot run the cell")]
    Sandbox(#[source] SandboxError),
}

impl SessionError {
    /// Whether the same cell may succeed if it is run again.
    pub fn is_retryable(&self) -> bool {
        match self {
            // A replay that ran out of time says more about the host's load than about the cells.
            Self::ReplayStopped { termination, .. } => termination.is_out_of_time(),
            Self::Sandbox(error) => error.is_retryable(),
            Self::Closed
            | Self::Poisoned { .. }
            | Self::CellTooLong { .. }
            | Self::TooManyCells { .. }
            | Self::ReplayTooLong { .. }
            | Self::Diverged { .. } => false,
        }
    }
}
