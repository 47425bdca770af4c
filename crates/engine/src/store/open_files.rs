//! Whether the files of an open database are still those that its path names.
//!
//! SQLite goes on writing to a file that was removed or replaced, and everything it then acknowledges is gone with the
//! process. So whoever acknowledges asks here first.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::StoreError;

/// What SQLite adds to the name of the database for each file a commit may be in, or be found by.
const ENDINGS: [&str; 3] = ["", "-wal", "-shm"];

/// The files of one database, as they were when it was opened.
#[derive(Clone, Debug)]
pub(super) struct OpenFiles(Vec<(PathBuf, FileId)>);

/// A file, whatever its name: its device and its inode.
type FileId = (u64, u64);

impl OpenFiles {
    /// The files of the database at `path`, which is open, has a write-ahead log, and has been read.
    pub(super) fn of(path: &Path) -> Result<Self, StoreError> {
        let identified = ENDINGS.map(|ending| {
            let mut name = OsString::from(path);
            name.push(ending);
            let file = PathBuf::from(name);
            match identify(&file) {
                Ok(id) => Ok((file, id)),
                Err(source) => Err(StoreError::Io { doing: "find", path: file, source }),
            }
        });
        identified.into_iter().collect::<Result<_, _>>().map(Self)
    }

    /// Fails if one of them is no longer there, or is another.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (path, id) in &self.0 {
            let source = match identify(path) {
                Ok(found) if found == *id => continue,
                Ok(_other) => io::Error::other("another file is in its place"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    io::Error::other("it was removed while in use")
                }
                Err(error) => error,
            };
            return Err(StoreError::Io { doing: "go on writing to", path: path.clone(), source });
        }
        Ok(())
    }
}

fn identify(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}
