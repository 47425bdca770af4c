//! What a session is at a moment, whoever asks: on which side of the disk, and what led there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rollcage_language::{Language, SessionKind};
use rollcage_sandbox::{AllFiles, Cancel, SessionCage};
use rollcage_types::{ExecRequest, Limits};

use crate::live::agent::Agent;
use crate::live::alive::{Live, OnDisk};
use crate::live::error::{FarmError, LiveError};
use crate::live::farm::FarmState;
use crate::live::log::{Entry, Log};
use crate::live::outcome::Rehydrated;
use crate::live::rehydrate::rebuild;
use crate::live::session::Shared;
use crate::live::spec::LiveSpec;
use crate::report::Ending;

/// An interpreter that has not come up by then will not.
const START_WAIT: Duration = Duration::from_secs(20);

/// What only one thread at a time has.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) stand: Stand,
    /// Empty while it is on disk.
    pub(super) log: Log,
    /// Entries there were when its interpreter was copied from another's.
    pub(super) copied_at: usize,
    pub(super) next_number: u32,
    /// Processor time of its cells, and of what they left running.
    pub(super) used: Duration,
    /// To be told with the next outcome.
    pub(super) rehydrated: Option<Rehydrated>,
    /// Live snapshots of what it is the continuation of, by how many entries of the log they hold.
    pub(super) copies: Vec<(usize, Weak<Shared>)>,
}

/// Where the state is.
#[derive(Debug)]
pub(super) enum Stand {
    Live(Box<Live>),
    Evicted(OnDisk),
    Poisoned(String),
    Closed,
}

impl Inner {
    pub(super) fn of(live: Live, log: Log) -> Self {
        let next_number = log.iter().rev().find_map(Entry::number).map_or(1, |last| last + 1);
        Self {
            stand: Stand::Live(Box::new(live)),
            log,
            copied_at: 0,
            next_number,
            used: Duration::ZERO,
            rehydrated: None,
            copies: Vec::new(),
        }
    }

    pub(super) fn live(&mut self) -> Result<&mut Live, LiveError> {
        match &mut self.stand {
            Stand::Live(live) => Ok(live),
            Stand::Poisoned(reason) => Err(LiveError::Poisoned { reason: reason.clone() }),
            Stand::Evicted(_) | Stand::Closed => Err(LiveError::Closed),
        }
    }

    pub(super) fn cage(&mut self) -> Result<&mut SessionCage, LiveError> {
        Ok(&mut self.live()?.cage)
    }

    /// Changes where the state is. Who waits for room is told.
    pub(super) fn leave(&mut self, farm: &FarmState, to: Stand) {
        self.stand = to;
        farm.room.note_change();
    }

    /// Has the interpreter running, for whatever it is used for next.
    pub(super) fn be_live(&mut self, shared: &Arc<Shared>, cancel: &Cancel) -> Result<(), LiveError> {
        self.come_back(shared, cancel)?;
        shared.farm.order.touch(shared);
        Ok(())
    }

    fn come_back(&mut self, shared: &Shared, cancel: &Cancel) -> Result<(), LiveError> {
        match &self.stand {
            Stand::Live(_) => Ok(()),
            Stand::Poisoned(reason) => Err(LiveError::Poisoned { reason: reason.clone() }),
            Stand::Closed => Err(LiveError::Closed),
            Stand::Evicted(on_disk) => {
                let aside =
                    on_disk.stored.read().map_err(|source| LiveError::Store { action: "read", source })?;
                let files = AllFiles { files: aside.files, ..AllFiles::default() };
                let (live, rehydrated) = rebuild(shared, &aside.log, Some(&files), cancel)?;
                self.log = aside.log;
                self.copied_at = 0;
                self.rehydrated = Some(rehydrated);
                self.leave(&shared.farm, Stand::Live(Box::new(live)));
                shared.farm.counters.rehydrations.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// The log in memory, wherever the session is.
    pub(super) fn load_log(&mut self) -> Result<(), LiveError> {
        if let Stand::Evicted(on_disk) = &self.stand {
            let aside =
                on_disk.stored.read().map_err(|source| LiveError::Store { action: "read", source })?;
            self.log = aside.log;
        }
        Ok(())
    }

    /// A fresh interpreter with the state that the first so many entries of the log lead to. Only then are the others undone: one that
    /// cannot be brought there can still be brought to where it was.
    pub(super) fn go_back(
        &mut self,
        shared: &Arc<Shared>,
        entries: usize,
        cancel: &Cancel,
    ) -> Result<Rehydrated, LiveError> {
        match &self.stand {
            Stand::Closed => return Err(LiveError::Closed),
            // Not both at once: there may be room for one only.
            Stand::Live(_) => self.leave(&shared.farm, nowhere()),
            // What is on disk stays until there is something in its place.
            Stand::Evicted(_) | Stand::Poisoned(_) => {}
        }
        let (live, rehydrated) = rebuild(shared, &self.log[..entries], None, cancel)?;
        self.log.truncate(entries);
        self.copies.retain(|(there, _)| *there <= entries);
        self.copied_at = 0;
        self.leave(&shared.farm, Stand::Live(Box::new(live)));
        shared.farm.order.touch(shared);
        Ok(rehydrated)
    }

    /// See [`waiting`].
    pub(super) fn waiting(&self, shared: &Shared) -> u64 {
        waiting(shared, &self.log[self.copied_at..])
    }
}

/// Processes of an interpreter that was told so much, besides itself, that do nothing any more.
pub(super) fn waiting(shared: &Shared, told: &[Entry]) -> u64 {
    // An exit of bash leaves a shell waiting, which a copy of the one that goes on does not have.
    let is_exit = |entry: &&Entry| matches!(entry, Entry::Cell(cell) if matches!(cell.recorded.ending, Some(Ending::Exited(_))));
    match shared.language.session {
        Some(SessionKind::Bash) => told.iter().filter(is_exit).count() as u64,
        _ => 0,
    }
}

/// Where a session is whose interpreter was given up for another that is not there yet.
pub(super) fn nowhere() -> Stand {
    Stand::Poisoned("it was not brought back".to_owned())
}

/// A fresh interpreter, before its first cell.
pub(super) fn bring_up(
    farm: &Arc<FarmState>,
    agent: &Agent,
    language: &Language,
    spec: &LiveSpec,
    cancel: &Cancel,
) -> Result<Live, FarmError> {
    let request = ExecRequest {
        env_vars: agent.env_vars(language),
        files: spec.files.iter().chain(agent.file()).cloned().collect(),
        limits: Limits { cpu_time: spec.total_time, wall_time: START_WAIT, ..spec.limits.clone() },
        ..ExecRequest::new(agent.argv())
    };
    farm.bring_up(language, spec, agent.tasks, &request, &Agent::greeting(spec.seed, spec.asks), cancel)
}
