//! System calls by number, and the way to one of them: which calls come before it, and what it is asked to do.

use std::fmt;

pub(super) const WRITE: u32 = 1;
pub(super) const POLL: u32 = 7;
pub(super) const MMAP: u32 = 9;
pub(super) const RT_SIGPROCMASK: u32 = 14;
pub(super) const IOCTL: u32 = 16;
pub(super) const SENDTO: u32 = 44;
pub(super) const SENDMSG: u32 = 46;
pub(super) const RECVMSG: u32 = 47;
pub(super) const BIND: u32 = 49;
pub(super) const LISTEN: u32 = 50;
pub(super) const SOCKETPAIR: u32 = 53;
pub(super) const CLONE: u32 = 56;
pub(super) const EXECVE: u32 = 59;
pub(super) const WAIT4: u32 = 61;
pub(super) const FLOCK: u32 = 73;
pub(super) const CHDIR: u32 = 80;
pub(super) const FCHDIR: u32 = 81;
pub(super) const MKDIR: u32 = 83;
pub(super) const CHMOD: u32 = 90;
pub(super) const SETSID: u32 = 112;
pub(super) const SETGROUPS: u32 = 116;
pub(super) const SETRESUID: u32 = 117;
pub(super) const SETRESGID: u32 = 119;
pub(super) const CAPGET: u32 = 125;
pub(super) const CAPSET: u32 = 126;
pub(super) const PIVOT_ROOT: u32 = 155;
pub(super) const PRCTL: u32 = 157;
pub(super) const MOUNT: u32 = 165;
pub(super) const UMOUNT2: u32 = 166;
pub(super) const SETHOSTNAME: u32 = 170;
pub(super) const EPOLL_WAIT: u32 = 232;
pub(super) const EPOLL_CTL: u32 = 233;
pub(super) const WAITID: u32 = 247;
pub(super) const MKNODAT: u32 = 259;
pub(super) const PPOLL: u32 = 271;
pub(super) const UNSHARE: u32 = 272;
pub(super) const SET_ROBUST_LIST: u32 = 273;
pub(super) const EPOLL_PWAIT: u32 = 281;
pub(super) const EVENTFD2: u32 = 290;
pub(super) const EPOLL_CREATE1: u32 = 291;
pub(super) const DUP3: u32 = 292;
pub(super) const PRLIMIT64: u32 = 302;
pub(super) const SECCOMP: u32 = 317;
pub(super) const MEMFD_CREATE: u32 = 319;
pub(super) const RSEQ: u32 = 334;
pub(super) const MOVE_MOUNT: u32 = 429;
pub(super) const FSOPEN: u32 = 430;
pub(super) const FSMOUNT: u32 = 432;
pub(super) const CLONE3: u32 = 435;
pub(super) const CLOSE_RANGE: u32 = 436;
pub(super) const MOUNT_SETATTR: u32 = 442;
pub(super) const LANDLOCK_CREATE_RULESET: u32 = 444;
pub(super) const LANDLOCK_ADD_RULE: u32 = 445;
pub(super) const LANDLOCK_RESTRICT_SELF: u32 = 446;

/// What an argument, by its number, must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    /// This value.
    Is(u32, u64),
    /// A value with all of these bits.
    Has(u32, u64),
    /// A value with none of these bits.
    Lacks(u32, u64),
}

/// A kind of call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way(pub(super) u32, pub(super) &'static [Argument]);

/// The call that comes after `skip` others which are of any of these kinds too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) ways: &'static [Way],
    pub(super) skip: u32,
    /// Only of the process that took the step before it.
    pub(super) is_same_process: bool,
}

impl Step {
    /// The same, of the process that took the step before it.
    pub(super) const fn of_same_process(self) -> Self {
        Self { is_same_process: true, ..self }
    }
}

/// Steps in their order.
#[derive(Clone, Debug)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl Steps {
    /// The calls that are asked about.
    pub(super) fn calls(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|step| step.ways).map(|way| way.0)
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ";" })?;
            f.write_str(if step.is_same_process { "@" } else { "" })?;
            for (index, Way(number, arguments)) in step.ways.iter().enumerate() {
                write!(f, "{}{number}", if index == 0 { "" } else { "|" })?;
                for argument in *arguments {
                    match argument {
                        Argument::Is(at, value) => write!(f, "/{at}={value}")?,
                        Argument::Has(at, bits) => write!(f, "/{at}&{bits}")?,
                        Argument::Lacks(at, bits) => write!(f, "/{at}!{bits}")?,
                    }
                }
            }
            write!(f, "*{}", step.skip)?;
        }
        Ok(())
    }
}

/// Makes a step of literal arrays.
macro_rules! step {
    ($($number:ident $([$($argument:expr),*])?)|+ ; $skip:expr) => {
        $crate::faults::calls::Step {
            ways: &[$($crate::faults::calls::Way($crate::faults::calls::$number, &[$($($argument),*)?])),+],
            skip: $skip,
            is_same_process: false,
        }
    };
    ($($number:ident $([$($argument:expr),*])?)|+) => {
        $crate::faults::calls::step!($($number $([$($argument),*])?)|+ ; 0)
    };
}
pub(super) use step;

const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_CHILD_SETTID: u64 = 0x0100_0000;

/// The launcher clones a stub.
pub(super) const STUB: Step = step!(CLONE[Argument::Has(0, CLONE_VM), Argument::Lacks(0, CLONE_VFORK)]);
/// A stub clones the program's process, in version 2 groups by the newer call.
pub(super) const CHILD: Step = step!(CLONE[Argument::Has(0, CLONE_VM | CLONE_VFORK)] | CLONE3);
/// A stub clones the program's process as a copy of its interpreter.
pub(super) const COPY: Step =
    step!(CLONE[Argument::Has(0, CLONE_CHILD_SETTID), Argument::Lacks(0, CLONE_VM)]);
