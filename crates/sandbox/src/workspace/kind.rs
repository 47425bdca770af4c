//! The workspace of one run, of the kind that the isolation level allows.

use std::os::fd::AsFd as _;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rollcage_sys::identity::FileUser;
use rollcage_types::{FileEntry, Limits};
use rustix::io::Errno;

use super::directory::{DirectoryWorkspace, Measured};
use super::mounted::{MountedWorkspace, Sharing, size};
use super::place::{Owner, place};
use crate::error::SandboxError;

/// A workspace on the way into a cage.
#[derive(Debug)]
pub(crate) enum Workspace {
    /// Made here, as root.
    Mounted {
        /// The mounts.
        made: MountedWorkspace,
        /// Whose it is.
        uid: u32,
    },
    /// Made by the cage in its own user namespace, where only `user` exists; `None` where that is ourselves.
    Given {
        /// `/ws/work`.
        work: OwnedFd,
        /// `/ws/tmp`.
        tmp: OwnedFd,
        /// See above.
        user: Option<u32>,
    },
    /// Directories of the host's.
    Directory {
        /// The slot's.
        own: Arc<DirectoryWorkspace>,
        /// Whose they are; `None` where that is ourselves.
        user: Option<u32>,
    },
}

impl Workspace {
    /// A workspace of mounts, for a cage whose program runs as `uid`.
    pub(crate) fn mounted(sharing: Sharing, limits: &Limits, uid: u32) -> Result<Self, Errno> {
        MountedWorkspace::create(sharing, limits, uid).map(|made| Self::Mounted { made, uid })
    }

    /// As [`Workspace::mounted`], for a view of another directory.
    pub(crate) fn layer(limits: &Limits, uid: u32) -> Result<Self, Errno> {
        MountedWorkspace::create_layer(limits, uid).map(|made| Self::Mounted { made, uid })
    }

    /// Writes the files of a request.
    pub(crate) fn place(&self, files: &[FileEntry], limits: &Limits) -> Result<(), SandboxError> {
        match self {
            Self::Mounted { made, uid } => place(&made.directory, files, Owner::Uid(*uid)),
            Self::Given { work, user, .. } => {
                fit(files, limits)?;
                let _user = user.map(FileUser::become_user);
                place(work, files, Owner::Maker)
            }
            Self::Directory { own, user } => {
                fit(files, limits)?;
                place(own.work(), files, user.map_or(Owner::Maker, Owner::Uid))
            }
        }
    }

    /// What the cage is handed: its workspace and its `/tmp`.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        match self {
            Self::Mounted { made, .. } => [made.work.as_fd(), made.tmp.as_fd()],
            Self::Given { work, tmp, .. } => [work.as_fd(), tmp.as_fd()],
            Self::Directory { own, .. } => [own.work().as_fd(), own.tmp().as_fd()],
        }
    }

    /// The directory the program worked in.
    pub(crate) fn directory(&self) -> &OwnedFd {
        match self {
            Self::Mounted { made, .. } => &made.directory,
            Self::Given { work, .. } => work,
            Self::Directory { own, .. } => own.work(),
        }
    }

    /// Only the directory, and `/tmp` where that is another file system of ours: the rest is in the cage.
    pub(crate) fn into_directories(self) -> Result<(OwnedFd, Option<OwnedFd>), Errno> {
        match self {
            Self::Mounted { made, .. } => Ok((made.directory, made.temporary)),
            Self::Given { work, .. } => Ok((work, None)),
            Self::Directory { own, .. } => {
                let cloned = own.work().try_clone();
                let own = cloned.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
                Ok((own, None))
            }
        }
    }

    /// What is in it, where no file system says.
    pub(crate) fn measure(&self) -> Option<Measured> {
        match self {
            Self::Mounted { .. } | Self::Given { .. } => None,
            Self::Directory { own, .. } => Some(own.measure()),
        }
    }
}

/// Refuses files that a workspace without a size of its own yet would take.
fn fit(files: &[FileEntry], limits: &Limits) -> Result<(), SandboxError> {
    /// Files take whole pages.
    const PAGE: u64 = 4096;
    let (room, mut taken) = (size(limits), 0_u64);
    for file in files {
        taken += (file.content.len() as u64).next_multiple_of(PAGE);
        if taken > room {
            return Err(SandboxError::FilesTooLarge { path: file.path.clone() });
        }
    }
    Ok(())
}
