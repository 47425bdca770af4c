//! How many namespaces a session may have: bounds that the kernel keeps, below what filters and supervisors allow.
//!
//! They are files of `/proc/sys/user`, which show the limits of whoever opens them's user namespace; see namespaces(7). The
//! kernel counts for each user, and counts what is made in a namespace in every namespace around it too.

use core::ffi::CStr;
use std::os::fd::BorrowedFd;

use rollcage_sys::Errno;
use rustix::fs::{Mode, OFlags, openat};

use crate::small_text::SmallText;

/// Branches that one session has at a time, with the branches of these.
pub const BRANCHES_MAX: u32 = 256;

/// As many again, because namespaces are gone a while after their processes are.
const USER_NAMESPACES_MAX: u64 = 2 * BRANCHES_MAX as u64;

/// Kinds of which a branch has its trunk's.
const KINDS_SHARED: [&CStr; 5] = [
    c"user/max_net_namespaces",
    c"user/max_ipc_namespaces",
    c"user/max_uts_namespaces",
    c"user/max_cgroup_namespaces",
    c"user/max_time_namespaces",
];

/// Bounds the branches of each user of the calling process's user namespace, with the branches of these. `sys` is `/proc/sys`.
/// Allocates nothing.
pub(crate) fn bound_branches(sys: BorrowedFd<'_>) -> Result<(), Errno> {
    write(sys, c"user/max_user_namespaces", USER_NAMESPACES_MAX)
}

/// Forbids, in the calling process's user namespace, to make any namespace of a kind of which branches have none of their
/// own. `sys` is `/proc/sys`. Allocates nothing.
pub(crate) fn forbid_other_kinds(sys: BorrowedFd<'_>) -> Result<(), Errno> {
    KINDS_SHARED.iter().try_for_each(|kind| match write(sys, kind, 0) {
        // Not every kernel has every kind.
        Err(Errno::NOENT) => Ok(()),
        written => written,
    })
}

fn write(directory: BorrowedFd<'_>, file: &CStr, most: u64) -> Result<(), Errno> {
    let file = openat(directory, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, SmallText::new().number(most).as_bytes()).map(|_written| ())
}

#[cfg(test)]
#[expect(unsafe_code, reason = "has a child make its namespace before it executes")]
mod tests {
    use std::io;
    use std::os::fd::AsFd as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use rustix::fs::CWD;

    use super::*;
    use crate::rootless;

    /// Asks for namespaces in processes that stay, and says how many it got.
    const ASK: &str = "
import ctypes, os, signal, sys
kind, times = int(sys.argv[1], 16), int(sys.argv[2])
libc = ctypes.CDLL(None)
asked = []
made = 0
for _ in range(times):
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.write(writer, b'1' if libc.unshare(kind) == 0 else b'0')
        signal.pause()
    asked.append(process)
    made += os.read(reader, 1) == b'1'
    os.close(reader)
    os.close(writer)
for process in asked:
    os.kill(process, signal.SIGKILL)
print(made)
";

    type Bound = fn(BorrowedFd<'_>) -> Result<(), Errno>;

    /// How many namespaces of a kind can be made in a user namespace that is bounded so; `None` where there is none to be had.
    fn made(kind: u32, times: usize, bound: Bound) -> Option<usize> {
        let mut command = Command::new("python3");
        command.arg("-c").arg(ASK).arg(format!("{kind:x}")).arg(times.to_string());
        let enter = move || {
            rootless::become_root().map_err(|(_action, errno)| errno)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let sys = openat(CWD, c"/proc/sys", flags, Mode::empty())?;
            bound(sys.as_fd()).map_err(io::Error::from)
        };
        // SAFETY: makes system calls only.
        unsafe { command.pre_exec(enter) };
        match command.output() {
            Ok(output) => String::from_utf8(output.stdout).ok()?.trim().parse().ok(),
            Err(error) => {
                println!("skipped: quotas of namespaces, because there is no user namespace: {error}");
                None
            }
        }
    }

    #[test]
    fn a_user_makes_no_more_user_namespaces_than_branches_need() {
        const NEWUSER: u32 = 0x1000_0000;
        let most = usize::try_from(USER_NAMESPACES_MAX).unwrap();
        let Some(free) = made(NEWUSER, most + 8, |_sys| Ok(())) else { return };
        assert_eq!(free, most + 8, "nothing else bounds them");
        assert_eq!(made(NEWUSER, most + 8, bound_branches), Some(most));
    }

    #[test]
    fn a_branch_makes_no_namespace_of_another_kind() {
        // Network, messages, names and control groups.
        for kind in [0x4000_0000, 0x0800_0000, 0x0400_0000, 0x0200_0000] {
            let Some(free) = made(kind, 1, |_sys| Ok(())) else { return };
            assert_eq!((free, made(kind, 1, forbid_other_kinds)), (1, Some(0)), "{kind:x}");
        }
    }
}
