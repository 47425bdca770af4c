//! Cells of a session, run through the engine's admission.
//!
//! Owns the translation of what a session says of a cell into what a conversation keeps of it.

use std::sync::Arc;

use rollcage_language::Language;
use rollcage_rollout::{CellResult, SessionState};
use rollcage_sandbox::SandboxError;
use rollcage_session::live::LiveSpec;
use rollcage_session::{Cell, OpenError, Session, SessionError, SessionSpec};
use rollcage_types::{Captured, ExecOutcome, FileEntry, LimitOverrides, Termination, Usage};

use super::cages::Cages;
use super::compile::{Compilation, Compiled};
use super::engine::{Engine, Spent};
use super::error_chain::error_chain;
use super::live_cells::LiveConversation;
use super::plan::SessionMode;
use super::toolchain::ToolchainError;

/// Attempts at one cell where the session says that it may pass, the first included.
const ATTEMPTS_MAX: u32 = 3;

/// A cell that could not be run.
#[derive(Debug)]
pub(super) struct CellTrouble {
    pub(super) reason: String,
    /// Whether a later run of the same trajectory may fare better.
    pub(super) may_pass: bool,
}

/// What cells of one trajectory find of earlier ones.
#[derive(Debug)]
pub(super) enum Conversation {
    /// Their interpreter, or where this host has none their replay.
    Live(Box<LiveConversation>, Session),
    /// A replay of them, or nothing.
    Replay(Session),
}

impl Conversation {
    /// The language spoken. It has no session kind where each cell runs alone.
    pub(super) const fn language(&self) -> &Arc<Language> {
        match self {
            Self::Live(_, session) | Self::Replay(session) => session.language(),
        }
    }

    /// Runs one cell, after all that went before it.
    pub(super) async fn run(
        &mut self,
        engine: &Engine,
        code: &str,
        stdin: Option<&str>,
        spent: &mut Spent,
    ) -> Result<CellResult, CellTrouble> {
        let replay = match self {
            Self::Replay(session) => session,
            Self::Live(live, replay) => {
                let cages = engine.cages(replay.language()).await.map_err(|error| no_cages(&error))?;
                match cages.farm() {
                    Some(farm) => {
                        return live
                            .run(engine, farm, code, stdin.unwrap_or_default().as_bytes(), spent)
                            .await;
                    }
                    None => replay,
                }
            }
        };
        run_cell(engine, replay, code, stdin, spent).await
    }
}

fn no_cages(error: &ToolchainError) -> CellTrouble {
    CellTrouble { reason: error_chain(error), may_pass: error.is_retryable() }
}

/// Opens the session of one trajectory. Nothing runs yet.
pub(super) fn open_session(
    language: &Arc<Language>,
    mode: SessionMode,
    seed: u64,
    limits: &LimitOverrides,
    files: &[FileEntry],
) -> Result<Conversation, OpenError> {
    let language = match mode {
        SessionMode::Live | SessionMode::Replay => Arc::clone(language),
        SessionMode::Alone => {
            let mut alone = language.as_ref().clone();
            alone.session = None;
            Arc::new(alone)
        }
    };
    let seed = u32::try_from(seed >> 32).expect("the upper half of 64 bits fits 32");
    let spec = SessionSpec { seed, limits: limits.clone(), files: files.to_vec(), ..SessionSpec::default() };
    let session = Session::open(Arc::clone(&language), spec)?;
    if mode != SessionMode::Live || language.session.is_none() {
        return Ok(Conversation::Replay(session));
    }
    let limits = language.run_limits(limits);
    let spec = LiveSpec { seed, limits, files: files.to_vec(), ..LiveSpec::default() };
    Ok(Conversation::Live(Box::new(LiveConversation::new(language, spec)), session))
}

/// Runs one cell, after all that the session keeps. Dropping the future ends its cage and leaves the session as it
/// was.
async fn run_cell(
    engine: &Engine,
    session: &mut Session,
    code: &str,
    stdin: Option<&str>,
    spent: &mut Spent,
) -> Result<CellResult, CellTrouble> {
    let cages = engine.cages(session.language()).await.map_err(|error| no_cages(&error))?;
    let stdin = stdin.unwrap_or_default().as_bytes();
    let cell = Cell { source: Arc::from(code), stdin: Arc::from(stdin) };
    for attempt in 1.. {
        match try_cell(&cages, session, cell.clone(), spent).await {
            Ok(result) => return Ok(result),
            Err(error) if error.is_retryable() && attempt < ATTEMPTS_MAX => {}
            Err(error) => {
                return Err(CellTrouble { reason: error_chain(&error), may_pass: error.is_retryable() });
            }
        }
    }
    unreachable!("the last attempt returns")
}

async fn try_cell(
    cages: &Cages,
    session: &mut Session,
    cell: Cell,
    spent: &mut Spent,
) -> Result<CellResult, SessionError> {
    let mut request = session.request(&cell)?;
    let mut compiled = None;
    if session.compiles() {
        let Compilation { outcome, spent: own } =
            cages.compile(request).await.map_err(SessionError::Sandbox)?;
        *spent += own;
        if !outcome.termination.is_success() {
            return Ok(cell_result(Arc::unwrap_or_clone(outcome)));
        }
        let Compiled { files, .. } = compiled.insert(Compiled::of(&outcome));
        request = session.run_compiled_request(&cell, files.clone());
    }
    let ran = match cages.run(request).await {
        Ok(ran) => ran,
        // As the judge has it: what a program was made into is its own doing.
        Err(error) => {
            return match compiled.and_then(|compiled| compiled.unstarted(&error)) {
                Some(termination) => Ok(unstarted(termination, &error)),
                None => Err(SessionError::Sandbox(error)),
            };
        }
    };
    *spent += Spent { queue: ran.queue, run: ran.run, ..Spent::default() };
    Ok(cell_result(session.absorb(cell, ran.outcome)?.run))
}

/// A cell that never began, told as how it would have ended.
fn unstarted(termination: Termination, why: &SandboxError) -> CellResult {
    CellResult {
        termination,
        stdout: Captured::default(),
        stderr: Captured::whole(format!("{}\n", error_chain(why))),
        usage: Usage::default(),
        session: SessionState::Kept,
    }
}

/// A cell that left nothing behind does not lose what earlier cells defined: the session stands where it stood.
/// Where each cell runs alone, nothing was promised that could be lost.
fn cell_result(outcome: ExecOutcome) -> CellResult {
    let ExecOutcome { termination, stdout, stderr, usage, .. } = outcome;
    CellResult { termination, stdout, stderr, usage, session: SessionState::Kept }
}
