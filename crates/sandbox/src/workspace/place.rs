//! Writing the files of a request into a workspace.

use std::os::fd::OwnedFd;

use rollcage_types::FileEntry;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, fchown, mkdirat, openat};
use rustix::io::Errno;

use crate::error::SandboxError;

/// Who the files of a workspace are made to belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Whoever makes them.
    Maker,
    /// This user, and the group of the same number.
    Uid(u32),
}

impl Owner {
    fn ids(self) -> Option<(Uid, Gid)> {
        match self {
            Self::Maker => None,
            Self::Uid(uid) => Some((Uid::from_raw(uid), Gid::from_raw(uid))),
        }
    }
}

/// Writes the files of a request below `directory`.
pub(super) fn place(directory: &OwnedFd, files: &[FileEntry], owner: Owner) -> Result<(), SandboxError> {
    for file in files {
        place_one(directory, file, owner).map_err(|errno| match errno {
            Errno::NOSPC => SandboxError::FilesTooLarge { path: file.path.clone() },
            _ => SandboxError::Place { path: file.path.clone(), source: errno.into() },
        })?;
    }
    Ok(())
}

fn place_one(directory: &OwnedFd, file: &FileEntry, owner: Owner) -> Result<(), Errno> {
    for parent in file.path.parents() {
        match (mkdirat(directory, parent, Mode::RWXU), owner.ids()) {
            (Ok(()), Some((uid, gid))) => {
                chownat(directory, parent, Some(uid), Some(gid), AtFlags::empty())?;
            }
            (Ok(()), None) | (Err(Errno::EXIST), _) => {}
            (Err(errno), _) => return Err(errno),
        }
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = if file.executable { Mode::RWXU } else { Mode::RUSR | Mode::WUSR };
    let written = openat(directory, file.path.as_str(), flags, mode)?;
    let mut rest = &*file.content;
    while !rest.is_empty() {
        let count = rustix::io::write(&written, rest)?;
        rest = &rest[count..];
    }
    match owner.ids() {
        Some((uid, gid)) => fchown(&written, Some(uid), Some(gid)),
        None => Ok(()),
    }
}
