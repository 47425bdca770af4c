//! One live session: its state, and what it can be told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rollcage_language::{Language, SessionKind};
use rollcage_sandbox::{Cancel, ListedFile, NotBranched, SessionCage, Turn, TurnEnd, TurnLimits, swap_free};
use rollcage_types::{ByteSize, CapturePlan, ExecRequest, FileEntry, Limits, RelativePath, format_duration};

use crate::cell::CellEffect;
use crate::live::agent::Agent;
use crate::live::budget::Promise;
use crate::live::error::{FarmError, LiveError};
use crate::live::farm::{Farm, FarmState};
use crate::live::log::{Entry, LoggedCell, Recorded};
use crate::live::outcome::{CellLimits, LiveOutcome, Rehydrated};
use crate::live::rehydrate::rebuild;
use crate::live::room::RunningCell;
use crate::live::store::{Aside, Stored};
use crate::report::Ending;

/// Longer cells are data that belongs into a file.
const CELL_BYTES_MAX: usize = 1024 * 1024;
/// An interpreter that has not come up by then will not.
const START_WAIT: Duration = Duration::from_secs(20);
/// Processor time of all cells together, unless the caller says otherwise.
const TOTAL_TIME: Duration = Duration::from_secs(3600);
/// What a cell has to end after an interrupt.
const GRACE: Duration = Duration::from_millis(500);

/// What a session starts from.
#[derive(Clone, Debug)]
pub struct LiveSpec {
    /// Seeds the generators of the language.
    pub seed: u32,
    /// Memory, disk, processes, files and stack are the session's; times and output are each cell's.
    pub limits: Limits,
    /// Processor time of all cells together.
    pub total_time: Duration,
    /// Files in the workspace when the first cell runs.
    pub files: Vec<FileEntry>,
    /// How much of a cell's output is kept.
    pub capture: CapturePlan,
    /// What of the language's preloads its interpreter has loaded.
    pub preload: Option<String>,
    /// Whether somebody answers where a cell asks for input; else it finds the end of input.
    pub asks: bool,
    /// Whether forks may be copies of the running interpreter, for which its programs are allowed one more system call. Otherwise
    /// every fork is a replay.
    pub forks: bool,
}

impl Default for LiveSpec {
    fn default() -> Self {
        Self {
            seed: 0,
            limits: Limits::default(),
            total_time: TOTAL_TIME,
            files: Vec::new(),
            capture: CapturePlan::default(),
            preload: None,
            asks: false,
            forks: false,
        }
    }
}

/// Code for one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveCell {
    /// The source text, which runs unedited.
    pub source: Arc<str>,
    /// Standard input.
    pub stdin: Arc<[u8]>,
    /// Its limits, where they are not the session's.
    pub limits: Option<CellLimits>,
    /// Whether it is something that is not done twice: the session is then never put aside, and a restore leaves it out.
    pub once: bool,
}

impl LiveCell {
    /// A cell without input.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        Self { source: source.into(), stdin: Arc::from([].as_slice()), limits: None, once: false }
    }
}

/// What somebody says to a cell that asks for input; `None` refuses.
pub type Answer<'a> = dyn FnMut(&str) -> Option<Vec<u8>> + 'a;

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

/// Sessions that another was forked into.
#[derive(Clone, Debug)]
pub struct Forked {
    /// See there.
    pub sessions: Vec<LiveSession>,
    /// See there.
    pub way: ForkWay,
}

/// How a session was forked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkWay {
    /// The interpreter was copied as it was, with all it held.
    Copied,
    /// At least one is a fresh interpreter that was told the same.
    Replayed {
        /// Why no copy was made.
        reason: String,
    },
}

/// A place in a session's history that it can go back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    session: u64,
    entries: usize,
    /// The number of the last cell before it.
    last: Option<u32>,
}

/// A conversation with an interpreter. Clones are the same session; dropping the last closes it.
#[derive(Clone, Debug)]
pub struct LiveSession(Arc<Shared>);

/// What the session and its farm share.
#[derive(Debug)]
pub(super) struct Shared {
    farm: Arc<FarmState>,
    id: u64,
    pub(super) language: Arc<Language>,
    pub(super) agent: Agent,
    pub(super) spec: LiveSpec,
    /// In the order of uses.
    pub(super) place: AtomicU64,
    /// Of the last use, in milliseconds of the farm's life.
    pub(super) used_at: AtomicU64,
    inner: Mutex<Inner>,
    /// Interrupts the cell that is running.
    running: Mutex<Option<Cancel>>,
}

#[derive(Debug)]
struct Inner {
    stand: Stand,
    /// Empty while it is on disk.
    log: Vec<Entry>,
    next_number: u32,
    used: Duration,
    /// Whether its memory was moved out since its last cell.
    parked: bool,
    /// To be told with the next outcome.
    rehydrated: Option<Rehydrated>,
}

/// Where the state is.
#[derive(Debug)]
enum Stand {
    Live(Box<SessionCage>),
    Evicted(Stored),
    Poisoned(String),
    Closed,
}

impl LiveSession {
    pub(super) fn open(farm: &Farm, language: Arc<Language>, spec: LiveSpec) -> Result<Self, FarmError> {
        let agent = Agent::of(&language)?;
        let farm = Arc::clone(&farm.0);
        let cage = open_cage(&farm, &agent, &language, &spec)?;
        Ok(Self::with(farm, agent, language, spec, cage, Vec::new()))
    }

    fn with(
        farm: Arc<FarmState>,
        agent: Agent,
        language: Arc<Language>,
        spec: LiveSpec,
        cage: SessionCage,
        log: Vec<Entry>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next_number = log.iter().rev().find_map(Entry::number).map_or(1, |last| last + 1);
        let stand = Stand::Live(Box::new(cage));
        let inner = Inner { stand, log, next_number, used: Duration::ZERO, parked: false, rehydrated: None };
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
        shared.farm.touch(&shared);
        Self(shared)
    }

    /// Runs a cell and waits for it. Blocks the calling thread.
    pub fn execute(&self, cell: &LiveCell, answer: &mut Answer<'_>) -> Result<LiveOutcome, LiveError> {
        for bytes in [cell.source.len(), cell.stdin.len()] {
            if bytes > CELL_BYTES_MAX {
                return Err(LiveError::CellTooLong { bytes, max: CELL_BYTES_MAX });
            }
        }
        let mut inner = self.0.lock()?;
        let limit = self.0.spec.total_time;
        if inner.used >= limit {
            return Err(LiveError::OutOfTime { limit: format_duration(limit) });
        }
        let cancel = Cancel::new();
        let running = Running::begin(&self.0, cancel.clone());
        inner.be_live(&self.0)?;
        let room = inner.room_for_cell(&self.0)?;
        let result = inner.execute(&self.0, cell, &cancel, answer);
        drop(running);
        drop(inner);
        self.0.farm.touch(&self.0);
        // Now that it can be put aside.
        drop(room);
        result
    }

    /// Interrupts the cell that is running, if one is: as Ctrl-C does. From any thread.
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
            Stand::Live(_) if inner.parked => LiveState::Parked,
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
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        inner.park(&self.0)
    }

    /// Puts the session aside: what is needed to bring it back goes to disk, and its interpreter ends.
    pub fn evict(&self) -> Result<(), LiveError> {
        self.0.lock()?.evict(&self.0)
    }

    /// Brings the session back, as its next cell would.
    pub fn rehydrate(&self) -> Result<Rehydrated, LiveError> {
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        Ok(inner.rehydrated.clone().unwrap_or_default())
    }

    /// Where the session stands, to come back to.
    pub fn snapshot(&self) -> Result<Snapshot, LiveError> {
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        Ok(inner.snapshot(self.0.id))
    }

    /// Brings back the state of a snapshot: by replay, from the files the session began with.
    pub fn restore_to(&self, snapshot: &Snapshot) -> Result<Rehydrated, LiveError> {
        let mut inner = self.0.lock()?;
        inner.load_log()?;
        if snapshot.session != self.0.id || inner.log.len() < snapshot.entries {
            return Err(LiveError::ForeignSnapshot);
        }
        let last = inner.log[..snapshot.entries].iter().rev().find_map(Entry::number);
        if last != snapshot.last {
            return Err(LiveError::ForeignSnapshot);
        }
        inner.log.truncate(snapshot.entries);
        inner.rebuild(&self.0)
    }

    /// Brings back the state before the cell that ended the interpreter.
    pub fn restore(&self) -> Result<Rehydrated, LiveError> {
        let mut inner = self.0.lock()?;
        match &inner.stand {
            Stand::Live(_) => Ok(Rehydrated::default()),
            Stand::Evicted(_) => {
                inner.be_live(&self.0).map(|()| inner.rehydrated.clone().unwrap_or_default())
            }
            Stand::Poisoned(_) => inner.rebuild(&self.0),
            Stand::Closed => Err(LiveError::Closed),
        }
    }

    /// Makes sessions that begin where this one stands, and go their own ways: memory, files, directories and numbers yet to be
    /// drawn. Where the interpreter cannot be copied they are replayed; which it was is told.
    pub fn fork(&self, count: usize) -> Result<Forked, LiveError> {
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            match inner.branch(&self.0)? {
                Ok(session) => sessions.push(session),
                Err(NotBranched { reason }) => {
                    sessions.append(&mut self.fork_by_replay(&mut inner, count - sessions.len())?);
                    return Ok(Forked { sessions, way: ForkWay::Replayed { reason } });
                }
            }
        }
        Ok(Forked { sessions, way: ForkWay::Copied })
    }

    fn fork_by_replay(&self, inner: &mut Inner, count: usize) -> Result<Vec<Self>, LiveError> {
        let files = inner.cage()?.all_files()?;
        let shared = &self.0;
        let branch = |_| {
            let (cage, _rehydrated) = rebuild(&shared.farm, shared, &inner.log, Some(&files))?;
            let (farm, language, spec) =
                (Arc::clone(&shared.farm), Arc::clone(&shared.language), shared.spec.clone());
            Ok(Self::with(farm, shared.agent.clone(), language, spec, cage, inner.log.clone()))
        };
        (0..count).map(branch).collect()
    }

    /// Writes a file of the workspace. A replay writes it again at the same place in the history.
    pub fn put_file(&self, file: FileEntry) -> Result<(), LiveError> {
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        inner.cage()?.put_file(&file)?;
        inner.log.push(Entry::Put(file));
        Ok(())
    }

    /// Reads a file of the workspace.
    pub fn get_file(&self, path: &RelativePath) -> Result<FileEntry, LiveError> {
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        Ok(inner.cage()?.get_file(path)?)
    }

    /// Lists the regular files of the workspace.
    pub fn list_files(&self) -> Result<Vec<ListedFile>, LiveError> {
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        Ok(inner.cage()?.list_files()?)
    }

    /// Reads all regular files of the workspace, within the bounds of [`rollcage_types::Collect::Everything`]; and how many
    /// entries were left out.
    pub fn all_files(&self) -> Result<(Vec<FileEntry>, u64), LiveError> {
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        Ok(inner.cage()?.all_files()?)
    }

    /// Memory charged to it at this moment; 0 if it is on disk.
    pub fn memory(&self) -> Result<ByteSize, LiveError> {
        match &self.0.lock()?.stand {
            Stand::Live(cage) => cage.memory().map_err(LiveError::Sandbox),
            Stand::Evicted(_) | Stand::Poisoned(_) | Stand::Closed => Ok(ByteSize::bytes(0)),
        }
    }

    /// Processor time its cells have used together.
    pub fn time_used(&self) -> Result<Duration, LiveError> {
        Ok(self.0.lock()?.used)
    }

    /// Ends it. Further cells are refused.
    pub fn close(&self) -> Result<(), LiveError> {
        self.0.lock()?.leave(&self.0.farm, Stand::Closed);
        Ok(())
    }
}

impl Shared {
    /// For its owner: a cell that is running is told of, and a farm that is putting it aside is waited for.
    fn lock(&self) -> Result<MutexGuard<'_, Inner>, LiveError> {
        if let Some(inner) = self.lock_if_idle() {
            return Ok(inner);
        }
        if self.running.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(LiveError::Busy);
        }
        Ok(self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_if_idle(&self) -> Option<MutexGuard<'_, Inner>> {
        match self.inner.try_lock() {
            Ok(inner) => Some(inner),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether it was live, idle and in memory, and is parked now.
    pub(super) fn park_if_idle(&self) -> bool {
        let Some(mut inner) = self.lock_if_idle() else { return false };
        matches!(inner.stand, Stand::Live(_)) && !inner.parked && inner.park(self).is_ok()
    }

    /// `None` if it is not live, or busy.
    pub(super) fn put_aside_if_idle(&self) -> Option<Result<(), LiveError>> {
        let mut inner = self.lock_if_idle()?;
        matches!(inner.stand, Stand::Live(_)).then(|| inner.evict(self))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.farm.forget(self.place.load(Ordering::Relaxed));
        let farm = Arc::clone(&self.farm);
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner).leave(&farm, Stand::Closed);
    }
}

/// The cell that is running can be interrupted while this is held.
struct Running<'a>(&'a Shared);

impl<'a> Running<'a> {
    fn begin(shared: &'a Shared, cancel: Cancel) -> Self {
        *shared.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(cancel);
        Self(shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Inner {
    fn cage(&mut self) -> Result<&mut SessionCage, LiveError> {
        match &mut self.stand {
            Stand::Live(cage) => Ok(cage),
            Stand::Poisoned(reason) => Err(LiveError::Poisoned { reason: reason.clone() }),
            Stand::Evicted(_) | Stand::Closed => Err(LiveError::Closed),
        }
    }

    /// Changes where the state is, and keeps count.
    fn leave(&mut self, farm: &FarmState, to: Stand) {
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

    fn park(&mut self, shared: &Shared) -> Result<(), LiveError> {
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

    fn be_live(&mut self, shared: &Shared) -> Result<(), LiveError> {
        match &self.stand {
            Stand::Live(_) => Ok(()),
            Stand::Poisoned(reason) => Err(LiveError::Poisoned { reason: reason.clone() }),
            Stand::Closed => Err(LiveError::Closed),
            Stand::Evicted(stored) => {
                let aside = stored.read().map_err(|source| LiveError::Store { action: "read", source })?;
                let files = (aside.files, u64::from(!aside.complete));
                let (cage, rehydrated) = rebuild(&shared.farm, shared, &aside.log, Some(&files))?;
                self.log = aside.log;
                self.rehydrated = Some(rehydrated);
                self.leave(&shared.farm, Stand::Live(Box::new(cage)));
                shared.farm.counters.rehydrations.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// The log in memory, wherever the session is.
    fn load_log(&mut self) -> Result<(), LiveError> {
        if let Stand::Evicted(stored) = &self.stand {
            let aside = stored.read().map_err(|source| LiveError::Store { action: "read", source })?;
            self.log = aside.log;
        }
        Ok(())
    }

    /// A fresh interpreter with the state that the log leads to.
    fn rebuild(&mut self, shared: &Shared) -> Result<Rehydrated, LiveError> {
        if matches!(self.stand, Stand::Closed) {
            return Err(LiveError::Closed);
        }
        // Not both at once: there may be room for one only.
        self.leave(&shared.farm, Stand::Poisoned("it was not brought back".to_owned()));
        let (cage, rehydrated) = rebuild(&shared.farm, shared, &self.log, None)?;
        self.leave(&shared.farm, Stand::Live(Box::new(cage)));
        Ok(rehydrated)
    }

    /// A branch of the running interpreter, as a session.
    fn branch(&mut self, shared: &Shared) -> Result<Result<LiveSession, NotBranched>, LiveError> {
        let (_room, place) = shared.farm.room_for_branch()?;
        let branched = match self.cage()?.branch() {
            Ok(branched) => branched,
            Err(error) => {
                // It may have been half-way.
                self.leave(&shared.farm, Stand::Poisoned(error.to_string()));
                return Err(LiveError::Sandbox(error));
            }
        };
        Ok(branched.map(|cage| {
            place.keep();
            let (farm, language) = (Arc::clone(&shared.farm), Arc::clone(&shared.language));
            LiveSession::with(
                farm,
                shared.agent.clone(),
                language,
                shared.spec.clone(),
                cage,
                self.log.clone(),
            )
        }))
    }

    fn snapshot(&self, session: u64) -> Snapshot {
        let last = self.log.iter().rev().find_map(Entry::number);
        Snapshot { session, entries: self.log.len(), last }
    }

    /// What a cell may still take, kept free for it.
    fn room_for_cell<'a>(&mut self, shared: &'a Shared) -> Result<(Promise, RunningCell<'a>), LiveError> {
        let now = self.cage()?.memory().map_err(LiveError::Sandbox)?.as_u64();
        let promise = shared.farm.room_for(shared.spec.limits.memory.as_u64().saturating_sub(now))?;
        Ok((promise, shared.farm.room.cell()))
    }

    fn execute(
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
            let line = answer(&String::from_utf8_lossy(prompt));
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
            TurnEnd::Ended(how) => Some(format!("cell {number} ended its interpreter: {how:?}")),
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
            self.log.push(Entry::Cell(LoggedCell { number, source, stdin, answers, recorded }));
        }
        Ok(outcome)
    }

    fn evict(&mut self, shared: &Shared) -> Result<(), LiveError> {
        if matches!(self.stand, Stand::Evicted(_)) {
            return Ok(());
        }
        let not_replayable = |reason: &str| LiveError::NotReplayable { reason: reason.to_owned() };
        // An exit of bash leaves a shell waiting.
        let is_exit = |entry: &&Entry| matches!(entry, Entry::Cell(cell) if matches!(cell.recorded.ending, Some(Ending::Exited(_))));
        let waiting = match shared.language.session {
            Some(SessionKind::Bash) => self.log.iter().filter(is_exit).count() as u64,
            // The tasks of a runtime with threads are no cell's.
            Some(SessionKind::Recipe) if !shared.agent.is_copied => u64::MAX - 1,
            Some(SessionKind::Python | SessionKind::Sqlite | SessionKind::Recipe) | None => 0,
        };
        let cage = self.cage()?;
        if cage.tasks().map_err(LiveError::Sandbox)? > 1 + waiting {
            return Err(not_replayable("a cell left threads or processes running"));
        }
        let (files, omitted) = cage.all_files()?;
        let is_skipped = |entry: &Entry| matches!(entry, Entry::Cell(cell) if cell.recorded.skipped);
        if self.log.iter().any(is_skipped) {
            return Err(not_replayable("a cell was interrupted, or is one that is not done twice"));
        }
        let aside = Aside { log: std::mem::take(&mut self.log), files, complete: omitted == 0 };
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
