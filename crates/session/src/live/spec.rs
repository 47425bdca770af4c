//! What a session starts from, and what it is given.

use std::sync::Arc;
use std::time::Duration;

use rollcage_types::{CapturePlan, FileEntry, Limits};

use crate::live::outcome::CellLimits;

/// Processor time of all cells together, unless the caller says otherwise.
const TOTAL_TIME: Duration = Duration::from_secs(3600);

/// What a session starts from.
#[derive(Clone, Debug)]
pub struct LiveSpec {
    /// Seeds the generators of the language.
    pub seed: u32,
    /// Memory, disk, processes, files and stack are the session's; times and output are each cell's.
    pub limits: Limits,
    /// Processor time of all cells together.
    pub total_time: Duration,
    /// Files in the workspace when the first cell runs.
    pub files: Vec<FileEntry>,
    /// How much of a cell's output is kept.
    pub capture: CapturePlan,
    /// What of the language's preloads its interpreter has loaded.
    pub preload: Option<String>,
    /// Whether somebody answers where a cell asks for input; else it finds the end of input.
    pub asks: bool,
    /// Whether forks may be copies of the running interpreter, for which its programs are allowed one more system call. Otherwise
    /// every fork is a replay.
    pub forks: bool,
}

impl Default for LiveSpec {
    fn default() -> Self {
        Self {
            seed: 0,
            limits: Limits::default(),
            total_time: TOTAL_TIME,
            files: Vec::new(),
            capture: CapturePlan::default(),
            preload: None,
            asks: false,
            forks: false,
        }
    }
}

/// Code for one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCell {
    /// The source text, which runs unedited.
    pub source: Arc<str>,
    /// Standard input.
    pub stdin: Arc<[u8]>,
    /// Its limits, where they are not the session's.
    pub limits: Option<CellLimits>,
    /// Whether it is something that is not done twice: the session is then never put aside, and a restore leaves it out.
    pub once: bool,
}

impl LiveCell {
    /// A cell without input.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), stdin: Arc::from([].as_slice()), limits: None, once: false }
    }
}

/// What somebody says to a cell that asks for input; `None` refuses.
pub type Answer<'a> = dyn FnMut(&str) -> Option<Vec<u8>> + 'a;
