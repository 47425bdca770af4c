//! Which system calls a program may make.
//!
//! The list names what may pass; everything else answers ENOSYS, as an older kernel would, so that libraries
//! fall back. Calls that act on the machine rather than on the program answer EPERM, which says what happened.
//! The list is enforced by two filters: one the launcher installs once, and a short one for each program.
//! Names are grouped as in the section numbers of the manual.

use std::collections::BTreeMap;

use libc::{EAFNOSUPPORT, ENOMEM, ENOSYS, ENOTTY, EPERM, c_int, c_long};
use rollcage_sys::child::BRANCH_FLAGS;
use rollcage_sys::interface;
use rollcage_sys::seccomp::Instruction;

use rollcage_types::IsolationLevel;

use crate::protocol::Wiring;

use super::assemble::{Rule, Rules, asking_about_clones_with};
use super::shared_ground::{keeping_memory_in_processes, sharing_a_uid, sharing_the_host};

#[rustfmt::skip]
const FILES: &[c_long] = &[
    libc::SYS_read, libc::SYS_write, libc::SYS_open, libc::SYS_close, libc::SYS_stat, libc::SYS_fstat,
    libc::SYS_lstat, libc::SYS_poll, libc::SYS_lseek, libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_readv,
    libc::SYS_writev, libc::SYS_access, libc::SYS_pipe, libc::SYS_select, libc::SYS_dup, libc::SYS_dup2,
    libc::SYS_sendfile, libc::SYS_flock, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_truncate,
    libc::SYS_ftruncate, libc::SYS_getdents, libc::SYS_getdents64, libc::SYS_getcwd, libc::SYS_chdir,
    libc::SYS_fchdir, libc::SYS_rename, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_creat, libc::SYS_link,
    libc::SYS_unlink, libc::SYS_symlink, libc::SYS_readlink, libc::SYS_chmod, libc::SYS_fchmod, libc::SYS_chown,
    libc::SYS_fchown, libc::SYS_lchown, libc::SYS_umask, libc::SYS_utime, libc::SYS_mknod, libc::SYS_statfs,
    libc::SYS_fstatfs, libc::SYS_readahead, libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr,
    libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr, libc::SYS_listxattr, libc::SYS_llistxattr,
    libc::SYS_flistxattr, libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr,
    libc::SYS_fadvise64, libc::SYS_utimes, libc::SYS_openat, libc::SYS_mkdirat, libc::SYS_mknodat,
    libc::SYS_fchownat, libc::SYS_futimesat, libc::SYS_newfstatat, libc::SYS_unlinkat, libc::SYS_renameat,
    libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_readlinkat, libc::SYS_fchmodat, libc::SYS_faccessat,
    libc::SYS_pselect6, libc::SYS_ppoll, libc::SYS_splice, libc::SYS_tee, libc::SYS_sync_file_range,
    libc::SYS_vmsplice, libc::SYS_utimensat, libc::SYS_fallocate, libc::SYS_dup3, libc::SYS_pipe2,
    libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_renameat2, libc::SYS_copy_file_range, libc::SYS_preadv2,
    libc::SYS_pwritev2, libc::SYS_statx, libc::SYS_close_range, libc::SYS_openat2, libc::SYS_faccessat2,
    libc::SYS_fchmodat2,
];

#[rustfmt::skip]
const EVENTS: &[c_long] = &[
    libc::SYS_epoll_create, libc::SYS_epoll_ctl, libc::SYS_epoll_wait, libc::SYS_epoll_pwait,
    libc::SYS_epoll_create1, libc::SYS_epoll_pwait2, libc::SYS_signalfd, libc::SYS_signalfd4,
    libc::SYS_timerfd_create, libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime, libc::SYS_eventfd,
    libc::SYS_eventfd2,
];

#[rustfmt::skip]
const MEMORY: &[c_long] = &[
    libc::SYS_mprotect, libc::SYS_munmap, libc::SYS_brk, libc::SYS_mremap, libc::SYS_msync, libc::SYS_mincore,
    libc::SYS_madvise, libc::SYS_mlock, libc::SYS_munlock, libc::SYS_mlockall, libc::SYS_munlockall,
    libc::SYS_mlock2, libc::SYS_remap_file_pages, libc::SYS_mbind, libc::SYS_set_mempolicy,
    libc::SYS_get_mempolicy, libc::SYS_pkey_mprotect, libc::SYS_pkey_alloc, libc::SYS_pkey_free,
    libc::SYS_membarrier, libc::SYS_shmat, libc::SYS_shmctl, libc::SYS_shmdt,
];

#[rustfmt::skip]
const PROCESSES: &[c_long] = &[
    libc::SYS_fork, libc::SYS_vfork, libc::SYS_execve, libc::SYS_execveat, libc::SYS_exit, libc::SYS_exit_group,
    libc::SYS_wait4, libc::SYS_waitid, libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_getpid,
    libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getpgid, libc::SYS_setpgid, libc::SYS_getpgrp, libc::SYS_setsid,
    libc::SYS_getsid, libc::SYS_getuid, libc::SYS_getgid, libc::SYS_geteuid, libc::SYS_getegid, libc::SYS_setuid,
    libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_getgroups, libc::SYS_setgroups,
    libc::SYS_setresuid, libc::SYS_getresuid, libc::SYS_setresgid, libc::SYS_getresgid, libc::SYS_setfsuid,
    libc::SYS_setfsgid, libc::SYS_capget, libc::SYS_capset, libc::SYS_getrlimit, libc::SYS_setrlimit,
    libc::SYS_prlimit64, libc::SYS_getrusage, libc::SYS_times, libc::SYS_getpriority, libc::SYS_setpriority,
    libc::SYS_ioprio_get, libc::SYS_ioprio_set, libc::SYS_sched_yield, libc::SYS_sched_setparam,
    libc::SYS_sched_getparam, libc::SYS_sched_setscheduler, libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min, libc::SYS_sched_rr_get_interval,
    libc::SYS_sched_setaffinity, libc::SYS_sched_getaffinity, libc::SYS_sched_setattr, libc::SYS_sched_getattr,
    libc::SYS_getcpu, libc::SYS_arch_prctl, libc::SYS_set_tid_address, libc::SYS_set_robust_list,
    libc::SYS_get_robust_list, libc::SYS_rseq, libc::SYS_futex, libc::SYS_futex_waitv, libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
];

#[rustfmt::skip]
const SIGNALS_AND_TIME: &[c_long] = &[
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo, libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack, libc::SYS_pause, libc::SYS_alarm, libc::SYS_restart_syscall, libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep, libc::SYS_getitimer, libc::SYS_setitimer, libc::SYS_gettimeofday, libc::SYS_time,
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_timer_create, libc::SYS_timer_settime,
    libc::SYS_timer_gettime, libc::SYS_timer_getoverrun, libc::SYS_timer_delete,
];

#[rustfmt::skip]
const IPC_AND_INFORMATION: &[c_long] = &[
    libc::SYS_semget, libc::SYS_semop, libc::SYS_semctl, libc::SYS_semtimedop, libc::SYS_msgget, libc::SYS_msgsnd,
    libc::SYS_msgrcv, libc::SYS_msgctl, libc::SYS_mq_open, libc::SYS_mq_unlink, libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive, libc::SYS_mq_notify, libc::SYS_mq_getsetattr, libc::SYS_connect, libc::SYS_accept,
    libc::SYS_accept4, libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg,
    libc::SYS_sendmmsg, libc::SYS_recvmmsg, libc::SYS_shutdown, libc::SYS_bind, libc::SYS_listen,
    libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_setsockopt, libc::SYS_getsockopt, libc::SYS_uname,
    libc::SYS_sysinfo, libc::SYS_getrandom,
];

/// Calls that act on the machine, on other processes' memory, or on kernel surface no honest snippet needs.
#[rustfmt::skip]
const REFUSED: &[c_long] = &[
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_kcmp,
    libc::SYS_pidfd_getfd, libc::SYS_process_madvise, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot,
    libc::SYS_setns, libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_fsconfig,
    libc::SYS_fsmount, libc::SYS_fspick, libc::SYS_mount_setattr, libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_reboot, libc::SYS_sethostname,
    libc::SYS_setdomainname, libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module,
    libc::SYS_kexec_load, libc::SYS_kexec_file_load, libc::SYS_syslog, libc::SYS_acct, libc::SYS_quotactl,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_adjtimex, libc::SYS_clock_adjtime, libc::SYS_iopl,
    libc::SYS_ioperm, libc::SYS_vhangup, libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd,
    libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl, libc::SYS_fanotify_init, libc::SYS_fanotify_mark,
    libc::SYS_migrate_pages, libc::SYS_move_pages,
];

/// Flags of clone(2) that make namespaces. CLONE_NEWTIME is not among them: clone(2) reads its bit as part of
/// the exit signal.
const NEW_NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// What ioctl(2) may ask of a pipe, a socket or a file. All else is answered as if the file did not know it, drivers
/// and file systems having more of these than anyone has looked at.
const IOCTLS: [u32; 11] = [
    0x5401,      // TCGETS: is it a terminal?
    0x802c_542a, // TCGETS2: the same
    0x540f,      // TIOCGPGRP
    0x5411,      // TIOCOUTQ
    0x5413,      // TIOCGWINSZ
    0x541b,      // FIONREAD
    0x5421,      // FIONBIO
    0x5450,      // FIONCLEX
    0x5451,      // FIOCLEX
    // For stubs; a program has not the privilege.
    interface::SET_FLAGS,
    interface::SET_ADDRESS,
];

/// fcntl's F_NOTIFY, which like inotify(7), listed nowhere here, tells what others do with the files all cages see.
const WATCH_DIRECTORY: u32 = 1026;

/// Large pages come from a pool of the host's that no cage's memory limit counts: MAP_HUGETLB, MFD_HUGETLB and
/// SHM_HUGETLB, each with its call and the argument it is a bit of.
const LARGE_PAGES: [(c_long, u32, u32); 3] =
    [(libc::SYS_mmap, 3, 0x4_0000), (libc::SYS_memfd_create, 1, 0x4), (libc::SYS_shmget, 2, 0x800)];

/// personality(2): query, the default, and the default without address randomisation, which debuggers set.
const PERSONALITIES: [u32; 3] = [u32::MAX, 0, 0x0004_0000];

/// Calls the launcher and its stubs need to make cages, and that no program may make.
const CAGE_MAKING: &[c_long] = &[
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_clone3,
    libc::SYS_unshare,
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
    libc::SYS_seccomp,
];

pub(super) fn number(call: c_long) -> u32 {
    u32::try_from(call).expect("system call numbers are small and positive")
}

/// Families of sockets that a program may make without a network, and with one of its own.
const SEALED_FAMILIES: [c_int; 1] = [libc::AF_UNIX];
const WIRED_FAMILIES: [c_int; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

fn of_families(families: &[c_int]) -> Rule {
    let values = families.iter().map(|family| family.cast_unsigned()).collect();
    Rule::AllowIf { argument: 0, mask: u32::MAX, values, errno: EAFNOSUPPORT }
}

/// What the launcher itself runs under once it is set up, and so everything it clones: all rules but those that
/// would keep it from making cages. Compiling a long filter takes the kernel longer than making the cage's mounts,
/// so it is done once, here, and not for each program.
pub(crate) fn launcher_rules() -> Rules {
    let mut listed = BTreeMap::new();
    for group in [FILES, EVENTS, MEMORY, PROCESSES, SIGNALS_AND_TIME, IPC_AND_INFORMATION] {
        listed.extend(group.iter().map(|call| (number(*call), Rule::Allow)));
    }
    listed.extend(REFUSED.iter().map(|call| (number(*call), Rule::Fail(EPERM))));
    listed.insert(number(libc::SYS_socket), of_families(&WIRED_FAMILIES));
    listed.insert(number(libc::SYS_socketpair), of_families(&SEALED_FAMILIES));
    listed.insert(number(libc::SYS_clone), Rule::Allow);
    listed.extend(CAGE_MAKING.iter().map(|call| (number(*call), Rule::Allow)));
    let known = Rule::AllowIf { argument: 1, mask: u32::MAX, values: IOCTLS.to_vec(), errno: ENOTTY };
    listed.insert(number(libc::SYS_ioctl), known);
    let no_watching = Rule::FailIf { argument: 1, values: vec![WATCH_DIRECTORY], errno: EPERM };
    listed.insert(number(libc::SYS_fcntl), no_watching);
    for (call, argument, bit) in LARGE_PAGES {
        let without = Rule::AllowIf { argument, mask: bit, values: vec![0], errno: ENOMEM };
        listed.insert(number(call), without);
    }
    let no_own_filter =
        Rule::FailIf { argument: 0, values: vec![libc::PR_SET_SECCOMP.cast_unsigned()], errno: EPERM };
    listed.insert(number(libc::SYS_prctl), no_own_filter);
    let personality =
        Rule::AllowIf { argument: 0, mask: u32::MAX, values: PERSONALITIES.to_vec(), errno: EPERM };
    listed.insert(number(libc::SYS_personality), personality);
    Rules { listed, otherwise: Rule::Fail(ENOSYS) }
}

/// To whom the kernel charges memory that it holds for a program outside of any process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charge {
    /// The cage's control group.
    Group,
    /// Nobody, so that it could not be limited.
    Nobody,
}

/// Whether a program may be branched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branching {
    /// It may make no namespace in any way.
    Never,
    /// It may make those of a branch, where the supervisor agrees each time.
    Asked,
}

fn branch_flags() -> u32 {
    u32::try_from(BRANCH_FLAGS).expect("clone(2) takes 32 bits of flags")
}

/// Has the supervisor asked about every branch. For the launcher, before all else, so that everything it clones is under it.
pub(crate) fn branch_filter() -> Vec<Instruction> {
    asking_about_clones_with(number(libc::SYS_clone), branch_flags())
}

/// What each program takes on besides [`launcher_rules`]. The stricter answer of two filters holds.
pub(crate) fn program_rules(
    level: IsolationLevel,
    wiring: Wiring,
    charge: Charge,
    branching: Branching,
) -> Rules {
    let mut listed: BTreeMap<_, _> =
        CAGE_MAKING.iter().map(|call| (number(*call), Rule::Fail(EPERM))).collect();
    // A filter cannot read clone3's flags; libraries fall back to clone on ENOSYS.
    listed.insert(number(libc::SYS_clone3), Rule::Fail(ENOSYS));
    let mask = NEW_NAMESPACES.cast_unsigned();
    let clones = match branching {
        Branching::Never => Rule::AllowIf { argument: 0, mask, values: vec![0], errno: EPERM },
        Branching::Asked => Rule::AllowIfClearOr { argument: 0, mask, exact: branch_flags(), errno: EPERM },
    };
    listed.insert(number(libc::SYS_clone), clones);
    if wiring == Wiring::Sealed {
        listed.insert(number(libc::SYS_socket), of_families(&SEALED_FAMILIES));
    }
    match level {
        IsolationLevel::Full => {}
        IsolationLevel::Rootless => sharing_a_uid(&mut listed),
        IsolationLevel::Process => {
            sharing_a_uid(&mut listed);
            sharing_the_host(&mut listed);
        }
    }
    if charge == Charge::Nobody {
        keeping_memory_in_processes(&mut listed);
    }
    Rules { listed, otherwise: Rule::Allow }
}
