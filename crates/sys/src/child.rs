//! Everything the program's process does between clone and exec.
//!
//! The process shares the launcher's memory until execve, so this code allocates nothing, locks nothing, logs
//! nothing and cannot panic. All it needs was compiled beforehand into a [`PreparedChild`]. It reports failure
//! as a stage and an errno through [`Failure`].
#![expect(unsafe_code, reason = "raw system calls on a borrowed stack")]

use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::landlock;
use crate::raw::syscall;
use crate::seccomp::{self, Instruction};

macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// A step of making a cage that can fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Stage {
            $($(#[$doc])* $name = $number,)*
        }

        impl Stage {
            /// Every stage, in the order in which they happen.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stage a number stands for.
            pub fn from_number(number: u32) -> Option<Self> {
                Self::ALL.iter().copied().find(|stage| *stage as u32 == number)
            }

            /// What was being done, to follow the word "cannot".
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

stages! {
    /// The launcher clones PID 1 of the cage.
    CloneStub = 1, "clone the cage's first process";
    /// The stub of a rootless cage maps the one id there is.
    MapIds = 2, "map the cage's user and group";
    /// The stub of a rootless cage empties its bounding set, which a new user namespace fills.
    BoundingSet = 3, "drop the cage's capability bounding set";
    /// The stub without a pid namespace takes in what the program leaves behind.
    Subreaper = 4, "adopt the program's orphans";
    /// The stub without a pid namespace gives up signalling all but its own tree.
    SignalScope = 5, "scope the signals of the cage's first process";
    /// The stub of a cage with a network enters one of its own.
    Network = 31, "make the cage's own network";
    /// The stub closes what it must not keep.
    CloseLaunchers = 6, "close the launcher's descriptors";
    /// The stub mounts /proc for the new pid namespace.
    MountProc = 7, "mount /proc in the cage";
    /// The stub of a rootless cage makes the file system its program may write to.
    MountWorkspace = 8, "mount the cage's own file system";
    /// The stub says that it waits, where the supervisor has to know.
    Announce = 9, "announce the cage";
    /// The stub receives the request.
    Receive = 10, "receive the request in the cage";
    /// The stub mounts the workspace.
    MountWork = 11, "mount the workspace";
    /// The stub lays the workspace over the directory that it starts from.
    MountBase = 33, "lay the workspace over its base";
    /// The stub mounts /tmp.
    MountTmp = 12, "mount /tmp in the cage";
    /// The stub of a rootless cage gives the workspace the size asked for.
    ResizeWorkspace = 13, "set the workspace's size";
    /// The stub without a mount namespace makes rules for this program's directory.
    Rules = 14, "make the program's landlock rules";
    /// The stub binds what the supervisor's relay will serve.
    Listen = 32, "bind the relay's sockets in the cage's network";
    /// The stub clones the program's process.
    CloneChild = 15, "clone the program's process";
    /// The child enters its cgroup.
    JoinCgroup = 16, "enter the cage's cgroup";
    /// The child makes its cgroup the root of all it sees.
    CgroupNamespace = 17, "enter a new cgroup namespace";
    /// The child starts a session without a terminal.
    NewSession = 18, "start a new session";
    /// The child puts the pipes in place.
    Stdio = 19, "connect the standard streams";
    /// The child enters the workspace.
    Directory = 20, "enter the workspace";
    /// The child takes on its resource limits.
    ResourceLimit = 21, "set a resource limit";
    /// The child drops its group.
    Gid = 22, "change the group id";
    /// The child drops its user, and with it every capability.
    Uid = 23, "change the user id";
    /// The child drops the capabilities that being nobody does not take.
    Capabilities = 24, "drop capabilities";
    /// The child allows itself its own directory of /proc, where all processes of the host lie beside it.
    OwnProcessFiles = 25, "allow the program its own directory in /proc";
    /// The child takes on the Landlock rules.
    Landlock = 26, "enforce the landlock rules";
    /// The child closes what it must not inherit.
    CloseDescriptors = 27, "close inherited descriptors";
    /// The child unblocks signals.
    SignalMask = 28, "reset the signal mask";
    /// The child takes on the system call filter.
    Seccomp = 29, "install the system call filter";
    /// The child becomes the program.
    Exec = 30, "execute the program";
}

/// Where a stub or child leaves the reason it could not go on.
#[derive(Debug, Default)]
pub struct Failure {
    stage: AtomicU32,
    errno: AtomicI32,
}

impl Failure {
    /// Forgets an earlier failure.
    pub fn clear(&self) {
        self.stage.store(0, Ordering::Relaxed);
        self.errno.store(0, Ordering::Relaxed);
    }

    /// Leaves a reason; the reader is woken by other means.
    pub fn record(&self, stage: Stage, errno: Errno) {
        self.errno.store(errno.raw_os_error(), Ordering::Relaxed);
        self.stage.store(stage as u32, Ordering::Relaxed);
    }

    /// The reason, if one was left.
    pub fn read(&self) -> Option<(Stage, Errno)> {
        let stage = Stage::from_number(self.stage.load(Ordering::Relaxed))?;
        Some((stage, Errno::from_raw_os_error(self.errno.load(Ordering::Relaxed))))
    }
}

/// One `setrlimit` to make.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceLimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Padding, so that the layout has no holes.
    pub reserved: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Cgroup descriptors a child may have to join: one per version 1 hierarchy.
pub const CGROUPS_MAX: usize = 4;
/// Resource limits a child takes on.
pub const RESOURCE_LIMITS_MAX: usize = 10;
/// Where a program finds its workspace open, if it is kept open for it: as `/proc/self/fd/3` it is a path that holds
/// wherever the workspace lies.
pub const WORKSPACE_DESCRIPTOR: i32 = 3;

/// All a child needs, as numbers and pointers to memory that outlives its execve.
#[derive(Debug)]
pub struct PreparedChild {
    /// `tasks` (v1) or `cgroup.procs` (v2) files open for writing; -1 where unused.
    pub cgroups: [i32; CGROUPS_MAX],
    /// Descriptors that become 0, 1 and 2; each above [`WORKSPACE_DESCRIPTOR`].
    pub stdio: [i32; 3],
    /// The workspace, open as a directory.
    pub directory: i32,
    /// Whether the program keeps it open.
    pub directory_kept: bool,
    /// Whether the program gets a cgroup namespace.
    pub hides_cgroups: bool,
    /// Whether the rules lack the program's own directory below /proc, which exists only now.
    pub allows_own_process_files: bool,
    /// The first `resource_limits_len` are set.
    pub resource_limits: [ResourceLimit; RESOURCE_LIMITS_MAX],
    /// How many.
    pub resource_limits_len: usize,
    /// User and group of the program; neither is 0.
    pub uid: u32,
    /// See `uid`.
    pub gid: u32,
    /// A Landlock ruleset.
    pub landlock: i32,
    /// The system call filter.
    pub filter: *const Instruction,
    /// Its length.
    pub filter_len: usize,
    /// Paths to try, in order, NULL at the end.
    pub programs: *const *const c_char,
    /// As execve wants it.
    pub argv: *const *const c_char,
    /// As execve wants it.
    pub envp: *const *const c_char,
    /// Where a failure goes.
    pub failure: *const Failure,
}

/// Confines the calling process and becomes the program. For [`crate::clone::spawn_sharing_memory`].
///
/// # Safety
///
/// `argument` points to a [`PreparedChild`] whose every pointer is valid until this process has called execve
/// or ended.
pub unsafe extern "C" fn confine_and_exec(argument: *mut c_void) -> ! {
    // SAFETY: the caller passes a live PreparedChild that nobody changes while we run.
    let prepared = unsafe { &*argument.cast_const().cast::<PreparedChild>() };
    // SAFETY: the caller vouches for every pointer inside.
    let (stage, errno) = match unsafe { confine(prepared) } {
        Err(failed) => failed,
        // SAFETY: as above.
        Ok(()) => (Stage::Exec, unsafe { execute(prepared) }),
    };
    // SAFETY: `failure` is valid by the contract of PreparedChild.
    unsafe { &*prepared.failure }.record(stage, errno);
    exit(127)
}

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
unsafe fn confine(prepared: &PreparedChild) -> Result<(), (Stage, Errno)> {
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
    let range = [number(closed_from), u32::MAX as usize, 0, 0, 0, 0];
    call(Stage::CloseDescriptors, libc::SYS_close_range, range)?;
    // The launcher blocks signals it reads from a descriptor; a program must not inherit that.
    let empty_mask: u64 = 0;
    let mask = [libc::SIG_SETMASK.cast_unsigned() as usize, (&raw const empty_mask) as usize, 0, 8, 0, 0];
    call(Stage::SignalMask, libc::SYS_rt_sigprocmask, mask)?;
    // SAFETY: the filter is valid by the contract of PreparedChild.
    let filter = unsafe { core::slice::from_raw_parts(prepared.filter, prepared.filter_len) };
    // The filter comes last, because it forbids most of the above.
    seccomp::install(filter).map_err(|errno| (Stage::Seccomp, errno))
}

/// Empties the permitted, effective and inheritable sets; see capabilities(7).
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

/// Tries each path in turn and returns why the most telling one failed.
///
/// # Safety
///
/// Every pointer in `prepared` must be valid.
unsafe fn execute(prepared: &PreparedChild) -> Errno {
    let mut answer = Errno::NOENT;
    let mut at = prepared.programs;
    loop {
        // SAFETY: `programs` is a list of pointers that ends with NULL, and `at` has not passed it.
        let path = unsafe { *at };
        if path.is_null() {
            return answer;
        }
        let args = [path as usize, prepared.argv as usize, prepared.envp as usize, 0, 0, 0];
        // SAFETY: the path is NUL-terminated and both lists end with NULL.
        if let Err(errno) = unsafe { syscall(libc::SYS_execve, args) } {
            // Like execvp(3): a file that is there but may not run says more than one that is missing.
            if errno != Errno::NOENT && errno != Errno::NOTDIR {
                answer = errno;
            }
        }
        // SAFETY: the element just read was not the last.
        at = unsafe { at.add(1) };
    }
}

/// A descriptor as a system call argument.
fn number(fd: i32) -> usize {
    (fd as isize).cast_unsigned()
}
