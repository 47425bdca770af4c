//! The directory that every workspace starts as a copy-on-write view of, where the supervisor names one.
//!
//! It is shown in the template read-only, and laid under each cage's workspace by overlayfs. As root each slot has a
//! view of its own in which the directory's owner is the slot's user, who could change nothing of it otherwise; in a user
//! namespace the only user there is must be the owner.

use core::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rollcage_sys::clone::{USER_NAMESPACE, fork_idle};
use rollcage_sys::{Errno, mount as attributes};
use rustix::fs::{CWD, Mode, OFlags, mkdir, openat};
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, move_mount, open_tree};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::small_text::SmallText;

/// Where the template shows it, for each slot by its number at level full.
pub(crate) const SHOWN_AT: &str = "ws/base";
/// Where a cage keeps what it changes.
const LAYER: &CStr = c"/ws/layer";
const UPPER: &CStr = c"/ws/layer/upper";
const SCRATCH: &CStr = c"/ws/layer/scratch";

/// Shows `base` at `target` as belonging to `uid`. For a launcher that is root and still sees the host's `/proc`.
pub(crate) fn show_as(base: &Path, target: &Path, uid: u32) -> io::Result<()> {
    let owner = fs::metadata(base)?;
    let namespace = namespace_that_maps([(owner.uid(), "uid_map"), (owner.gid(), "gid_map")], uid)?;
    show_mapped(base, target, &namespace, OpenTreeFlags::empty())
}

/// Shows `source` at `target`, confined, with owners as `namespace` maps them. `depth` may be `AT_RECURSIVE`, for what is
/// mounted below it too.
pub(crate) fn show_mapped(
    source: &Path,
    target: &Path,
    namespace: &OwnedFd,
    depth: OpenTreeFlags,
) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | depth;
    let tree = open_tree(CWD, source, flags)?;
    attributes::map_ids(tree.as_fd(), namespace.as_fd())?;
    let attach = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), c"", CWD, target, attach)?;
    Ok(())
}

/// Shows `base` at `target` as it is.
pub(crate) fn show(base: &Path, target: &Path) -> io::Result<()> {
    mount_bind(base, target)?;
    let confined = attributes::READ_ONLY | attributes::NO_SUID | attributes::NO_DEV;
    let path = std::ffi::CString::new(target.as_os_str().as_encoded_bytes())?;
    attributes::set_attributes_recursively(CWD, &path, confined)?;
    Ok(())
}

/// A user namespace in which each id is `to`, taken from a process that lives just long enough.
#[expect(unsafe_code, reason = "forks a process that has one thread")]
pub(crate) fn namespace_that_maps(ids: [(u32, &str); 2], to: u32) -> io::Result<OwnedFd> {
    // SAFETY: the launcher has one thread.
    let process = unsafe { fork_idle(USER_NAMESPACE) }?;
    let made = (|| {
        // The number this process has in /proc, which is another than the one it has for us.
        let information = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd()))?;
        let number = information.lines().find_map(|line| line.strip_prefix("Pid:")).map(str::trim);
        let directory = format!("/proc/{}", number.ok_or(Errno::SRCH)?);
        for (id, file) in ids {
            fs::write(format!("{directory}/{file}"), format!("{id} {to} 1"))?;
        }
        let path = format!("{directory}/ns/user");
        Ok(openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    })();
    let _sent = pidfd_send_signal(&process, Signal::KILL);
    let _reaped = waitid(WaitId::PidFd(process.as_fd()), WaitIdOptions::EXITED);
    made
}

/// Makes the directories that overlayfs works in, on the file system at the layer's place. Allocates nothing.
pub(crate) fn make_layer() -> Result<(), Errno> {
    mkdir(UPPER, Mode::RWXU)?;
    mkdir(SCRATCH, Mode::RWXU)
}

/// Where a layer is mounted.
pub(crate) const fn layer() -> &'static CStr {
    LAYER
}

/// Lays the base under the workspace. `slot` names its view where each has one. Allocates nothing.
pub(crate) fn lay_under(slot: Option<usize>) -> Result<(), Errno> {
    let options = SmallText::new().text("lowerdir=/ws/base");
    let options = match slot {
        Some(slot) => options.text("/").number(slot as u64),
        // Other users' namespaces may not use the attributes that overlayfs keeps its notes in by default.
        None => options.text("/only,userxattr"),
    };
    let options = options.text(",upperdir=/ws/layer/upper,workdir=/ws/layer/scratch");
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount(c"overlay", c"/ws/work", c"overlay", flags, options.as_c_str())
}

/// Hides the layer, which only overlayfs may change from now on. Allocates nothing.
pub(crate) fn hide_layer() -> Result<(), Errno> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    mount(c"tmpfs", LAYER, c"tmpfs", flags, c"size=4k,mode=0000")
}
