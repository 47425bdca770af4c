//! Files of a session's workspace, while its programs may be changing it.
//!
//! We may be root, and the program decides what a path leads to. So no link is followed, nothing but regular files is read
//! or written, and every path is resolved by the kernel from the workspace's own directory.

use std::os::fd::{AsFd as _, OwnedFd};

use rollcage_types::{Collect, FileEntry, RelativePath};
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, fstat, ftruncate, mkdirat,
    openat2, unlinkat,
};
use rustix::io::Errno;

use crate::collect::{ExecuteBit, collect};

/// Entries of a listing; a directory of more is listed in part.
const LISTED_MAX: usize = 4096;
/// Directories within directories.
const DEPTH_MAX: usize = 16;

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum SessionFileError {
    /// It is not there.
    #[error("there is no file `{path}` in the workspace")]
    Missing {
        /// As asked.
        path: RelativePath,
    },
    /// A directory, a link, a device: something that is not read or written, or too large.
    #[error("`{path}` is not a regular file of a size that is handed over")]
    NotPlain {
        /// As asked.
        path: RelativePath,
    },
    /// It was not written.
    #[error("cannot write `{path}` in the workspace")]
    Write {
        /// As asked.
        path: RelativePath,
        /// Why not: no space is left, or something else has its name.
        #[source]
        source: std::io::Error,
    },
    /// The workspace was not listed.
    #[error("cannot list the workspace")]
    List(#[source] std::io::Error),
}

impl SessionFileError {
    /// Whether the same may succeed a little later: what it wanted was ours, descriptors or memory.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::NotPlain { .. } => false,
            Self::Write { source, .. } | Self::List(source) => {
                let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
                Errno::from_io_error(source).is_some_and(|errno| lacking.contains(&errno))
            }
        }
    }
}

/// A file of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Where.
    pub path: String,
    /// Bytes.
    pub size: u64,
}

/// The regular files of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllFiles {
    /// By path.
    pub files: Vec<FileEntry>,
    /// Entries that are neither files nor directories: links, sockets and so on.
    pub others: u64,
    /// Files and directories that were too many, too large, too deep, or of names that are no text.
    pub too_many: u64,
}

const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Writes one file, for this owner. What was there under its name, if it was a regular file, is replaced.
pub(super) fn put(directory: &OwnedFd, file: &FileEntry, owner: Option<u32>) -> Result<(), SessionFileError> {
    put_one(directory, file, owner)
        .map_err(|errno| SessionFileError::Write { path: file.path.clone(), source: errno.into() })
}

fn put_one(directory: &OwnedFd, file: &FileEntry, owner: Option<u32>) -> Result<(), Errno> {
    let own = |fd: &OwnedFd| match owner {
        Some(uid) => fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid))),
        None => Ok(()),
    };
    for parent in file.path.parents() {
        let (above, name) = parent.rsplit_once('/').unwrap_or((".", parent));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = openat2(directory, above, flags, Mode::empty(), BENEATH)?;
        match mkdirat(&above, name, Mode::RWXU) {
            Ok(()) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                own(&openat2(directory, parent, flags, Mode::empty(), BENEATH)?)?;
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    // Nothing is waited for, and nothing is emptied before it is known what it is.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mode = if file.executable { Mode::RWXU } else { Mode::RUSR | Mode::WUSR };
    let written = openat2(directory, file.path.as_str(), flags, mode, BENEATH)?;
    if FileType::from_raw_mode(fstat(&written)?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    ftruncate(&written, 0)?;
    let mut rest = &*file.content;
    while !rest.is_empty() {
        let count = rustix::io::write(&written, rest)?;
        rest = &rest[count..];
    }
    fchmod(&written, mode)?;
    own(&written)
}

/// Reads one file.
pub(super) fn get(directory: &OwnedFd, path: &RelativePath) -> Result<FileEntry, SessionFileError> {
    let wanted = Collect::Files(vec![path.clone()]);
    let collected = collect(directory, &wanted, ExecuteBit::Kept)
        .map_err(|errno| SessionFileError::List(errno.into()))?;
    match collected.files.into_iter().next() {
        Some(file) => Ok(file),
        None if collected.omitted > 0 => Err(SessionFileError::NotPlain { path: path.clone() }),
        None => Err(SessionFileError::Missing { path: path.clone() }),
    }
}

/// Removes one file, if it is there.
pub(super) fn remove(directory: &OwnedFd, path: &RelativePath) -> Result<(), SessionFileError> {
    let (above, name) = path.as_str().rsplit_once('/').unwrap_or((".", path.as_str()));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let removed = openat2(directory, above, flags, Mode::empty(), BENEATH)
        .and_then(|above| unlinkat(&above, name, AtFlags::empty()));
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(SessionFileError::Write { path: path.clone(), source: errno.into() }),
    }
}

/// All regular files, within the bounds of [`Collect::Everything`].
pub(super) fn all(directory: &OwnedFd) -> Result<AllFiles, SessionFileError> {
    let collected = collect(directory, &Collect::Everything, ExecuteBit::Kept)
        .map_err(|errno| SessionFileError::List(errno.into()))?;
    Ok(AllFiles {
        files: collected.files,
        others: collected.special,
        too_many: collected.omitted.saturating_sub(collected.special),
    })
}

/// What is in the workspace; what cannot be read back by name is left out.
pub(super) fn list(directory: &OwnedFd) -> Result<Vec<ListedFile>, SessionFileError> {
    let mut found = Vec::new();
    list_below(directory, "", 0, &mut found).map_err(|errno| SessionFileError::List(errno.into()))?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn list_below(root: &OwnedFd, prefix: &str, depth: usize, found: &mut Vec<ListedFile>) -> Result<(), Errno> {
    let path = if prefix.is_empty() { "." } else { prefix };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = match openat2(root, path, flags, Mode::empty(), BENEATH) {
        Ok(directory) => directory,
        // It was removed, or became something else, since it was seen.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    for entry in Dir::read_from(directory.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if found.len() >= LISTED_MAX || name == b"." || name == b".." {
            continue;
        }
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        match entry.file_type() {
            FileType::Directory if depth < DEPTH_MAX => list_below(root, &path, depth + 1, found)?,
            FileType::RegularFile => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(status) =
                    openat2(&directory, name, flags, Mode::empty(), BENEATH).and_then(|file| fstat(&file))
                {
                    found.push(ListedFile { path, size: status.st_size.cast_unsigned() });
                }
            }
            FileType::Directory
            | FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {}
        }
    }
    Ok(())
}
