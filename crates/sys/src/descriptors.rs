//! close_range(2), for processes that inherited more than they should keep.
#![expect(unsafe_code, reason = "rustix has no close_range")]

use rustix::io::Errno;

use crate::raw::syscall;

/// Closes every descriptor of this process but the standard streams and those `kept`, which are put in order. Allocates
/// nothing.
///
/// The caller must not use any other descriptor afterwards, which is why only a cloned process with a table of its
/// own calls this.
pub fn close_all_but(kept: &mut [i32]) -> Result<(), Errno> {
    const FIRST: i32 = 3;
    kept.sort_unstable();
    close_from_but(FIRST, kept)
}

/// Closes every descriptor from `first` on but those `kept`, which are in ascending order. Allocates nothing.
pub(crate) fn close_from_but(first: i32, kept: &[i32]) -> Result<(), Errno> {
    let mut next = first.cast_unsigned();
    for kept in kept.iter().map(|kept| kept.cast_unsigned()) {
        close_between(next, kept)?;
        next = next.max(kept + 1);
    }
    close_between(next, u32::MAX)
}

/// Closes `first` up to but without `end`.
fn close_between(first: u32, end: u32) -> Result<(), Errno> {
    if first >= end {
        return Ok(());
    }
    // SAFETY: closing descriptors reads no memory of ours.
    unsafe { syscall(libc::SYS_close_range, [first as usize, (end - 1) as usize, 0, 0, 0, 0]) }?;
    Ok(())
}
