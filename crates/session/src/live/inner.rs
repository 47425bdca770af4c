//! What a session is at a moment, whoever asks: on which side of the disk, and what led there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rollcage_language::{Language, SessionKind};
use rollcage_sandbox::{AllFiles, Cancel, SessionCage, Turn, TurnEnd, TurnLimits, swap_free};
use rollcage_types::{ByteSize, ExecRequest, Limits, Termination};

use crate::cell::CellEffect;
use crate::live::agent::Agent;
use crate::live::budget::Promise;
use crate::live::error::{FarmError, LiveError};
use crate::live::farm::FarmState;
use crate::live::log::{Entry, EntryId, LoggedCell, Recorded};
use crate::live::outcome::{CellLimits, LiveOutcome, Rehydrated};
use crate::live::rehydrate::rebuild;
use crate::live::room::RunningCell;
use crate::live::session::Shared;
use crate::live::spec::{Answer, LiveCell, LiveSpec};
use crate::live::store::{Aside, Stored};
use crate::report::Ending;

/// An interpreter that has not come up by then will not.
const START_WAIT: Duration = Duration::from_secs(20);
/// What a cell has to end after an interrupt.
const GRACE: Duration = Duration::from_millis(500);

/// What only one thread at a time has.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) stand: Stand,
    /// Empty while it is on disk.
    pub(super) log: Vec<Entry>,
    /// Entries there were when its interpreter was copied from another's.
    pub(super) copied_at: usize,
    pub(super) next_number: u32,
    pub(super) used: Duration,
    /// Whether its memory was moved out since its last cell.
    pub(super) parked: bool,
    /// To be told with the next outcome.
    pub(super) rehydrated: Option<Rehydrated>,
    /// Live snapshots of what it is the continuation of, by how many entries of the log they hold.
    pub(super) copies: Vec<(usize, Weak<Shared>)>,
}

/// Where the state is.
#[derive(Debug)]
pub(super) enum Stand {
    Live(Box<SessionCage>),
    Evicted(Stored),
    Poisoned(String),
    Closed,
}

impl Inner {
    pub(super) fn cage(&mut self) -> Result<&mut SessionCage, LiveError> {
        match &mut self.stand {
            Stand::Live(cage) => Ok(cage),
            Stand::Poisoned(reason) => Err(LiveError::Poisoned { reason: reason.clone() }),
            Stand::Evicted(_) | Stand::Closed => Err(LiveError::Closed),
        }
    }

    /// Changes where the state is, and keeps count.
    pub(super) fn leave(&mut self, farm: &FarmState, to: Stand) {
        let counter = |stand: &Stand| match stand {
            Stand::Live(_) => Some(&farm.counters.live),
            Stand::Evicted(_) => Some(&farm.counters.evicted),
            Stand::Poisoned(_) | Stand::Closed => None,
        };
        if std::mem::take(&mut self.parked) {
            farm.counters.parked.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(counter) = counter(&self.stand) {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
        // A cage counts from when it is made.
        if let Some(counter) = counter(&to).filter(|_| !matches!(to, Stand::Live(_))) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.stand = to;
        farm.room.note_change();
    }

    pub(super) fn park(&mut self, shared: &Shared) -> Result<(), LiveError> {
        if self.parked {
            return Ok(());
        }
        if swap_free() == ByteSize::default() {
            return Err(LiveError::NotParkable {
                reason: "the machine has no swap, so that it would free nothing",
            });
        }
        self.cage()?.park().map_err(LiveError::Sandbox)?;
        self.parked = true;
        shared.farm.counters.parked.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Has the interpreter running, for whatever it is used for next.
    pub(super) fn be_live(&mut self, shared: &Arc<Shared>) -> Result<(), LiveError> {
        self.come_back(shared)?;
        shared.farm.touch(shared);
        Ok(())
    }

    fn come_back(&mut self, shared: &Shared) -> Result<(), LiveError> {
        match &self.stand {
            Stand::Live(_) => Ok(()),
            Stand::Poisoned(reason) => Err(LiveError::Poisoned { reason: reason.clone() }),
            Stand::Closed => Err(LiveError::Closed),
            Stand::Evicted(stored) => {
                let aside = stored.read().map_err(|source| LiveError::Store { action: "read", source })?;
                let files = AllFiles { files: aside.files, ..AllFiles::default() };
                let (cage, rehydrated) = rebuild(&shared.farm, shared, &aside.log, Some(&files))?;
                self.log = aside.log;
                self.copied_at = 0;
                self.rehydrated = Some(rehydrated);
                self.leave(&shared.farm, Stand::Live(Box::new(cage)));
                shared.farm.counters.rehydrations.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// The log in memory, wherever the session is.
    pub(super) fn load_log(&mut self) -> Result<(), LiveError> {
        if let Stand::Evicted(stored) = &self.stand {
            let aside = stored.read().map_err(|source| LiveError::Store { action: "read", source })?;
            self.log = aside.log;
        }
        Ok(())
    }

    /// A fresh interpreter with the state that the log leads to.
    pub(super) fn rebuild(&mut self, shared: &Arc<Shared>) -> Result<Rehydrated, LiveError> {
        if matches!(self.stand, Stand::Closed) {
            return Err(LiveError::Closed);
        }
        // Not both at once: there may be room for one only.
        self.leave(&shared.farm, Stand::Poisoned("it was not brought back".to_owned()));
        let (cage, rehydrated) = rebuild(&shared.farm, shared, &self.log, None)?;
        self.copied_at = 0;
        self.leave(&shared.farm, Stand::Live(Box::new(cage)));
        shared.farm.touch(shared);
        Ok(rehydrated)
    }

    /// Processes of the session, besides its interpreter, that no cell left running.
    pub(super) fn waiting(&self, shared: &Shared) -> u64 {
        // An exit of bash leaves a shell waiting, which a copy of the one that goes on does not have.
        let is_exit = |entry: &&Entry| matches!(entry, Entry::Cell(cell) if matches!(cell.recorded.ending, Some(Ending::Exited(_))));
        match shared.language.session {
            // The tasks of a runtime with threads, or of a server beside it, are no cell's.
            _ if !shared.agent.is_copied => u64::MAX - 1,
            Some(SessionKind::Bash) => self.log.iter().skip(self.copied_at).filter(is_exit).count() as u64,
            _ => 0,
        }
    }

    /// What a cell may still take, kept free for it.
    pub(super) fn room_for_cell<'a>(
        &mut self,
        shared: &'a Shared,
    ) -> Result<(Promise, RunningCell<'a>), LiveError> {
        let now = self.cage()?.memory().map_err(LiveError::Sandbox)?.as_u64();
        let promise = shared.farm.room_for(shared.spec.limits.memory.as_u64().saturating_sub(now))?;
        Ok((promise, shared.farm.room.cell()))
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
        if std::mem::take(&mut self.parked) {
            shared.farm.counters.parked.fetch_sub(1, Ordering::Relaxed);
        }
        let cage = self.cage()?;
        let mut answers = Vec::new();
        let mut answered = |prompt: &[u8]| {
            // Its agent asks nobody then: the program itself did.
            let line = spec.asks.then(|| answer(&String::from_utf8_lossy(prompt))).flatten();
            answers.push(line.clone());
            Agent::answer(line.as_deref())
        };
        let turn = Turn {
            number,
            order: &Agent::cell(number, cell.source.as_bytes(), &cell.stdin),
            limits: &turn_limits(&limits),
            capture: spec.capture,
            interrupts: shared.agent.interrupts,
        };
        let done = match cage.execute(&turn, cancel, &mut answered) {
            Ok(done) => done,
            Err(error) => {
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
        self.used += outcome.usage.cpu_time;
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

    pub(super) fn evict(&mut self, shared: &Shared) -> Result<(), LiveError> {
        if matches!(self.stand, Stand::Evicted(_)) {
            return Ok(());
        }
        let not_replayable = |reason: &str| LiveError::NotReplayable { reason: reason.to_owned() };
        let waiting = self.waiting(shared);
        let cage = self.cage()?;
        if cage.tasks().map_err(LiveError::Sandbox)? > 1 + waiting {
            return Err(not_replayable("a cell left threads or processes running"));
        }
        let files = cage.all_files()?;
        if files.too_many > 0 {
            return Err(not_replayable("its workspace holds more than is put aside"));
        }
        let is_skipped = |entry: &Entry| matches!(entry, Entry::Cell(cell) if cell.recorded.skipped);
        if self.log.iter().any(is_skipped) {
            return Err(not_replayable(
                "a cell was interrupted, is not done twice, or did not say how it ended",
            ));
        }
        let aside = Aside { log: std::mem::take(&mut self.log), files: files.files };
        let path = shared.farm.directory.join(format!("session-{}", shared.id));
        match Stored::write(path, &aside) {
            Ok(stored) => {
                self.leave(&shared.farm, Stand::Evicted(stored));
                shared.farm.forget(shared.place.load(Ordering::Relaxed));
                shared.farm.counters.evictions.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(source) => {
                self.log = aside.log;
                Err(LiveError::Store { action: "write", source })
            }
        }
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

/// A fresh interpreter, before its first cell.
pub(super) fn open_cage(
    farm: &FarmState,
    agent: &Agent,
    language: &Language,
    spec: &LiveSpec,
) -> Result<SessionCage, FarmError> {
    let request = ExecRequest {
        env_vars: agent.env_vars(language),
        files: spec.files.iter().chain(agent.file()).cloned().collect(),
        limits: Limits { cpu_time: spec.total_time, wall_time: START_WAIT, ..spec.limits.clone() },
        ..ExecRequest::new(agent.argv())
    };
    farm.cage(language, spec, &request, &Agent::greeting(spec.seed, spec.asks))
}
