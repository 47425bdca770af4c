//! What a program must not do where a namespace or a uid of its own would have made it harmless.

use std::collections::BTreeMap;

use libc::{EAFNOSUPPORT, ENOSYS, EPERM, c_long};

use super::assemble::Rule;
use super::list::number;

/// Calls whose first argument is a process, 0 meaning the caller. The cage's first process has the program's uid below
/// level full, and a limit or a priority of its would be the program's to set.
const ON_PROCESSES: [c_long; 5] = [
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
];

/// Names by which processes meet in the IPC namespace, which is the host's.
const MEETING_PLACES: [c_long; 12] = [
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semctl,
    libc::SYS_semtimedop,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];

/// Memory that belongs to no process and to no file system with a size.
const LOOSE_MEMORY: [c_long; 2] = [libc::SYS_memfd_create, libc::SYS_memfd_secret];

/// Changes to files by name that Landlock does not look at. Those by descriptor need none: what was opened was allowed.
#[rustfmt::skip]
const ON_NAMES: [c_long; 12] = [
    libc::SYS_chmod, libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_chown, libc::SYS_lchown,
    libc::SYS_fchownat, libc::SYS_utime, libc::SYS_utimes, libc::SYS_setxattr, libc::SYS_lsetxattr,
    libc::SYS_removexattr, libc::SYS_lremovexattr,
];

/// They reach all processes of a user.
const PRIORITIES: [c_long; 2] = [libc::SYS_setpriority, libc::SYS_ioprio_set];

/// Below level full all processes of a cage, and at level process all cages, run as one user.
pub(super) fn sharing_a_uid(listed: &mut BTreeMap<u32, Rule>) {
    for call in ON_PROCESSES {
        let only_own = Rule::AllowIf { argument: 0, mask: u32::MAX, values: vec![0], errno: EPERM };
        listed.insert(number(call), only_own);
    }
}

/// Where no control group is charged, memory is what a process has mapped, and may be nowhere else.
pub(super) fn keeping_memory_in_processes(listed: &mut BTreeMap<u32, Rule>) {
    listed.extend(MEETING_PLACES.iter().chain(&LOOSE_MEMORY).map(|call| (number(*call), Rule::Fail(ENOSYS))));
}

/// Without namespaces the host's files, sockets and rendezvous are there to be named.
pub(super) fn sharing_the_host(listed: &mut BTreeMap<u32, Rule>) {
    listed.extend(MEETING_PLACES.iter().map(|call| (number(*call), Rule::Fail(ENOSYS))));
    listed.extend(ON_NAMES.iter().chain(&PRIORITIES).map(|call| (number(*call), Rule::Fail(EPERM))));
    // With a name the file is looked up, and Landlock does not look at it; with none it is a descriptor's.
    for (call, name) in [(libc::SYS_utimensat, 1), (libc::SYS_futimesat, 1)] {
        listed.insert(number(call), Rule::AllowIfNull { argument: name, errno: EPERM });
    }
    // A service's socket is a file that connect(2) looks up, and Landlock does not look at that either. Pairs of
    // connected sockets are harmless where a message cannot name another receiver.
    listed.insert(number(libc::SYS_socket), Rule::Fail(EAFNOSUPPORT));
    let connected = vec![libc::SOCK_STREAM.cast_unsigned(), libc::SOCK_SEQPACKET.cast_unsigned()];
    let type_bits = 0xf;
    listed.insert(
        number(libc::SYS_socketpair),
        Rule::AllowIf { argument: 1, mask: type_bits, values: connected, errno: EPERM },
    );
}
