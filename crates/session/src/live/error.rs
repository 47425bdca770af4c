//! What farms and live sessions can fail at. None of these is an outcome of a cell.

use rollcage_sandbox::{BankError, SandboxError, SessionFileError};
use rollcage_types::{ByteSize, RelativePath};

/// Why there is no farm, or no session.
#[derive(Debug, thiserror::Error)]
pub enum FarmError {
    /// The language has no sessions.
    #[error("language `{language}` has no live sessions")]
    NoAgent {
        /// As asked.
        language: String,
    },
    /// The language's file names no such preload.
    #[error("language `{language}` has no preload `{preload}`")]
    NoPreload {
        /// As asked.
        language: String,
        /// As asked.
        preload: String,
    },
    /// Its limit on memory is larger than the budget of all sessions together.
    #[error(
        "a session of up to {limit} does not fit a budget of {budget} for all; lower its limit on memory"
    )]
    TooLarge {
        /// Of the session.
        limit: ByteSize,
        /// Of the farm.
        budget: ByteSize,
    },
    /// Sessions that cannot be put aside fill the budget, or every slot.
    #[error(
        "there is no room: of {open} live sessions none can be put aside now; \
         close some, try again later, or give them more memory together"
    )]
    Full {
        /// Those that are live.
        open: usize,
    },
    /// It was interrupted while it waited for room.
    #[error("it was interrupted while it waited for room")]
    Interrupted,
    /// No interpreter to copy.
    #[error("cannot start an interpreter for sessions")]
    Bank(#[source] BankError),
    /// The cage failed.
    #[error("cannot open the session")]
    Sandbox(#[source] SandboxError),
    /// No thread to look for idle sessions.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// Where evicted sessions lie cannot be used.
    #[error("cannot use the directory of sessions that are put aside")]
    Directory(#[source] std::io::Error),
}

impl FarmError {
    /// Whether the same may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoAgent { .. }
            | Self::NoPreload { .. }
            | Self::TooLarge { .. }
            | Self::Interrupted
            | Self::Directory(_) => false,
            Self::Full { .. } | Self::Thread(_) => true,
            Self::Bank(BankError::Server(error)) => error.is_retryable(),
            Self::Bank(error) => matches!(error, BankError::NoMoreBanks | BankError::Launcher(_)),
            Self::Sandbox(error) => error.is_retryable(),
        }
    }
}

/// Why a session did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// It was closed.
    #[error("the session is closed; open another")]
    Closed,
    /// A cell is running in it.
    #[error("a cell is running in the session; wait for it, or interrupt it")]
    Busy,
    /// Its interpreter is gone.
    #[error("the session has no state to go on from ({reason}); restore it, or close it")]
    Poisoned {
        /// What happened.
        reason: String,
    },
    /// A cell or its input is longer than any a session takes.
    #[error("the cell is {bytes} bytes long, more than {max}; put long data into a file")]
    CellTooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The cells of the session have used what they may use together.
    #[error("the session has used its {limit} of time; open another")]
    OutOfTime {
        /// Of all cells together.
        limit: String,
    },
    /// It was told more than is kept of one session.
    #[error(
        "the session has been told {entries} things or {bytes} bytes, all that is kept of one; \
         open another, or let cells write what is large"
    )]
    HistoryFull {
        /// Cells and files.
        entries: usize,
        /// Of them.
        bytes: usize,
    },
    /// It was interrupted before the cell began.
    #[error("interrupted before the cell began; the session is where it was")]
    Interrupted,
    /// Its interpreter was given up for another, which did not come up.
    #[error("the session was not brought there, and has no state now; its history is whole: restore it")]
    NotBrought(#[source] Box<Self>),
    /// It cannot be put aside.
    #[error("the session cannot be put aside: {reason}; it stays live")]
    NotReplayable {
        /// What a replay would not bring back.
        reason: String,
    },
    /// Its memory cannot be moved out.
    #[error("the session cannot be parked: {reason}")]
    NotParkable {
        /// Why that would free nothing.
        reason: &'static str,
    },
    /// Its interpreter cannot be copied as it is.
    #[error("no live snapshot can be taken: {reason}; a plain one can, and is restored by replay")]
    NotCopied {
        /// What stands in the way.
        reason: String,
    },
    /// A cell that was replayed ended otherwise than it had, so that the state is one that nobody saw.
    #[error(
        "cell {cell} ended otherwise when it was replayed: {first}, then {again}; \
         go back to a snapshot before it, or open another session"
    )]
    Diverged {
        /// The cell.
        cell: u32,
        /// How it had ended.
        first: String,
        /// How it ended now.
        again: String,
    },
    /// A database that the replay has open holds something else than it had held.
    #[error(
        "the database `{path}`, which the session has open, came out otherwise when its cells were replayed; \
         go back to a snapshot before it changed, or open another session"
    )]
    DatabaseDiverged {
        /// In the workspace.
        path: RelativePath,
    },
    /// Nobody forks so often at once.
    #[error("{count} forks at once are more than {max}")]
    TooManyForks {
        /// As asked.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// The snapshot is not of this session, or of a part of its history that was undone.
    #[error(
        "the snapshot is of another session, or of cells that were undone since; take one of this session"
    )]
    ForeignSnapshot,
    /// A file was not read or written.
    #[error(transparent)]
    File(#[from] SessionFileError),
    /// What was put aside cannot be read or written.
    #[error("cannot {action} what the session left on disk")]
    Store {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There is no room for it to be live, or for what it is to do.
    #[error("the session cannot go on now, and is where it was")]
    Farm(#[source] FarmError),
    /// The cage failed.
    #[error("cannot run the cell")]
    Sandbox(#[source] SandboxError),
}

impl LiveError {
    /// Whether the same may succeed a little later. A session that was lost with what failed is to be restored first.
    pub fn is_retryable(&self) -> bool {
        match self {
            // The disk, or descriptors.
            Self::Busy | Self::Store { .. } => true,
            Self::File(error) => error.is_retryable(),
            Self::NotBrought(error) => error.is_retryable(),
            Self::Farm(error) => error.is_retryable(),
            Self::Sandbox(error) => error.is_retryable(),
            Self::Closed
            | Self::Poisoned { .. }
            | Self::CellTooLong { .. }
            | Self::OutOfTime { .. }
            | Self::HistoryFull { .. }
            | Self::Interrupted
            | Self::NotReplayable { .. }
            | Self::NotParkable { .. }
            | Self::NotCopied { .. }
            | Self::Diverged { .. }
            | Self::DatabaseDiverged { .. }
            | Self::TooManyForks { .. }
            | Self::ForeignSnapshot => false,
        }
    }
}

impl From<FarmError> for LiveError {
    fn from(error: FarmError) -> Self {
        if matches!(error, FarmError::Interrupted) { Self::Interrupted } else { Self::Farm(error) }
    }
}
