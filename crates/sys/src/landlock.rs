//! landlock(7): file access rules that hold whatever is mounted, and scopes for sockets and signals.
#![expect(unsafe_code, reason = "rustix has no landlock calls")]

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use crate::raw::syscall;

/// `LANDLOCK_ACCESS_FS_*` bits of `linux/landlock.h`.
pub mod access {
    /// Execute a file.
    pub const EXECUTE: u64 = 1;
    /// Open a file for writing.
    pub const WRITE_FILE: u64 = 1 << 1;
    /// Open a file for reading.
    pub const READ_FILE: u64 = 1 << 2;
    /// Open a directory or list it.
    pub const READ_DIR: u64 = 1 << 3;
    /// Remove an empty directory or rename one.
    pub const REMOVE_DIR: u64 = 1 << 4;
    /// Unlink or rename a file.
    pub const REMOVE_FILE: u64 = 1 << 5;
    /// Create a character device.
    pub const MAKE_CHAR: u64 = 1 << 6;
    /// Create a directory.
    pub const MAKE_DIR: u64 = 1 << 7;
    /// Create a regular file.
    pub const MAKE_REG: u64 = 1 << 8;
    /// Create a unix socket.
    pub const MAKE_SOCK: u64 = 1 << 9;
    /// Create a FIFO.
    pub const MAKE_FIFO: u64 = 1 << 10;
    /// Create a block device.
    pub const MAKE_BLOCK: u64 = 1 << 11;
    /// Create a symbolic link.
    pub const MAKE_SYM: u64 = 1 << 12;
    /// Link or rename between directories (ABI 2).
    pub const REFER: u64 = 1 << 13;
    /// Truncate a file (ABI 3).
    pub const TRUNCATE: u64 = 1 << 14;
    /// Call ioctl on a device (ABI 5).
    pub const IOCTL_DEV: u64 = 1 << 15;
}

/// Everything a ruleset takes control of.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Handled {
    /// Bits of [`access`].
    pub file_system: u64,
    /// `LANDLOCK_ACCESS_NET_*`: 1 bind, 2 connect (ABI 4).
    pub network: u64,
    /// `LANDLOCK_SCOPE_*`: 1 abstract unix sockets, 2 signals (ABI 6).
    pub scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// The version of the interface this kernel offers, or why there is none.
pub fn abi() -> Result<u32, Errno> {
    // SAFETY: with a null attribute, size 0 and LANDLOCK_CREATE_RULESET_VERSION the call reads no memory.
    let version = unsafe { syscall(libc::SYS_landlock_create_ruleset, [0, 0, 1, 0, 0, 0]) }?;
    Ok(u32::try_from(version).unwrap_or(u32::MAX))
}

/// A new, empty ruleset that takes control of `handled`.
pub fn create_ruleset(handled: &Handled) -> Result<OwnedFd, Errno> {
    let pointer = (handled as *const Handled) as usize;
    // SAFETY: `handled` is a live struct of the given size; the kernel only reads it.
    let fd =
        unsafe { syscall(libc::SYS_landlock_create_ruleset, [pointer, size_of::<Handled>(), 0, 0, 0, 0]) }?;
    // SAFETY: on success the kernel returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor fits its type")) })
}

/// Allows `allowed` below the file or directory `beneath` (an `O_PATH` descriptor).
pub fn allow_beneath(ruleset: BorrowedFd<'_>, beneath: BorrowedFd<'_>, allowed: u64) -> Result<(), Errno> {
    let rule = PathBeneath { allowed_access: allowed, parent_fd: beneath.as_raw_fd() };
    let fd = ruleset.as_raw_fd().cast_unsigned() as usize;
    const RULE_PATH_BENEATH: usize = 1;
    // SAFETY: `rule` has the layout of struct landlock_path_beneath_attr and outlives the call; the kernel
    // only reads it.
    unsafe {
        syscall(libc::SYS_landlock_add_rule, [fd, RULE_PATH_BENEATH, (&raw const rule) as usize, 0, 0, 0])
    }?;
    Ok(())
}

/// Confines the calling thread, and all it starts, to `ruleset`. Needs no_new_privs. Allocates nothing.
pub fn restrict_self(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    let fd = ruleset.as_raw_fd().cast_unsigned() as usize;
    // SAFETY: the call takes plain numbers and reads no memory.
    unsafe { syscall(libc::SYS_landlock_restrict_self, [fd, 0, 0, 0, 0, 0]) }?;
    Ok(())
}
