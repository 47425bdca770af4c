//! One live session: its state, and what it can be told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rollcage_language::Language;
use rollcage_sandbox::{Cancel, ListedFile};
use rollcage_types::{ByteSize, FileEntry, RelativePath, format_duration};

use crate::live::agent::Agent;
use crate::live::error::{FarmError, LiveError};
use crate::live::farm::{Farm, FarmState};
use crate::live::inner::{Inner, Stand, bring_up};
use crate::live::log::{Entry, EntryId, Log};
use crate::live::outcome::{LiveOutcome, Rehydrated};
use crate::live::spec::{Answer, LiveCell, LiveSpec};

/// Longer cells are data that belongs into a file.
const CELL_BYTES_MAX: usize = 1024 * 1024;

/// Whether a session can take a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// It can, at once.
    Ready,
    /// One is running.
    Busy,
    /// It can; its memory was moved out, and comes back as it is touched.
    Parked,
    /// It can, once it is brought back.
    Evicted,
    /// It has no state; the text says why.
    Poisoned(String),
    /// Its owner closed it.
    Closed,
}

/// A conversation with an interpreter. Clones are the same session; dropping the last closes it.
#[derive(Clone, Debug)]
pub struct LiveSession(pub(super) Arc<Shared>);

/// Between two looks at a session that its farm is looking at.
const LOOK: Duration = Duration::from_micros(100);

/// What the session and its farm share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) farm: Arc<FarmState>,
    pub(super) id: u64,
    pub(super) language: Arc<Language>,
    pub(super) agent: Agent,
    pub(super) spec: LiveSpec,
    /// In the order of uses.
    pub(super) place: AtomicU64,
    /// Of the last use, in milliseconds of the farm's life.
    pub(super) used_at: AtomicU64,
    inner: Mutex<Inner>,
    /// Interrupts what is being done.
    running: Mutex<Option<Cancel>>,
}

impl LiveSession {
    pub(super) fn open(farm: &Farm, language: Arc<Language>, spec: LiveSpec) -> Result<Self, FarmError> {
        let agent = Agent::of(&language)?;
        let farm = Arc::clone(&farm.0);
        let live = bring_up(&farm, &agent, &language, &spec, &Cancel::new())?;
        Ok(Self::with(farm, agent, language, spec, Inner::of(live, Log::default())))
    }

    /// One that goes on from where another stands.
    pub(super) fn beside(other: &Shared, inner: Inner) -> Self {
        let (farm, agent) = (Arc::clone(&other.farm), other.agent.clone());
        Self::with(farm, agent, Arc::clone(&other.language), other.spec.clone(), inner)
    }

    fn with(
        farm: Arc<FarmState>,
        agent: Agent,
        language: Arc<Language>,
        spec: LiveSpec,
        inner: Inner,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let shared = Arc::new(Shared {
            farm,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            language,
            agent,
            spec,
            place: AtomicU64::new(u64::MAX),
            used_at: AtomicU64::new(0),
            inner: Mutex::new(inner),
            running: Mutex::new(None),
        });
        shared.farm.order.touch(&shared);
        Self(shared)
    }

    /// Runs a cell and waits for it. Blocks the calling thread.
    pub fn execute(&self, cell: &LiveCell, answer: &mut Answer<'_>) -> Result<LiveOutcome, LiveError> {
        self.execute_until(&Cancel::new(), cell, answer)
    }

    /// As [`Self::execute`]. `cancel` interrupts the cell, and whatever must come before it.
    pub fn execute_until(
        &self,
        cancel: &Cancel,
        cell: &LiveCell,
        answer: &mut Answer<'_>,
    ) -> Result<LiveOutcome, LiveError> {
        for bytes in [cell.source.len(), cell.stdin.len()] {
            if bytes > CELL_BYTES_MAX {
                return Err(LiveError::CellTooLong { bytes, max: CELL_BYTES_MAX });
            }
        }
        let (result, not_needed) = {
            let (mut inner, _running) = self.0.begin(cancel)?;
            let limit = self.0.spec.total_time;
            if inner.used >= limit {
                return Err(LiveError::OutOfTime { limit: format_duration(limit) });
            }
            inner.be_live(&self.0, cancel)?;
            inner.log.check_room(cell.source.len() + cell.stdin.len())?;
            let (promise, busy) = inner.room_for_cell(&self.0, cancel)?;
            let result = match cancel.is_cancelled() {
                true => Err(LiveError::Interrupted),
                false => inner.execute(&self.0, cell, cancel, answer),
            };
            let promise = inner.settle(&self.0, promise);
            // Before anybody finds it idle.
            self.0.farm.order.touch(&self.0);
            (result, (promise, busy))
        };
        // Who waits for that room finds a session that can be put aside.
        drop(not_needed);
        result
    }

    /// Interrupts the cell that is running, or whatever else takes long, if anything does: as Ctrl-C does. From any thread.
    pub fn interrupt(&self) {
        if let Some(cancel) = &*self.0.running.lock().unwrap_or_else(PoisonError::into_inner) {
            cancel.cancel();
        }
    }

    /// What it can do.
    pub fn state(&self) -> LiveState {
        let inner = match self.0.lock() {
            Ok(inner) => inner,
            Err(_busy) => return LiveState::Busy,
        };
        match &inner.stand {
            Stand::Live(live) if live.parked.is_some() => LiveState::Parked,
            Stand::Live(_) => LiveState::Ready,
            Stand::Evicted(_) => LiveState::Evicted,
            Stand::Poisoned(reason) => LiveState::Poisoned(reason.clone()),
            Stand::Closed => LiveState::Closed,
        }
    }

    /// The language spoken.
    pub fn language(&self) -> &Arc<Language> {
        &self.0.language
    }

    /// Moves what the session holds out of memory, where there is swap to move it to.
    pub fn park(&self) -> Result<(), LiveError> {
        self.live(|inner, _cancel| inner.park(&self.0))
    }

    /// Puts the session aside: what is needed to bring it back goes to disk, and its interpreter ends.
    pub fn evict(&self) -> Result<(), LiveError> {
        self.0.lock()?.evict(&self.0)
    }

    /// Brings the session back, as its next cell would.
    pub fn rehydrate(&self) -> Result<Rehydrated, LiveError> {
        self.live(|inner, _cancel| Ok(inner.rehydrated.clone().unwrap_or_default()))
    }

    /// Writes a file of the workspace. A replay writes it again at the same place in the history.
    pub fn put_file(&self, file: FileEntry) -> Result<(), LiveError> {
        self.live(|inner, _cancel| {
            inner.log.check_room(file.content.len())?;
            inner.cage()?.put_file(&file)?;
            inner.log.push(Entry::Put(EntryId::next(), file));
            Ok(())
        })
    }

    /// Reads a file of the workspace.
    pub fn get_file(&self, path: &RelativePath) -> Result<FileEntry, LiveError> {
        self.live(|inner, _cancel| Ok(inner.cage()?.get_file(path)?))
    }

    /// Lists the regular files of the workspace.
    pub fn list_files(&self) -> Result<Vec<ListedFile>, LiveError> {
        self.live(|inner, _cancel| Ok(inner.cage()?.list_files()?))
    }

    /// Reads all regular files of the workspace, within the bounds of [`rollcage_types::Collect::Everything`]; and how many
    /// entries were left out.
    pub fn all_files(&self) -> Result<(Vec<FileEntry>, u64), LiveError> {
        self.live(|inner, _cancel| {
            let all = inner.cage()?.all_files()?;
            Ok((all.files, all.others + all.too_many))
        })
    }

    /// Does something with it that needs its interpreter.
    pub(super) fn live<T>(
        &self,
        work: impl FnOnce(&mut Inner, &Cancel) -> Result<T, LiveError>,
    ) -> Result<T, LiveError> {
        let cancel = Cancel::new();
        let (mut inner, _running) = self.0.begin(&cancel)?;
        inner.be_live(&self.0, &cancel)?;
        work(&mut inner, &cancel)
    }

    /// Memory charged to it at this moment; 0 if it is on disk.
    pub fn memory(&self) -> Result<ByteSize, LiveError> {
        match &self.0.lock()?.stand {
            Stand::Live(live) => live.cage.memory().map_err(LiveError::Sandbox),
            Stand::Evicted(_) | Stand::Poisoned(_) | Stand::Closed => Ok(ByteSize::bytes(0)),
        }
    }

    /// Processor time its cells have used together, and what they left running.
    pub fn time_used(&self) -> Result<Duration, LiveError> {
        let inner = self.0.lock()?;
        let since = match &inner.stand {
            Stand::Live(live) => live.cage.cpu_time_since().map_err(LiveError::Sandbox)?,
            Stand::Evicted(_) | Stand::Poisoned(_) | Stand::Closed => Duration::ZERO,
        };
        Ok(inner.used + since)
    }

    /// Ends it. Further cells are refused.
    pub fn close(&self) -> Result<(), LiveError> {
        self.0.lock()?.leave(&self.0.farm, Stand::Closed);
        Ok(())
    }
}

impl Shared {
    /// For its owner, who does something that may take long: others are told that the session is busy, and may interrupt it.
    pub(super) fn begin(&self, cancel: &Cancel) -> Result<(MutexGuard<'_, Inner>, Running<'_>), LiveError> {
        let inner = self.lock()?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(cancel.clone());
        Ok((inner, Running(self)))
    }

    /// For its owner: a cell that is running is told of, and a farm that is putting it aside is waited for.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Inner>, LiveError> {
        loop {
            if let Some(inner) = self.lock_if_idle() {
                return Ok(inner);
            }
            if self.running.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                return Err(LiveError::Busy);
            }
            // Not by the lock: whoever has it may be about to run a cell.
            std::thread::sleep(LOOK);
        }
    }

    pub(super) fn lock_if_idle(&self) -> Option<MutexGuard<'_, Inner>> {
        match self.inner.try_lock() {
            Ok(inner) => Some(inner),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether it was live, idle and in memory, and is parked now.
    pub(super) fn park_if_idle(&self) -> bool {
        let Some(mut inner) = self.lock_if_idle() else { return false };
        matches!(&inner.stand, Stand::Live(live) if live.parked.is_none()) && inner.park(self).is_ok()
    }

    /// `None` if it is not live, or busy.
    pub(super) fn put_aside_if_idle(&self) -> Option<Result<(), LiveError>> {
        let mut inner = self.lock_if_idle()?;
        matches!(inner.stand, Stand::Live(_)).then(|| inner.evict(self))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.farm.order.forget(self);
    }
}

/// Whatever is done can be interrupted while this is held.
pub(super) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
