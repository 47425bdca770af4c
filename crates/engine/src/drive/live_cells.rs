//! Cells of a live session, run through the engine's admission.
//!
//! Owns when the session of a trajectory is opened (for its first cell, which says what its interpreter should have loaded) and
//! that one whose cell ended the interpreter is brought back, so that a conversation stands where it stood.

use std::sync::Arc;

use rollcage_language::Language;
use rollcage_rollout::{CellResult, SessionState};
use rollcage_sandbox::{BankError, Cancel};
use rollcage_session::live::{
    Farm, FarmError, LiveCell, LiveError, LiveOutcome, LiveSession, LiveSpec, LiveState,
};
use rollcage_types::{ByteSize, Usage};

use super::engine::{Engine, Spent};
use super::error_chain::error_chain;
use super::session_cells::CellTrouble;

/// Attempts at one cell where it may pass, the first included.
const ATTEMPTS_MAX: u32 = 3;

/// The live session of one trajectory.
#[derive(Debug)]
pub(super) struct LiveConversation {
    language: Arc<Language>,
    spec: LiveSpec,
    /// `None` before its first cell.
    session: Option<LiveSession>,
}

impl LiveConversation {
    /// Nothing runs yet.
    pub(super) const fn new(language: Arc<Language>, spec: LiveSpec) -> Self {
        Self { language, spec, session: None }
    }

    /// Runs one cell. Dropping the future interrupts it.
    pub(super) async fn run(
        &mut self,
        engine: &Engine,
        farm: Farm,
        code: &str,
        stdin: &[u8],
        spent: &mut Spent,
    ) -> Result<CellResult, CellTrouble> {
        let cell = LiveCell { stdin: Arc::from(stdin), ..LiveCell::new(code) };
        for attempt in 1.. {
            match self.try_run(engine, farm.clone(), cell.clone(), spent).await {
                Ok(outcome) => return Ok(cell_result(outcome)),
                // The session is brought back as it was before the cell.
                Err(error) if error.is_retryable() && attempt < ATTEMPTS_MAX => {
                    tracing::warn!(attempt, error = %error_chain(&error), "a cell failed, trying again");
                }
                Err(error) => {
                    return Err(CellTrouble { reason: error_chain(&error), may_pass: error.is_retryable() });
                }
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn try_run(
        &mut self,
        engine: &Engine,
        farm: Farm,
        cell: LiveCell,
        spent: &mut Spent,
    ) -> Result<LiveOutcome, LiveError> {
        let (opened, language, spec) = (self.session.clone(), Arc::clone(&self.language), self.spec.clone());
        let source = Arc::clone(&cell.source);
        let opening = move || match opened {
            Some(session) => Ok(session),
            None => open(&farm, &language, spec, source.as_bytes()).map_err(LiveError::Farm),
        };
        let session = engine.blocking(spent, opening).await?;
        self.session = Some(session.clone());
        let cancel = Cancel::new();
        let guard = CancelOnDrop(cancel.clone());
        let running = move || {
            if matches!(session.state(), LiveState::Poisoned(_)) {
                session.restore_until(&cancel)?;
            }
            session.execute_until(&cancel, &cell, &mut |_prompt| None)
        };
        let outcome = engine.blocking(spent, running).await;
        drop(guard);
        outcome
    }
}

/// With what the first cell imports loaded already, where that can be had.
fn open(
    farm: &Farm,
    language: &Arc<Language>,
    spec: LiveSpec,
    first: &[u8],
) -> Result<LiveSession, FarmError> {
    let preload = language.fork_recipe().and_then(|recipe| recipe.preload_for(first));
    let preload = preload.map(|preload| preload.name.clone());
    match farm.open(language, LiveSpec { preload: preload.clone(), ..spec.clone() }) {
        // What cannot be loaded ahead may not be there, which the cell will find.
        Err(FarmError::Bank(BankError::Server(error))) if preload.is_some() => {
            tracing::info!(%error, ?preload, "a session's interpreter has nothing loaded ahead");
            farm.open(language, spec)
        }
        opened => opened,
    }
}

/// Interrupts a cell, and whatever comes before it, when whoever waits for it is gone. After the cell it does nothing.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn cell_result(outcome: LiveOutcome) -> CellResult {
    let LiveOutcome { termination, stdout, stderr, usage, .. } = outcome;
    let usage = Usage {
        cpu_time: usage.cpu_time,
        wall_time: usage.wall_time,
        output: usage.output,
        // Of the session, not of one cell.
        memory: ByteSize::default(),
        processes: 0,
        disk: ByteSize::default(),
    };
    // One that was lost is brought back as it was before.
    CellResult { termination, stdout, stderr, usage, session: SessionState::Kept }
}
