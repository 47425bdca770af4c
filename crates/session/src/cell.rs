//! One turn's code, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use rollcage_types::{ExecOutcome, LimitKind};

use crate::replay_cost::ReplayCost;

/// Code for one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The source text, which runs unedited.
    pub source: Arc<str>,
    /// Standard input, whole. A replay of the cell reads the same again.
    pub stdin: Arc<[u8]>,
}

impl Cell {
    /// A cell without input.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), stdin: Arc::from([].as_slice()) }
    }
}

/// What came of a cell.
#[derive(Clone, Debug)]
pub struct CellOutcome {
    /// Cells count from 1, those that were lost included; tracebacks name cells by this number.
    pub number: u32,
    /// What the outcome is of.
    pub stage: CellStage,
    /// The run, without the session's own files. Its usage includes the replay.
    pub run: ExecOutcome,
    /// What the cell left behind for later ones.
    pub effect: CellEffect,
    /// What replaying the earlier cells was measured to cost.
    pub replay_cost: ReplayCost,
}

impl CellOutcome {
    /// The cell's own share of the processor time: an estimate, because replays vary.
    pub fn own_cpu_time(&self) -> Duration {
        self.run.usage.cpu_time.saturating_sub(self.replay_cost.cpu_time)
    }
}

/// Which part of a turn an outcome tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellStage {
    /// The compiler failed; nothing ran.
    Compile,
    /// The cell ran.
    Run,
}

/// What a cell left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellEffect {
    /// Its state, which later cells find.
    Kept,
    /// Nothing: the session stands where it stood before the cell.
    Lost(LostReason),
    /// Nothing: in this language each cell runs alone.
    Stateless,
}

/// Why a cell left nothing behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostReason {
    /// A limit ended it.
    Limit(LimitKind),
    /// It ended the interpreter: by a signal, `os._exit`, `exec` and the like.
    InterpreterEnded,
    /// The caller ended it.
    Cancelled,
}
