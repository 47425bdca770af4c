//! What a session is at a moment, whoever asks: on which side of the disk, and what led there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rollcage_language::Language;
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

/// An interpreter that has not come up by then will not.
const START_WAIT: Duration = Duration::from_secs(20);

/// What only one thread at a time has.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) stand: Stand,
    /// Empty while it is on disk.
    pub(super) log: Log,
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
        farm.budget.room.note_change();
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
                let aside = on_disk.read()?;
                let files = AllFiles { files: aside.files, ..AllFiles::default() };
                let (live, rehydrated) = rebuild(shared, &aside.log, Some(&files), cancel)?;
                self.log = aside.log;
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
            self.log = on_disk.read()?.log;
        }
        Ok(())
    }

    /// Makes way for another interpreter; whether there was one. Not both at once: there may be room for one only. What is on disk
    /// stays until there is something in its place.
    pub(super) fn give_up(&mut self, shared: &Shared) -> Result<bool, LiveError> {
        match &self.stand {
            Stand::Closed => Err(LiveError::Closed),
            Stand::Evicted(_) | Stand::Poisoned(_) => Ok(false),
            Stand::Live(_) => {
                self.leave(&shared.farm, Stand::Poisoned("it was not brought back".to_owned()));
                Ok(true)
            }
        }
    }

    /// A fresh interpreter with the state that the first so many entries of the log lead to. Only then are the others undone: one that
    /// cannot be brought there can still be brought to where it was.
    pub(super) fn go_back(
        &mut self,
        shared: &Arc<Shared>,
        entries: usize,
        cancel: &Cancel,
    ) -> Result<Rehydrated, LiveError> {
        let was_live = self.give_up(shared)?;
        let rebuilt = rebuild(shared, &self.log[..entries], None, cancel);
        let (live, rehydrated) = rebuilt.map_err(|error| not_brought(error, was_live))?;
        self.log.truncate(entries);
        self.copies.retain(|(there, _)| *there <= entries);
        self.leave(&shared.farm, Stand::Live(Box::new(live)));
        shared.farm.order.touch(shared);
        Ok(rehydrated)
    }
}

/// What it means to a session that was live that another interpreter did not come up.
pub(super) fn not_brought(error: LiveError, was_live: bool) -> LiveError {
    if was_live { LiveError::NotBrought(Box::new(error)) } else { error }
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
