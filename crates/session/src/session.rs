//! The session: which cells it holds, and what a run says about them.
//!
//! [`Session::request`] and [`Session::absorb`] are pure, so that whoever drives cages by other means can use
//! them; [`Session::run`] puts a [`Host`] between the two.

use std::sync::Arc;

use rollcage_language::{Language, SessionKind};
use rollcage_sandbox::{Cancel, Host};
use rollcage_types::{
    CapturePlan, Collect, ExecOutcome, ExecRequest, FileEntry, LimitOverrides, Limits, NetworkAccess,
    RelativePath, Termination,
};

use crate::cell::{Cell, CellEffect, CellOutcome, CellStage, LostReason};
use crate::driver::{self, Driver};
use crate::error::{OpenError, SessionError};
use crate::replay_cost::ReplayCost;
use crate::report::{Ending, Report};

/// The work of a session grows with the square of its cells; conversations have tens.
const CELLS_MAX: usize = 256;

/// Longer cells are data that belongs into a file. All cells travel with each request.
const CELL_BYTES_MAX: usize = 1024 * 1024;

/// An exit in bash leaves a shell waiting for the one that goes on, and a second one where its EXIT trap exits too.
const SHELLS_PER_EXIT: u32 = 2;

/// What a session starts from.
#[derive(Clone, Debug, Default)]
pub struct SessionSpec {
    /// Seeds string hashes and the generators of the language, so that a replay draws the same numbers.
    pub seed: u32,
    /// Limits of one cell where they differ from the language's.
    pub limits: LimitOverrides,
    /// Files in the workspace when the first cell runs.
    pub files: Vec<FileEntry>,
    /// How much of a cell's output is kept.
    pub capture: CapturePlan,
    /// Files read back after each cell, where they exist.
    pub collect: Vec<RelativePath>,
}

/// Whether a session can run another cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It can.
    Ready,
    /// Its state could not be rebuilt; the text says why.
    Poisoned(String),
    /// Its owner closed it.
    Closed,
}

/// A conversation with an interpreter.
#[derive(Debug)]
pub struct Session {
    language: Arc<Language>,
    spec: SessionSpec,
    mode: Mode,
    limits: Limits,
    kept: Vec<KeptCell>,
    next_number: u32,
    replay_cost: ReplayCost,
    state: SessionState,
}

#[derive(Debug)]
enum Mode {
    Replay { kind: SessionKind, driver: Driver, argv: Vec<String> },
    Stateless,
}

#[derive(Debug)]
struct KeptCell {
    number: u32,
    cell: Cell,
    ending: Ending,
}

impl Session {
    /// Opens a session. Nothing runs before its first cell.
    pub fn open(language: Arc<Language>, spec: SessionSpec) -> Result<Self, OpenError> {
        let paths = spec.files.iter().map(|file| &file.path).chain(&spec.collect);
        if let Some(path) = paths.into_iter().find(|path| driver::is_reserved(path)) {
            return Err(OpenError::ReservedPath { path: path.clone() });
        }
        let driver = language.session.and_then(|kind| Some((kind, Driver::of(kind)?)));
        let mode = match driver {
            Some((kind, driver)) => Mode::Replay { kind, driver, argv: driver.argv(&language)? },
            None => Mode::Stateless,
        };
        let limits = language.run_limits(&spec.limits);
        Ok(Self {
            language,
            spec,
            mode,
            limits,
            kept: Vec::new(),
            next_number: 1,
            replay_cost: ReplayCost::default(),
            state: SessionState::Ready,
        })
    }

    /// Whether another cell can run.
    pub const fn state(&self) -> &SessionState {
        &self.state
    }

    /// The language spoken.
    pub const fn language(&self) -> &Arc<Language> {
        &self.language
    }

    /// Refuses all further cells.
    pub fn close(&mut self) {
        self.state = SessionState::Closed;
        self.kept.clear();
    }

    /// Runs a cell after all that went before it, and keeps it if it left state behind. Blocks.
    pub fn run(&mut self, host: &Host, cell: Cell, cancel: &Cancel) -> Result<CellOutcome, SessionError> {
        let mut request = self.request(&cell)?;
        if self.compiles() {
            let compiled = host.run(&request, cancel).map_err(SessionError::Sandbox)?;
            if !compiled.termination.is_success() {
                return Ok(self.stateless(CellStage::Compile, compiled));
            }
            request = self.run_compiled_request(&cell, compiled.files);
        }
        let outcome = host.run(&request, cancel).map_err(SessionError::Sandbox)?;
        self.absorb(cell, outcome)
    }

    /// The run that executes `cell` after all that went before it. In a compiled language it is the compiler's
    /// run, and [`Session::run_compiled_request`] follows it.
    pub fn request(&self, cell: &Cell) -> Result<ExecRequest, SessionError> {
        match &self.state {
            SessionState::Ready => {}
            SessionState::Poisoned(reason) => return Err(SessionError::Poisoned { reason: reason.clone() }),
            SessionState::Closed => return Err(SessionError::Closed),
        }
        for bytes in [cell.source.len(), cell.stdin.len()] {
            if bytes > CELL_BYTES_MAX {
                return Err(SessionError::CellTooLong { bytes, max: CELL_BYTES_MAX });
            }
        }
        match &self.mode {
            Mode::Replay { kind, driver, argv } => self.replay_request(*kind, *driver, argv, cell),
            Mode::Stateless => {
                let source = self.language.source_file(cell.source.as_bytes());
                let is_other = |file: &&FileEntry| file.path != source.path;
                let mut files: Vec<_> = self.spec.files.iter().filter(is_other).cloned().collect();
                files.push(source);
                let compile = self.language.compile_request(files.clone());
                Ok(compile.unwrap_or_else(|| self.alone_request(cell, files)))
            }
        }
    }

    /// Whether a cell takes a compiler's run before its own.
    pub fn compiles(&self) -> bool {
        matches!(self.mode, Mode::Stateless) && self.language.compile_command().is_some()
    }

    /// The run of a compiled cell, from the files the compiler's run gave back.
    pub fn run_compiled_request(&self, cell: &Cell, compiled: Vec<FileEntry>) -> ExecRequest {
        let is_new = |file: &&FileEntry| !compiled.iter().any(|known| known.path == file.path);
        let files = self.spec.files.iter().filter(is_new).cloned().collect::<Vec<_>>();
        self.alone_request(cell, compiled.into_iter().chain(files).collect())
    }

    /// Takes in what came of a run that [`Session::request`] described.
    pub fn absorb(&mut self, cell: Cell, mut outcome: ExecOutcome) -> Result<CellOutcome, SessionError> {
        if matches!(self.mode, Mode::Stateless) {
            return Ok(self.stateless(CellStage::Run, outcome));
        }
        let report = take_report(&mut outcome);
        let number = self.next_number;
        let termination = outcome.termination;
        let replay_cost = self.replay_cost;
        let effect = if termination == Termination::Cancelled {
            CellEffect::Lost(LostReason::Cancelled)
        } else {
            self.check_replay(&report, termination).inspect_err(|error| {
                if !error.is_retryable() {
                    self.state = SessionState::Poisoned(error.to_string());
                }
            })?;
            match (termination, report.ending(number)) {
                (Termination::Exited { code }, Some(ending)) if ending.exit_code() == code => {
                    self.kept.push(KeptCell { number, cell, ending: ending.clone() });
                    let usage = &outcome.usage;
                    self.replay_cost = ReplayCost { cpu_time: usage.cpu_time, wall_time: usage.wall_time };
                    CellEffect::Kept
                }
                (Termination::LimitExceeded(kind), _) => CellEffect::Lost(LostReason::Limit(kind)),
                // Without a report, or with one that the exit code belies, the driver did not end the run.
                (Termination::Exited { .. } | Termination::Signaled { .. } | Termination::Cancelled, _) => {
                    CellEffect::Lost(LostReason::InterpreterEnded)
                }
            }
        };
        self.next_number += 1;
        Ok(CellOutcome { number, stage: CellStage::Run, run: outcome, effect, replay_cost })
    }

    /// Confirms that every kept cell ended as it had, and that the new one began.
    fn check_replay(&self, report: &Report, termination: Termination) -> Result<(), SessionError> {
        let stopped = |cell| Err(SessionError::ReplayStopped { cell, termination });
        for kept in &self.kept {
            match report.ending(kept.number) {
                Some(again) if *again == kept.ending => {}
                Some(again) => {
                    let (first, again) = (kept.ending.clone(), again.clone());
                    return Err(SessionError::Diverged { cell: kept.number, first, again });
                }
                None => return stopped(kept.number),
            }
        }
        // With nothing to replay, a limit too small for the interpreter itself is the new cell's own.
        let is_own_limit = self.kept.is_empty() && matches!(termination, Termination::LimitExceeded(_));
        if report.has_started(self.next_number) || is_own_limit { Ok(()) } else { stopped(self.next_number) }
    }

    fn replay_request(
        &self,
        kind: SessionKind,
        driver: Driver,
        argv: &[String],
        cell: &Cell,
    ) -> Result<ExecRequest, SessionError> {
        if self.kept.len() >= CELLS_MAX {
            return Err(SessionError::TooManyCells { max: CELLS_MAX });
        }
        let mut cells: Vec<_> = self.kept.iter().map(|kept| (kept.number, &kept.cell)).collect();
        cells.push((self.next_number, cell));
        let mut files = driver.files(self.spec.seed, &cells);
        files.extend(self.spec.files.iter().cloned());

        let mut env_vars = self.language.env_vars.clone();
        let processes_waiting = match kind {
            SessionKind::Python
            | SessionKind::Sqlite
            | SessionKind::DuckDb
            | SessionKind::PostgreSql
            | SessionKind::Recipe => {
                env_vars.retain(|(name, _)| name != "PYTHONHASHSEED");
                env_vars.push(("PYTHONHASHSEED".to_owned(), self.spec.seed.to_string()));
                0
            }
            SessionKind::Bash => {
                let exits = self.kept.iter().filter(|kept| matches!(kept.ending, Ending::Exited(_)));
                exits.map(|_| SHELLS_PER_EXIT).sum()
            }
        };
        let limits = match self.kept.is_empty() {
            true => self.limits.clone(),
            false => self.replay_cost.added_to(&self.limits, processes_waiting)?,
        };
        let collect =
            Collect::Files(self.spec.collect.iter().cloned().chain([driver::report_path()]).collect());
        let stdin = Arc::clone(&cell.stdin);
        let capture = self.spec.capture;
        // Earlier cells are replayed, and no host may see them twice.
        let network = NetworkAccess::None;
        Ok(ExecRequest { argv: argv.to_vec(), env_vars, stdin, files, limits, capture, collect, network })
    }

    fn alone_request(&self, cell: &Cell, files: Vec<FileEntry>) -> ExecRequest {
        ExecRequest {
            stdin: Arc::clone(&cell.stdin),
            limits: self.limits.clone(),
            capture: self.spec.capture,
            collect: match self.spec.collect.as_slice() {
                [] => Collect::Nothing,
                paths => Collect::Files(paths.to_vec()),
            },
            ..self.language.run_request(files)
        }
    }

    fn stateless(&mut self, stage: CellStage, run: ExecOutcome) -> CellOutcome {
        let number = self.next_number;
        self.next_number += 1;
        CellOutcome { number, stage, run, effect: CellEffect::Stateless, replay_cost: ReplayCost::default() }
    }
}

/// Removes the driver's report from the files of a run. Only files the caller asked for are left.
fn take_report(outcome: &mut ExecOutcome) -> Report {
    let path = driver::report_path();
    let position = outcome.files.iter().position(|file| file.path == path);
    position.map_or_else(Report::default, |at| Report::parse(&outcome.files.remove(at).content))
}
