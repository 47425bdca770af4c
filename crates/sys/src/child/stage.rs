//! The steps of making a cage that can fail, and where a failure is left.

use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::io::Errno;

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
    /// The child that is a copy of an interpreter registers its thread with the kernel.
    Register = 34, "register the program's thread";
    /// The same child gets descriptors of its own in place of the interpreter's.
    OwnDescriptors = 35, "replace the interpreter's own descriptors";
    /// The same child gets the interpreter's directories in a `/tmp` of its own.
    OwnDirectories = 36, "make the interpreter's directories for temporary files";
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
