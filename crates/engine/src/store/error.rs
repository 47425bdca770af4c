//! What can go wrong with a store, told apart by what the user can do about it.

use std::io;
use std::path::{Path, PathBuf};

use rollcage_api::RecordError;
use rusqlite::ErrorCode;
use rusqlite::ffi;

use super::database_failure::DatabaseFailure;

/// Why the store did not do what was asked. Nothing was changed when one is returned.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such file.
    #[error("no store at `{}`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("`{}` is not a rollcage store", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer release.
    #[error("store `{}` has schema version {found}, this release knows {known}", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
    /// Another process writes to it.
    #[error("store `{}` is locked by another writer{}", path.display(), describe_holder(*.holder))]
    Locked {
        /// The file.
        path: PathBuf,
        /// The process that holds the lock, where it could be read.
        holder: Option<u32>,
    },
    /// The file system is full.
    #[error("no space left for store `{}`", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: DatabaseFailure,
    },
    /// The file is damaged.
    #[error("store `{}` is corrupt", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: DatabaseFailure,
    },
    /// Any other failure of the database.
    #[error("the database at `{}` failed", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: DatabaseFailure,
    },
    /// The file system does not support what the journal needs.
    #[error("store `{}` cannot keep a write-ahead log: its journal stays in mode `{mode}`", path.display())]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
        /// The mode the database chose.
        mode: String,
    },
    /// A file could not be opened, read or locked.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A record has no stored form.
    #[error("{what} cannot be stored")]
    Unstorable {
        /// The record.
        what: String,
        /// Why not.
        #[source]
        source: RecordError,
    },
    /// A stored record cannot be read.
    #[error("{what} in store `{}` cannot be read", path.display())]
    Unreadable {
        /// The record.
        what: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: RecordError,
    },
    /// Something with the same key but other contents is stored.
    #[error("{what} is already stored with other contents")]
    Conflict {
        /// The record.
        what: String,
    },
    /// A record refers to one that is not stored.
    #[error("{what} is not in the store")]
    Unknown {
        /// The record.
        what: String,
    },
    /// A prefix fits several runs.
    #[error("`{prefix}` is the start of {} runs: {}", ids.len(), ids.join(", "))]
    AmbiguousRun {
        /// The prefix.
        prefix: String,
        /// The runs it fits.
        ids: Vec<String>,
    },
    /// Turns arrive in order, without gaps.
    #[error("turn {index} of trajectory `{trajectory_id}` cannot follow {stored} stored turns")]
    TurnGap {
        /// The trajectory.
        trajectory_id: String,
        /// The turn that was to be stored.
        index: u32,
        /// How many are stored.
        stored: u32,
    },
    /// A finished trajectory gets no further turns.
    #[error("trajectory `{trajectory_id}` is finished and cannot get turn {index}")]
    TrajectoryFinished {
        /// The trajectory.
        trajectory_id: String,
        /// The turn that was to be stored.
        index: u32,
    },
    /// The writer thread has ended, so whether the write happened is not known.
    #[error("the writer of store `{}` has ended", path.display())]
    WriterGone {
        /// The file.
        path: PathBuf,
    },
}

impl StoreError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Locked { .. } => {
                Some("wait for the other process to end, or give this run a store of its own")
            }
            Self::DiskFull { .. } => Some("free some space and resume the run: every finished turn is kept"),
            Self::NewerSchema { .. } => Some("use the release that wrote it, or a newer one"),
            Self::Corrupt { .. } => Some("copy the file away, then recover it with `sqlite3 FILE .recover`"),
            Self::NoWriteAheadLog { .. } => Some("keep the store on a local file system"),
            Self::AmbiguousRun { .. } => Some("give more characters of the id"),
            Self::Missing { .. }
            | Self::NotAStore { .. }
            | Self::Database { .. }
            | Self::Io { .. }
            | Self::Unstorable { .. }
            | Self::Unreadable { .. }
            | Self::Conflict { .. }
            | Self::Unknown { .. }
            | Self::TurnGap { .. }
            | Self::TrajectoryFinished { .. }
            | Self::WriterGone { .. } => None,
        }
    }

    /// Sorts a database error by what it means for the user.
    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
    pub(super) fn from_database(path: &Path, error: rusqlite::Error) -> Self {
        let source = DatabaseFailure::new(path, &error);
        let path = path.to_owned();
        // Growing the shared-memory index is the one write whose lack of space has another code.
        let no_index_space =
            error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE);
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { path, source },
            Some(ErrorCode::SystemIoFailure) if no_index_space => Self::DiskFull { path, source },
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if source.is_full() => {
                Self::DiskFull { path, source }
            }
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, source },
            Some(ErrorCode::NotADatabase) => Self::NotAStore { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path, holder: None },
            Some(_) | None => Self::Database { path, source },
        }
    }

    /// Whether the database failed, as opposed to refusing one request; then the transaction around it is lost.
    pub(super) fn loses_transaction(&self) -> bool {
        match self {
            Self::Locked { .. } | Self::DiskFull { .. } | Self::Corrupt { .. } | Self::Database { .. } => {
                true
            }
            Self::Missing { .. }
            | Self::NotAStore { .. }
            | Self::NewerSchema { .. }
            | Self::NoWriteAheadLog { .. }
            | Self::Io { .. }
            | Self::Unstorable { .. }
            | Self::Unreadable { .. }
            | Self::Conflict { .. }
            | Self::Unknown { .. }
            | Self::AmbiguousRun { .. }
            | Self::TurnGap { .. }
            | Self::TrajectoryFinished { .. }
            | Self::WriterGone { .. } => false,
        }
    }
}

fn describe_holder(holder: Option<u32>) -> String {
    holder.map(|pid| format!(", process {pid}")).unwrap_or_default()
}
