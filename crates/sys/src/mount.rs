//! mount_setattr(2), which rustix lacks.
#![expect(unsafe_code, reason = "rustix has no mount_setattr")]

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

use crate::raw::syscall;

/// `MOUNT_ATTR_RDONLY`.
pub const READ_ONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`.
pub const NO_SUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`.
pub const NO_DEV: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`.
pub const NO_EXEC: u64 = 0x8;

#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `MOUNT_ATTR_IDMAP`.
const ID_MAP: u64 = 0x0010_0000;

/// Shows the files of the detached mount `tree` as belonging to the ids that `namespace`, a user namespace, maps their
/// owners to, and confines it.
pub fn map_ids(tree: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    let userns_fd = u64::from(namespace.as_raw_fd().cast_unsigned());
    let attr_set = ID_MAP | READ_ONLY | NO_SUID | NO_DEV;
    set(tree, c"", &MountAttr { attr_set, userns_fd, ..MountAttr::default() })
}

/// Sets `attributes` on the mount at `path` and every mount below it, in one step.
///
/// A read-only rebind with mount(2) changes only the top mount and leaves submounts writable.
///
/// [mount_setattr(2)](https://man7.org/linux/man-pages/man2/mount_setattr.2.html)
pub fn set_attributes_recursively(dir: BorrowedFd<'_>, path: &CStr, attributes: u64) -> Result<(), Errno> {
    set(dir, path, &MountAttr { attr_set: attributes, ..MountAttr::default() })
}

fn set(dir: BorrowedFd<'_>, path: &CStr, attr: &MountAttr) -> Result<(), Errno> {
    let fd = dir.as_raw_fd() as isize;
    let flags = (libc::AT_RECURSIVE | libc::AT_EMPTY_PATH).cast_unsigned() as usize;
    // SAFETY: `path` is NUL-terminated and `attr` has the size given; both outlive the call and are only read.
    unsafe {
        syscall(
            libc::SYS_mount_setattr,
            [
                fd.cast_unsigned(),
                path.as_ptr() as usize,
                flags,
                (attr as *const MountAttr) as usize,
                size_of::<MountAttr>(),
                0,
            ],
        )
    }?;
    Ok(())
}
