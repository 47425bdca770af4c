//! close_range(2), for processes that inherited more than they should keep.
#![expect(unsafe_code, reason = "rustix has no close_range")]

use rustix::io::Errno;

use crate::raw::syscall;

/// Closes every descriptor of this process but the standard streams and the two kept. Allocates nothing.
///
/// The caller must not use any other descriptor afterwards, which is why only a cloned process with a table of its
/// own calls this.
pub fn close_all_but(kept: [i32; 2]) -> Result<(), Errno> {
    let [low, high] = [kept[0].min(kept[1]).cast_unsigned(), kept[0].max(kept[1]).cast_unsigned()];
    close_between(3, low)?;
    close_between(low + 1, high)?;
    close_between(high + 1, u32::MAX)
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
