//! A request to run something, and what came of it.

use std::sync::Arc;

use crate::capture::{CapturePlan, Captured};
use crate::enforcement::Enforcement;
use crate::limits::{Limits, Usage};
use crate::network::{NetworkAccess, NetworkLog};
use crate::path::RelativePath;

/// A file placed in, or taken from, a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileEntry {
    /// Where it lies below the workspace.
    pub path: RelativePath,
    /// What it holds.
    pub content: Arc<[u8]>,
    /// Whether the owner may execute it.
    pub executable: bool,
}

impl FileEntry {
    /// A plain file.
    pub fn new(path: RelativePath, content: impl Into<Arc<[u8]>>) -> Self {
        Self { path, content: content.into(), executable: false }
    }
}

/// Which files are read back when the program has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Collect {
    /// None.
    #[default]
    Nothing,
    /// Every regular file below the workspace, within fixed bounds on count and size.
    Everything,
    /// These files, where they exist and are regular.
    Files(Vec<RelativePath>),
}

/// One program to run in a fresh cage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExecRequest {
    /// The program and its arguments. The program is an absolute path, a path relative to the workspace
    /// (`./a.out`), or a bare name looked up in the cage's `PATH`.
    pub argv: Vec<String>,
    /// Variables on top of the cage's own small set.
    pub env_vars: Vec<(String, String)>,
    /// Standard input, whole; an empty one reads as end of file.
    pub stdin: Arc<[u8]>,
    /// Files written to the workspace first.
    pub files: Vec<FileEntry>,
    /// Bounds on the run.
    pub limits: Limits,
    /// How much output is kept.
    pub capture: CapturePlan,
    /// Files to read back.
    pub collect: Collect,
    /// What it may reach over the network.
    pub network: NetworkAccess,
}

impl ExecRequest {
    /// A request with no input, no files and default limits.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env_vars: Vec::new(),
            stdin: Arc::from([].as_slice()),
            files: Vec::new(),
            limits: Limits::default(),
            capture: CapturePlan::default(),
            collect: Collect::Nothing,
            network: NetworkAccess::None,
        }
    }
}

/// The limit that ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitKind {
    /// [`Limits::cpu_time`].
    CpuTime,
    /// [`Limits::wall_time`].
    WallTime,
    /// [`Limits::idle_time`].
    IdleTime,
    /// [`Limits::memory`].
    Memory,
    /// [`Limits::output`].
    Output,
    /// [`Limits::processes`].
    Processes,
    /// [`Limits::file_size`].
    FileSize,
    /// [`Limits::disk`].
    DiskSpace,
}

impl LimitKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::CpuTime,
        Self::WallTime,
        Self::IdleTime,
        Self::Memory,
        Self::Output,
        Self::Processes,
        Self::FileSize,
        Self::DiskSpace,
    ];

    /// The name used in files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CpuTime => "cpu_time",
            Self::WallTime => "wall_time",
            Self::IdleTime => "idle_time",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Processes => "processes",
            Self::FileSize => "file_size",
            Self::DiskSpace => "disk_space",
        }
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Termination {
    /// It exited with this code.
    Exited {
        /// 0 to 255.
        code: u8,
    },
    /// A signal that no limit of ours explains ended it.
    Signaled {
        /// The signal's number on this architecture.
        signal: i32,
    },
    /// A limit ended it.
    LimitExceeded(LimitKind),
    /// The caller ended it.
    Cancelled,
}

impl Termination {
    /// Whether the program ended by itself with code 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Exited { code: 0 })
    }

    /// Whether a limit on time ended it. Such an end says something about the host's load too.
    pub const fn is_out_of_time(self) -> bool {
        match self {
            Self::LimitExceeded(kind) => match kind {
                LimitKind::CpuTime | LimitKind::WallTime | LimitKind::IdleTime => true,
                LimitKind::Memory
                | LimitKind::Output
                | LimitKind::Processes
                | LimitKind::FileSize
                | LimitKind::DiskSpace => false,
            },
            Self::Exited { .. } | Self::Signaled { .. } | Self::Cancelled => false,
        }
    }
}

/// How a program's process came to be. It makes no difference to the program but for time and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// It was executed.
    #[default]
    Cold,
    /// It is a copy of an interpreter that had initialised.
    Fork,
    /// It was executed ahead, and waited for its program.
    Spare,
}

impl Start {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Cold, Self::Fork, Self::Spare];

    /// The name used in reports and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Fork => "fork",
            Self::Spare => "spare",
        }
    }
}

/// Everything known about a finished run. A crash, a limit or a wrong answer is an outcome, not an error.
#[derive(Clone, Debug)]
pub struct ExecOutcome {
    /// How it ended.
    pub termination: Termination,
    /// How it began.
    pub start: Start,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// What it used.
    pub usage: Usage,
    /// What it did on the network, where it was allowed hosts.
    pub network: NetworkLog,
    /// What confined it. Shared, because it is the same for every run of a host.
    pub enforcement: Arc<Enforcement>,
    /// Files read back, as [`Collect`] asked; sorted by path.
    pub files: Vec<FileEntry>,
    /// Entries that [`Collect`] asked for and that were not regular files or did not fit the bounds.
    pub files_omitted: u64,
}
