//! Signals as descriptors, for a process that waits for its children and for messages at once.
#![expect(unsafe_code, reason = "rustix has no signalfd and changes no signal mask")]

use std::os::fd::{FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use crate::raw::syscall;

/// SIGCHLD, as a bit of a signal mask.
static SIGCHLD_MASK: u64 = 1 << (libc::SIGCHLD - 1);
/// The kernel's signal mask is one word.
const MASK_BYTES: usize = size_of::<u64>();

/// A descriptor that is readable when a child of the calling thread's process has ended. Blocks SIGCHLD, without which
/// it would be discarded. Allocates nothing.
///
/// [signalfd(2)](https://man7.org/linux/man-pages/man2/signalfd.2.html)
pub fn watch_children() -> Result<OwnedFd, Errno> {
    let mask = (&raw const SIGCHLD_MASK) as usize;
    let block = libc::SIG_BLOCK.cast_unsigned() as usize;
    // SAFETY: the mask is one word and constant, and no old mask is asked for.
    unsafe { syscall(libc::SYS_rt_sigprocmask, [block, mask, 0, MASK_BYTES, 0, 0]) }?;
    let flags = (libc::SFD_CLOEXEC | libc::SFD_NONBLOCK).cast_unsigned() as usize;
    // SAFETY: as above; -1 asks for a new descriptor.
    let fd = unsafe { syscall(libc::SYS_signalfd4, [usize::MAX, mask, MASK_BYTES, flags, 0, 0]) }?;
    // SAFETY: on success the kernel returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a descriptor fits its type")) })
}
