//! wait4(2) with resource usage, which rustix lacks.
#![expect(unsafe_code, reason = "rustix has no wait4 with rusage")]

use rustix::io::Errno;
use rustix::process::Pid;

use crate::raw::syscall;

/// A child that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Which.
    pub pid: Pid,
    /// As wait(2) encodes it.
    pub status: i32,
    /// User and system time of the child and the descendants it waited for, in microseconds.
    pub cpu_us: u64,
    /// Largest resident set of any of them, in KiB.
    pub max_rss_kib: u64,
}

/// Whether to wait for a child that has not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until one ends.
    Block,
    /// Not at all.
    Poll,
}

/// Reaps any child. `Ok(None)` means that children live and none has ended; ECHILD that there are none.
pub fn any_child(patience: Patience) -> Result<Option<Ended>, Errno> {
    let mut status: i32 = 0;
    // SAFETY: all-zero bytes are a valid rusage, a plain struct of integers.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    let options = if patience == Patience::Poll { libc::WNOHANG } else { 0 } | libc::__WALL;
    // SAFETY: `status` and `usage` are live and of the types wait4 writes.
    let pid = unsafe {
        syscall(
            libc::SYS_wait4,
            [
                usize::MAX,
                (&raw mut status) as usize,
                options.cast_unsigned() as usize,
                (&raw mut usage) as usize,
                0,
                0,
            ],
        )
    }?;
    let Some(pid) = Pid::from_raw(i32::try_from(pid).expect("a pid fits its type")) else {
        return Ok(None);
    };
    let micros = |time: libc::timeval| time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_usec.cast_unsigned();
    Ok(Some(Ended {
        pid,
        status,
        cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime),
        max_rss_kib: usage.ru_maxrss.cast_unsigned(),
    }))
}
