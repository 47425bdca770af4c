//! The confinement of a child, step by step.
#![expect(unsafe_code, reason = "raw system calls on a borrowed stack")]

use core::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::child::prepared::{PreparedChild, WORKSPACE_DESCRIPTOR};
use crate::child::stage::Stage;
use crate::raw::syscall;
use crate::{descriptors, landlock, seccomp};

/// Ends the calling process at once.
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: exit_group takes a plain number and reads no memory.
        let _never = unsafe { syscall(libc::SYS_exit_group, [code.cast_unsigned() as usize, 0, 0, 0, 0, 0]) };
    }
}

/// The order of steps is security. Each comment names what must come before or after.
///
/// # Safety
///
/// Every pointer in `prepared` must be valid.
pub(super) unsafe fn confine(prepared: &PreparedChild) -> Result<(), (Stage, Errno)> {
    let call = |stage: Stage, number, args| {
        // SAFETY: every use below passes numbers, or pointers into `prepared` or this frame that live until the
        // call returns, in the form its manual page asks for.
        unsafe { syscall(number, args) }.map_err(|errno| (stage, errno))
    };

    // Into the cgroup while still root, and first, so that all further work is charged to the cage. "0" moves
    // the writing task itself, which spares the kernel a machine-wide lock.
    for &fd in prepared.cgroups.iter().filter(|fd| **fd >= 0) {
        call(Stage::JoinCgroup, libc::SYS_write, [number(fd), c"0".as_ptr() as usize, 1, 0, 0, 0])?;
    }
    if prepared.hides_cgroups {
        // From inside the cgroup, which the namespace takes for its root. Its path on the host is none of the
        // program's business.
        let namespace = libc::CLONE_NEWCGROUP.cast_unsigned() as usize;
        call(Stage::CgroupNamespace, libc::SYS_unshare, [namespace, 0, 0, 0, 0, 0])?;
    }
    // A session of its own has no controlling terminal to inject input into.
    call(Stage::NewSession, libc::SYS_setsid, [0; 6])?;
    for (target, &fd) in prepared.stdio.iter().enumerate() {
        call(Stage::Stdio, libc::SYS_dup3, [number(fd), target, 0, 0, 0, 0])?;
    }
    call(Stage::Directory, libc::SYS_fchdir, [number(prepared.directory), 0, 0, 0, 0, 0])?;
    // Limits before the uid changes: raising a hard limit takes privilege.
    for limit in prepared.resource_limits.iter().take(prepared.resource_limits_len) {
        let values = [limit.soft, limit.hard];
        let args = [0, limit.resource as usize, values.as_ptr() as usize, 0, 0, 0];
        call(Stage::ResourceLimit, libc::SYS_prlimit64, args)?;
    }
    // The group first: changing it takes the privilege that changing the user gives up. There are no supplementary
    // groups to drop; the launcher has none.
    let gid = prepared.gid as usize;
    call(Stage::Gid, libc::SYS_setresgid, [gid, gid, gid, 0, 0, 0])?;
    let uid = prepared.uid as usize;
    call(Stage::Uid, libc::SYS_setresuid, [uid, uid, uid, 0, 0, 0])?;
    // In a user namespace the uid was never 0, and changing it takes nothing away.
    drop_capabilities().map_err(|errno| (Stage::Capabilities, errno))?;
    if prepared.allows_own_process_files {
        // SAFETY: the ruleset is a descriptor of this process.
        unsafe { allow_own_process_files(prepared.landlock) }
            .map_err(|errno| (Stage::OwnProcessFiles, errno))?;
    }
    // Without privilege, Landlock and seccomp both demand no_new_privs, which the launcher set for all it starts.
    let landlock = number(prepared.landlock);
    call(Stage::Landlock, libc::SYS_landlock_restrict_self, [landlock, 0, 0, 0, 0, 0])?;
    // After the last use of an inherited descriptor; before the filter, which need not allow it to us.
    let mut closed_from = WORKSPACE_DESCRIPTOR;
    if prepared.directory_kept {
        let (from, to) = (number(prepared.directory), number(WORKSPACE_DESCRIPTOR));
        call(Stage::CloseDescriptors, libc::SYS_dup3, [from, to, 0, 0, 0, 0])?;
        closed_from += 1;
    }
    // SAFETY: the list is valid by the contract of PreparedChild.
    let kept = unsafe { core::slice::from_raw_parts(prepared.kept, prepared.kept_len) };
    descriptors::close_from_but(closed_from, kept).map_err(|errno| (Stage::CloseDescriptors, errno))?;
    // The launcher blocks signals it reads from a descriptor; a program must not inherit that.
    let empty_mask: u64 = 0;
    let mask = [libc::SIG_SETMASK.cast_unsigned() as usize, (&raw const empty_mask) as usize, 0, 8, 0, 0];
    call(Stage::SignalMask, libc::SYS_rt_sigprocmask, mask)?;
    // SAFETY: the filter is valid by the contract of PreparedChild.
    let filter = unsafe { core::slice::from_raw_parts(prepared.filter, prepared.filter_len) };
    // The filter comes last, because it forbids most of the above.
    seccomp::install(filter).map_err(|errno| (Stage::Seccomp, errno))
}

/// Gives up what whoever makes a user namespace has in it: every set of capabilities, the bounding set too.
pub(super) fn relinquish_capabilities() -> Result<(), Errno> {
    for capability in 0.. {
        let args = [libc::PR_CAPBSET_DROP.cast_unsigned() as usize, capability, 0, 0, 0, 0];
        // SAFETY: takes plain numbers.
        match unsafe { syscall(libc::SYS_prctl, args) } {
            Ok(_) => {}
            // There are no more.
            Err(Errno::INVAL) if capability > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    drop_capabilities()
}

/// Empties the permitted, effective and inheritable sets, and with them the ambient one; see capabilities(7).
fn drop_capabilities() -> Result<(), Errno> {
    /// `_LINUX_CAPABILITY_VERSION_3`.
    const VERSION: u32 = 0x2008_0522;
    let header = [VERSION, 0];
    let nothing = [0_u32; 6];
    let args = [(&raw const header) as usize, (&raw const nothing) as usize, 0, 0, 0, 0];
    // SAFETY: version 3 reads a header of two words and two structs of three, which outlive the call.
    unsafe { syscall(libc::SYS_capset, args) }.map(|_zero| ())
}

/// What a program may read of itself. Not `net`, `mountinfo` or `cgroup`, which tell of the host; nor `task`, which holds
/// those again.
const OWN_PROCESS_FILES: [&CStr; 10] = [
    c"/proc/self/fd",
    c"/proc/self/fdinfo",
    c"/proc/self/maps",
    c"/proc/self/status",
    c"/proc/self/stat",
    c"/proc/self/statm",
    c"/proc/self/cmdline",
    c"/proc/self/environ",
    c"/proc/self/auxv",
    c"/proc/self/limits",
];

/// Adds files of the calling process's directory below /proc to `ruleset`, for reading.
///
/// # Safety
///
/// `ruleset` must be an open descriptor of this process.
unsafe fn allow_own_process_files(ruleset: i32) -> Result<(), Errno> {
    let flags = (libc::O_PATH | libc::O_CLOEXEC).cast_unsigned() as usize;
    // SAFETY: the caller vouches for `ruleset`.
    let ruleset = unsafe { BorrowedFd::borrow_raw(ruleset) };
    for (index, path) in OWN_PROCESS_FILES.iter().enumerate() {
        let args = [number(libc::AT_FDCWD), path.as_ptr() as usize, flags, 0, 0, 0];
        // SAFETY: the path is NUL-terminated and constant.
        let own = unsafe { syscall(libc::SYS_openat, args) }?;
        let own = i32::try_from(own).map_err(|_too_large| Errno::MFILE)?;
        // SAFETY: just opened, and closed with all others later.
        let own = unsafe { BorrowedFd::borrow_raw(own) };
        /// The first two are directories.
        const DIRECTORIES: usize = 2;
        let of_directory = if index < DIRECTORIES { landlock::access::READ_DIR } else { 0 };
        landlock::allow_beneath(ruleset, own, landlock::access::READ_FILE | of_directory)?;
    }
    Ok(())
}

/// A descriptor as a system call argument.
fn number(fd: i32) -> usize {
    (fd as isize).cast_unsigned()
}
