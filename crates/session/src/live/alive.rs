//! Where the state of a session is, in memory or on disk, and what is counted for as long as it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rollcage_language::{Language, SessionKind};
use rollcage_sandbox::{SandboxError, SessionCage};

use crate::live::agent::Tasks;
use crate::live::budget::{Place, Promise};
use crate::live::error::LiveError;
use crate::live::farm::FarmState;
use crate::live::store::{Aside, Stored};
use crate::report::Ending;

/// How many sessions there are of each sort.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) live: AtomicU64,
    pub(super) parked: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) rehydrations: AtomicU64,
}

/// Counted as one, until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    farm: Arc<FarmState>,
    counter: fn(&Counters) -> &AtomicU64,
}

impl Counted {
    pub(super) fn new(farm: &Arc<FarmState>, counter: fn(&Counters) -> &AtomicU64) -> Self {
        counter(&farm.counters).fetch_add(1, Ordering::Relaxed);
        Self { farm: Arc::clone(farm), counter }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.counter)(&self.farm.counters).fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among the live ones. Who waits for one is told when it is given up.
#[derive(Debug)]
pub(super) struct LivePlace {
    /// `None` only while it is dropped.
    held: Option<(Place, Counted)>,
    farm: Arc<FarmState>,
}

impl LivePlace {
    pub(super) fn new(farm: &Arc<FarmState>, place: Place) -> Self {
        Self { held: Some((place, Counted::new(farm, |counters| &counters.live))), farm: Arc::clone(farm) }
    }
}

impl Drop for LivePlace {
    fn drop(&mut self) {
        drop(self.held.take());
        self.farm.budget.room.note_change();
    }
}

/// A running interpreter.
#[derive(Debug)]
pub(super) struct Live {
    /// Ended before its place is another's.
    pub(super) cage: SessionCage,
    _place: LivePlace,
    /// While its memory is moved out.
    pub(super) parked: Option<Counted>,
    /// Memory kept free for what its cells left running.
    pub(super) promise: Option<Promise>,
    /// Processes besides the interpreter that do nothing any more: an exit of bash leaves a shell waiting.
    pub(super) waiting: u64,
    /// Processes that a runtime with threads had before its first cell. Nobody asks it of another.
    pub(super) processes: usize,
}

impl Live {
    pub(super) fn new(cage: SessionCage, mut place: LivePlace, tasks: Tasks) -> Result<Self, SandboxError> {
        let processes = if tasks == Tasks::Threads { cage.processes()? } else { 0 };
        if let Some((place, _counted)) = &mut place.held {
            place.settle(cage.descriptors());
        }
        Ok(Self { cage, _place: place, parked: None, promise: None, waiting: 0, processes })
    }

    /// Takes note of how a cell ended in it.
    pub(super) fn note_ending(&mut self, language: &Language, ending: Option<&Ending>) {
        if language.session == Some(SessionKind::Bash) && matches!(ending, Some(Ending::Exited(_))) {
            self.waiting += 1;
        }
    }

    /// Whether something that cells left is running now.
    pub(super) fn has_left_running(&self, tasks: Tasks) -> Result<bool, SandboxError> {
        match tasks {
            Tasks::One => Ok(self.cage.tasks()? > 1 + self.waiting),
            Tasks::Threads | Tasks::Server => self.left_running(tasks),
        }
    }

    /// Whether the last cell left something running, or one before it.
    pub(super) fn left_running(&self, tasks: Tasks) -> Result<bool, SandboxError> {
        match tasks {
            Tasks::One => Ok(self.cage.tasks_after_turn()? > 1 + self.waiting),
            Tasks::Threads => Ok(self.cage.processes()? > self.processes),
            // Statements start no processes of their own.
            Tasks::Server => Ok(false),
        }
    }
}

/// What was put aside.
#[derive(Debug)]
pub(super) struct OnDisk {
    stored: Stored,
    _counted: Counted,
}

impl OnDisk {
    pub(super) fn new(farm: &Arc<FarmState>, stored: Stored) -> Self {
        Self { stored, _counted: Counted::new(farm, |counters| &counters.evicted) }
    }

    pub(super) fn read(&self) -> Result<Aside, LiveError> {
        self.stored.read().map_err(|source| LiveError::Store { action: "read", source })
    }
}
