//! A workspace that root makes: a tmpfs handed into the cage as detached mounts. Its descriptor stays with us, so files
//! can be read back after the cage is gone without entering anything.

use std::os::fd::{AsFd as _, OwnedFd};

use rollcage_types::Limits;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen, open_tree,
};

/// Files one workspace may hold. Each takes about a kilobyte of kernel memory, charged to the cage.
const INODES_MAX: &str = "16384";

/// The directory of the file system at `/tmp` that is also `/ws/work`. A mount for each, with nothing left over to
/// unmount: an unmount makes the kernel wait for every processor.
const WORK: &str = ".work";

/// Whether `/ws/work` and `/tmp` can be parts of one file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// They share one size limit.
    OneFileSystem,
    /// The kernel cannot clone a part of a detached mount (before 6.15), so each has the limit to itself.
    Separate,
}

/// A workspace on the way into a cage.
#[derive(Debug)]
pub(crate) struct MountedWorkspace {
    /// To be mounted on `/ws/work`.
    pub(crate) work: OwnedFd,
    /// To be mounted on `/ws/tmp`.
    pub(crate) tmp: OwnedFd,
    /// The directory `/ws/work` is, for us.
    pub(crate) directory: OwnedFd,
    /// And `/tmp`, where that is another file system.
    pub(crate) temporary: Option<OwnedFd>,
}

/// A full workspace must look like a full disk, not like an exhausted memory limit, so it stays below that.
pub(crate) fn size(limits: &Limits) -> u64 {
    limits.disk.as_u64().min(limits.memory.as_u64() / 8 * 7)
}

fn tmpfs(limits: &Limits, uid: u32) -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let (size, uid) = (size(limits).to_string(), uid.to_string());
    for (key, value) in
        [("size", size.as_str()), ("nr_inodes", INODES_MAX), ("mode", "0700"), ("uid", &uid), ("gid", &uid)]
    {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

impl MountedWorkspace {
    /// Finds out which kind of sharing this kernel allows.
    pub(crate) fn probe() -> Result<Sharing, Errno> {
        let root = tmpfs(&Limits::default(), 0)?;
        mkdirat(&root, WORK, Mode::RWXU)?;
        Ok(if part(&root, WORK).is_ok() { Sharing::OneFileSystem } else { Sharing::Separate })
    }

    /// Makes an empty workspace that belongs to `uid`.
    pub(crate) fn create(sharing: Sharing, limits: &Limits, uid: u32) -> Result<Self, Errno> {
        let root = tmpfs(limits, uid)?;
        match sharing {
            Sharing::OneFileSystem => {
                mkdirat(&root, WORK, Mode::RWXU)?;
                chownat(&root, WORK, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)), AtFlags::empty())?;
                let work = part(&root, WORK)?;
                let directory = openat(&root, WORK, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                Ok(Self { work, tmp: root, directory, temporary: None })
            }
            Sharing::Separate => {
                let tmp = tmpfs(limits, uid)?;
                let directory = openat(&root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                let temporary = openat(&tmp, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                Ok(Self { work: root, tmp, directory, temporary: Some(temporary) })
            }
        }
    }
}

impl MountedWorkspace {
    /// Makes what a view of another directory keeps its changes in, which belong to `uid`.
    pub(crate) fn create_layer(limits: &Limits, uid: u32) -> Result<Self, Errno> {
        let root = tmpfs(limits, uid)?;
        for name in ["upper", "scratch"] {
            mkdirat(&root, name, Mode::RWXU)?;
        }
        chownat(&root, "upper", Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)), AtFlags::empty())?;
        let directory = openat(&root, "upper", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { work: root, tmp: tmpfs(limits, uid)?, directory, temporary: None })
    }
}

fn part(root: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    open_tree(root, name, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
}
