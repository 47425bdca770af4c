//! What a hook is started from.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcage_api::{HookConfig, HookKind};

/// Longer than any checker should take, and short enough that a hang is found within a coffee's time.
const DEADLINE: Duration = Duration::from_secs(30);

/// A reward model of tens of gigabytes is loaded within it.
const START_DEADLINE: Duration = Duration::from_secs(300);

/// What a hook is started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSpec {
    /// What it is used as.
    pub kind: HookKind,
    /// The program and its arguments. Never empty.
    pub command: Vec<String>,
    /// Where its processes run; where we do unless given.
    pub directory: Option<PathBuf>,
    /// Processes at once.
    pub processes: NonZeroUsize,
    /// How long an answer may take.
    pub deadline: Duration,
    /// How long a process may take from its start to its description of itself.
    pub start_deadline: Duration,
}

impl HookSpec {
    /// A hook with as many processes as there are processors.
    pub fn new(kind: HookKind, command: Vec<String>) -> Self {
        Self {
            kind,
            command,
            directory: None,
            processes: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            deadline: DEADLINE,
            start_deadline: START_DEADLINE,
        }
    }

    /// A hook as a run file in `directory` describes it.
    pub fn from_config(kind: HookKind, config: &HookConfig, directory: &Path) -> Self {
        let HookConfig { command, processes, deadline, start } = config;
        let own = Self::new(kind, command.clone());
        let processes = processes.and_then(|processes| NonZeroUsize::try_from(processes).ok());
        Self {
            directory: (!directory.as_os_str().is_empty()).then(|| directory.to_owned()),
            processes: processes.unwrap_or(own.processes),
            deadline: deadline.map_or(own.deadline, |row| row.0),
            start_deadline: start.map_or(own.start_deadline, |row| row.0),
            ..own
        }
    }
}
