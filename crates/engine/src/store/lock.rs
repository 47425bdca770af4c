//! The lock that keeps a second process from writing to a store.
//!
//! It lies in a file of its own beside the store, because closing any descriptor of the database file would drop
//! the locks SQLite holds on it. The kernel releases it with the process, however that ends; the file stays, since
//! removing it would let two processes lock two files of the same name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// Longer contents of a lock file are not a process id.
const PID_BYTES_MAX: u64 = 16;

/// Held for as long as the value lives.
#[derive(Debug)]
pub(super) struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock of the store at `path`, or says who has it.
    pub(super) fn acquire(path: &Path) -> Result<Self, StoreError> {
        let lock_path = lock_path(path);
        let failed = |doing| {
            let path = lock_path.clone();
            move |source| StoreError::Io { doing, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(failed("open lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: path.to_owned(), holder: read_pid(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        // The id only improves a message, so a disk too full to hold it does not stop a reader of old runs.
        let _written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
