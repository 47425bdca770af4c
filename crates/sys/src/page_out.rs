//! process_madvise(2): having another process's memory moved to swap.
#![expect(unsafe_code, reason = "rustix has no such call")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

use crate::raw::syscall;

/// Of one call; see `UIO_MAXIOV`.
const RANGES_MAX: usize = 1024;

/// Addresses of another process: where they begin, and how many bytes.
pub type Range = (usize, usize);

/// Asks the kernel to move the pages of these ranges out, of the process behind this pidfd. What cannot be moved stays.
pub fn page_out(process: BorrowedFd<'_>, ranges: &[Range]) -> Result<(), Errno> {
    /// `MADV_PAGEOUT` of Linux 5.4.
    const PAGE_OUT: usize = 21;
    /// process_madvise(2), of Linux 5.10.
    const PROCESS_MADVISE: libc::c_long = 440;
    for some in ranges.chunks(RANGES_MAX) {
        let vectors: Vec<libc::iovec> = some
            .iter()
            .map(|(start, length)| libc::iovec {
                iov_base: core::ptr::with_exposed_provenance_mut(*start),
                iov_len: *length,
            })
            .collect();
        let fd = (process.as_raw_fd() as isize).cast_unsigned();
        let args = [fd, vectors.as_ptr() as usize, vectors.len(), PAGE_OUT, 0, 0];
        // SAFETY: the kernel reads as many vectors as there are, and touches no content of either process.
        unsafe { syscall(PROCESS_MADVISE, args) }?;
    }
    Ok(())
}
