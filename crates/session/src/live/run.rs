//! Running one cell in a session that is live.

use std::sync::Arc;
use std::time::Duration;

use rollcage_sandbox::{Cancel, Turn, TurnEnd, TurnError, TurnLimits};
use rollcage_types::Termination;

use crate::cell::CellEffect;
use crate::live::agent::Agent;
use crate::live::budget::Promise;
use crate::live::error::LiveError;
use crate::live::inner::{Inner, Stand};
use crate::live::log::{Entry, EntryId, LoggedCell, Recorded};
use crate::live::outcome::{CellLimits, LiveOutcome};
use crate::live::room::Busy;
use crate::live::session::Shared;
use crate::live::spec::{Answer, LiveCell};

/// What a cell has to end after an interrupt. Python itself gives a child that it waits for a quarter of a second.
const GRACE: Duration = Duration::from_secs(2);

impl Inner {
    /// What a cell may still take, kept free for it.
    pub(super) fn room_for_cell<'a>(
        &mut self,
        shared: &'a Shared,
        cancel: &Cancel,
    ) -> Result<(Promise, Busy<'a>), LiveError> {
        let live = self.live()?;
        live.cage.settle_memory_limit().map_err(LiveError::Sandbox)?;
        let limit = live.cage.memory_limit().as_u64();
        let kept = live.promise.as_ref().map_or(0, Promise::bytes);
        // What it has counts twice so, but need not be asked for while there is plenty.
        let plenty = shared.farm.budget.promise(limit.saturating_sub(kept));
        let more = match plenty {
            Some(more) => more,
            None => {
                let now = live.cage.memory().map_err(LiveError::Sandbox)?.as_u64();
                shared.farm.room_for(limit.saturating_sub(now).saturating_sub(kept), cancel)?
            }
        };
        let promise = match live.promise.take() {
            Some(kept) => kept.and(more),
            None => more,
        };
        Ok((promise, shared.farm.budget.room.busy()))
    }

    /// What was promised to a cell goes on to what it left running. What comes back is not needed any more.
    pub(super) fn settle(&mut self, shared: &Shared, mut promise: Promise) -> Option<Promise> {
        match &mut self.stand {
            Stand::Live(live) if live.left_running(shared.agent.tasks).unwrap_or(true) => {
                let now = live.cage.memory().unwrap_or_default().as_u64();
                promise.shrink_to(live.cage.memory_limit().as_u64().saturating_sub(now));
                live.promise = Some(promise);
                None
            }
            Stand::Live(_) | Stand::Evicted(_) | Stand::Poisoned(_) | Stand::Closed => Some(promise),
        }
    }

    pub(super) fn execute(
        &mut self,
        shared: &Shared,
        cell: &LiveCell,
        cancel: &Cancel,
        answer: &mut Answer<'_>,
    ) -> Result<LiveOutcome, LiveError> {
        let spec = &shared.spec;
        let number = self.next_number;
        let limits = cell.limits.clone().unwrap_or_else(|| CellLimits::from(&spec.limits));
        let mut answers = Vec::new();
        let mut answered = |prompt: &[u8]| {
            // Its agent asks nobody then: the program itself did.
            let line = spec.asks.then(|| answer(&String::from_utf8_lossy(prompt))).flatten();
            answers.push(line.clone());
            Agent::answer(line.as_deref())
        };
        let turn = Turn {
            number,
            order: &shared.agent.cell(number, cell.source.as_bytes(), &cell.stdin),
            limits: &turn_limits(&limits),
            capture: spec.capture,
            interrupts: shared.agent.interrupts,
        };
        let live = self.live()?;
        live.parked = None;
        let done = match live.cage.execute(&turn, cancel, &mut answered) {
            Ok(done) => done,
            Err(TurnError::NotBegun(error)) => return Err(LiveError::Sandbox(error)),
            Err(TurnError::CutOff(error)) => {
                // Whatever it was doing, nothing is known of it any more.
                self.leave(&shared.farm, Stand::Poisoned(error.to_string()));
                return Err(LiveError::Sandbox(error));
            }
        };
        let lost = match &done.end {
            TurnEnd::Done(_) => None,
            TurnEnd::Ended(how) => {
                Some(format!("cell {number} ended its interpreter, which {}", how_told(how)))
            }
            TurnEnd::Lost(why) => Some(format!("cell {number} cut it off: {why}")),
        };
        let outcome = LiveOutcome::of(number, done, self.rehydrated.take());
        if let Stand::Live(live) = &mut self.stand {
            live.note_ending(&shared.language, outcome.ending.as_ref());
        }
        self.used += outcome.usage.cpu_time + outcome.usage.cpu_time_between;
        self.next_number += 1;
        if let Some(reason) = lost {
            self.leave(&shared.farm, Stand::Poisoned(reason));
        }
        if outcome.effect == CellEffect::Kept {
            let mut recorded = Recorded::of(&outcome);
            recorded.skipped |= cell.once;
            let (source, stdin) = (Arc::clone(&cell.source), Arc::clone(&cell.stdin));
            let (id, limits) = (EntryId::next(), cell.limits.clone());
            let logged = LoggedCell { id, number, source, stdin, limits, answers, recorded };
            self.log.push(Entry::Cell(logged));
        }
        Ok(outcome)
    }
}

/// To follow who ended.
pub(super) fn how_told(how: &Termination) -> String {
    match how {
        Termination::Exited { code } => format!("exited with code {code}"),
        Termination::Signaled { signal } => format!("was ended by signal {signal}"),
        Termination::LimitExceeded(kind) => format!("exceeded the {} limit", kind.as_str()),
        Termination::Cancelled => "was cancelled".to_owned(),
    }
}

pub(super) fn turn_limits(limits: &CellLimits) -> TurnLimits {
    let CellLimits { cpu_time, wall_time, idle_time, output } = *limits;
    TurnLimits { cpu_time, wall_time, idle_time, output, grace: GRACE }
}
