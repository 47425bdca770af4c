//! What a pidfd tells of its process: see `PIDFD_GET_INFO` in linux/pidfd.h.
#![expect(unsafe_code, reason = "rustix has no such call")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::io::Errno;

use crate::raw::syscall;

/// `struct pidfd_info` as of Linux 6.13; its mask, its exit code, and what lies between.
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    numbers: [u32; 11],
    exit_code: i32,
}

const GET_INFO: usize = 0xc040_ff0b;
const _: () = assert!(size_of::<Info>() == 0x40, "as the call says");

/// Whether the kernel tells whoever has a pidfd how its process ended, as from Linux 6.15 on.
pub fn is_told_how_processes_end() -> bool {
    const SINCE: (u32, u32) = (6, 15);
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= SINCE)
}

/// How a process ended that has been waited for by its parent, whoever that is, as wait(2) encodes it. `None` if it has not, or
/// if the kernel does not tell, as before Linux 6.15.
pub fn exit_status(process: BorrowedFd<'_>) -> Option<i32> {
    /// `PIDFD_INFO_EXIT`.
    const EXIT: u64 = 1 << 3;
    let mut info = Info { mask: EXIT, ..Info::default() };
    let fd = (process.as_raw_fd() as isize).cast_unsigned();
    // SAFETY: the kernel reads and writes one structure, of the size that the call says.
    let asked = unsafe { syscall(libc::SYS_ioctl, [fd, GET_INFO, (&raw mut info) as usize, 0, 0, 0]) };
    match asked {
        Ok(_) => (info.mask & EXIT != 0).then_some(info.exit_code),
        Err(Errno::INTR) => exit_status(process),
        Err(_untold) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::process::Command;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn how_a_process_ended_is_told_once_it_was_waited_for() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        assert_eq!(exit_status(pidfd.as_fd()), None, "nobody has waited");
        child.wait().unwrap();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let numbers: Vec<u32> = release
            .split(|c: char| !c.is_ascii_digit())
            .map_while(|word| word.parse().ok())
            .take(2)
            .collect();
        let told = (numbers >= vec![6, 15]).then_some(7 << 8);
        assert_eq!(exit_status(pidfd.as_fd()), told, "Linux {release}");
    }
}
