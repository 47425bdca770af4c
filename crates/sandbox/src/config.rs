//! How a host is set up, as its caller says.

use std::path::{Path, PathBuf};

use rollcage_types::{IsolationLevel, Mechanism};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Uid, geteuid};

use crate::error::HostError;
use crate::lease::{LOCKS_OF_ROOT, SLOTS_MAX};
use crate::workspace::is_private_to;

/// The program that becomes the launcher process.
#[derive(Clone, Debug)]
pub enum LauncherProgram {
    /// This executable, whose `main` calls [`crate::launcher_main_if_asked`] first.
    CurrentExecutable,
    /// Another executable that does.
    Path(PathBuf),
}

/// What programs find at their root, for reading only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RootTree {
    /// The host's own toolchains, below `/usr`, and what they need of `/etc`; nothing else of the host.
    #[default]
    HostToolchains,
    /// All of this directory, which is a root file system of its own: an unpacked image, say. Its `dev`, `proc`, `sys`,
    /// `run` and `tmp` are replaced by the cage's own.
    Directory(PathBuf),
}

/// What keeps the accounts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounting {
    /// Control groups; a host without them does not start.
    Kernel,
    /// Control groups where they can be had, else a look at the processes from time to time.
    Best,
    /// A look at the processes from time to time, whatever there is.
    Sampled,
}

impl Accounting {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Kernel, Self::Best, Self::Sampled];

    /// The name used in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Best => "best",
            Self::Sampled => "sampled",
        }
    }

    /// What a caller gets who names a level and nothing else: the strongest level is not weakened unasked.
    pub const fn usual_at(level: IsolationLevel) -> Self {
        match level {
            IsolationLevel::Full => Self::Kernel,
            IsolationLevel::Rootless | IsolationLevel::Process => Self::Best,
        }
    }
}

/// How a host is set up.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Cages alive at once; further runs wait.
    pub slots: usize,
    /// How cages are built. Nothing but this lowers it.
    pub isolation: IsolationLevel,
    /// What keeps their accounts.
    pub accounting: Accounting,
    /// Mechanisms that must be in force in full, or the host does not start.
    pub requires: Vec<Mechanism>,
    /// Where the template's mount point lies, and what cages without mounts write: on a local file system, and nobody
    /// else's to change. `None` is `/run/rollcage` for root, and for others `$XDG_RUNTIME_DIR/rollcage`, or without
    /// one `/tmp/rollcage-UID`.
    pub state_dir: Option<PathBuf>,
    /// What programs find at their root. Level process has no mounts, and takes the host's toolchains only.
    pub tree: RootTree,
    /// A directory that every workspace starts as: a view of it by overlayfs that is copied where it is changed, or at level
    /// process a copy. Its files must belong to one user and group, and at level rootless to the caller's. Of a view, files are read
    /// back that were written.
    pub base: Option<PathBuf>,
    /// A directory that programs find at [`crate::PREPARED_PATH`], for reading only; what comes into it later too. Level
    /// process has no mounts, and shows none.
    pub prepared: Option<PathBuf>,
    /// Whether programs can be executed ahead: see [`crate::Spare`].
    pub spares: bool,
    /// What to start as the launcher.
    pub launcher: LauncherProgram,
}

impl Default for HostConfig {
    /// At level full, with four slots for each processor. Short programs keep the processors busy only if some slots run
    /// while others have their cage unmade and the next one made; measured on two processors, eight slots carry a
    /// fifth more runs than four.
    fn default() -> Self {
        Self::at(IsolationLevel::Full)
    }
}

impl HostConfig {
    /// At this level.
    pub fn at(isolation: IsolationLevel) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            slots: (processors * 4).min(SLOTS_MAX),
            isolation,
            accounting: Accounting::usual_at(isolation),
            requires: Vec::new(),
            state_dir: None,
            tree: RootTree::HostToolchains,
            base: None,
            prepared: None,
            spares: false,
            launcher: LauncherProgram::CurrentExecutable,
        }
    }

    /// The state directory, which exists and is the caller's own afterwards.
    pub(crate) fn make_state_dir(&self) -> Result<PathBuf, HostError> {
        let user = geteuid();
        let path = match &self.state_dir {
            Some(path) => path.clone(),
            None if user.is_root() => PathBuf::from(LOCKS_OF_ROOT),
            None => usual_state_dir(user),
        };
        make_own(&path, user)?;
        Ok(path)
    }
}

fn usual_state_dir(user: Uid) -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        Some(runtime) if runtime.is_dir() => runtime.join("rollcage"),
        _ => PathBuf::from(format!("/tmp/rollcage-{}", user.as_raw())),
    }
}

/// Below `/tmp` somebody else may have made it first, to change what is in it later.
fn make_own(path: &Path, user: Uid) -> Result<(), HostError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let failed =
        |action| move |source: std::io::Error| HostError::Path { action, path: path.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(failed("create"))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let is_own = openat(CWD, path, flags, Mode::empty())
        .and_then(|open| is_private_to(&open, user.as_raw()))
        .map_err(|errno| failed("look at")(errno.into()))?;
    if is_own { Ok(()) } else { Err(failed("trust")(Errno::PERM.into())) }
}
