//! What SQLite says of a failure, in words that tell which step failed and why.
//!
//! SQLite keeps to itself what the system answered. Where the file system may be the reason it is asked again, with a
//! file of our own: a disk or a quota that is full, a file system that became read-only and a process without
//! descriptors answer the same a second time.

use std::io::{self, Write as _};
use std::path::Path;

use rusqlite::{ErrorCode, ffi};

/// Bytes written to ask the file system. More than a file system hides in an inode, less than one write of a turn
/// that would not fit.
const PROBE_BYTES: usize = 64 * 1024;

/// Why a call of the database failed.
#[derive(Debug, thiserror::Error)]
#[error("{said}{step}")]
pub struct DatabaseFailure {
    said: String,
    step: &'static str,
    #[source]
    system: Option<ProbeError>,
}

/// What the system said when asked again.
#[derive(Debug, thiserror::Error)]
#[error("another file beside it cannot be written either")]
struct ProbeError(#[source] io::Error);

impl DatabaseFailure {
    /// What `error` tells about the database at `path`.
    pub(super) fn new(path: &Path, error: &rusqlite::Error) -> Self {
        let (step, may_be_system) = error.sqlite_error().map_or(("", false), |error| {
            let is_system = matches!(error.code, ErrorCode::SystemIoFailure | ErrorCode::CannotOpen);
            (step(error.extended_code), is_system)
        });
        let system = if may_be_system { probe(path).err().map(ProbeError) } else { None };
        let mut said = error.to_string();
        // With the path where the file could not be opened; whoever holds this names it already.
        if let Some(end) = said.find(&format!(": {}", path.display())) {
            said.truncate(end);
        }
        Self { said, step, system }
    }

    /// Whether the file system has no room for another file.
    pub(super) fn is_full(&self) -> bool {
        let kind = self.system.as_ref().map(|ProbeError(error)| error.kind());
        matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// Writes a file that has no name beside the store, and waits for the disk to have it.
fn probe(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::tempfile_in(directory)?;
    file.write_all(&[0; PROBE_BYTES])?;
    file.sync_all()
}

/// The step an extended code stands for, where a reader can do something with it.
fn step(extended_code: i32) -> &'static str {
    match extended_code {
        ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ => " while reading",
        ffi::SQLITE_IOERR_WRITE => " while writing",
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => " while waiting for the disk",
        ffi::SQLITE_IOERR_TRUNCATE => " while changing a file's size",
        ffi::SQLITE_IOERR_DELETE => " while removing the journal",
        ffi::SQLITE_IOERR_LOCK | ffi::SQLITE_IOERR_UNLOCK | ffi::SQLITE_IOERR_RDLOCK => " while locking",
        ffi::SQLITE_IOERR_SHMOPEN
        | ffi::SQLITE_IOERR_SHMSIZE
        | ffi::SQLITE_IOERR_SHMMAP
        | ffi::SQLITE_IOERR_SHMLOCK => " in the log's index",
        _ => "",
    }
}
