//! All live sessions of one host: their interpreters, and what they may take together.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rollcage_language::Language;
use rollcage_sandbox::{BankError, Branches, Cancel, Host, SandboxError, swap_free};
use rollcage_types::{ByteSize, ExecRequest};

use crate::live::agent::Tasks;
use crate::live::alive::{Counters, Live, LivePlace};
use crate::live::banks::Banks;
use crate::live::budget::{Budget, Promise};
use crate::live::error::{FarmError, LiveError};
use crate::live::order::Order;
use crate::live::room::Wait;
use crate::live::session::LiveSession;
use crate::live::spec::LiveSpec;
use crate::live::watch::watch;

/// Swap that is left to others.
const SWAP_MIN: ByteSize = ByteSize::mib(64);
/// What opening a session may take before its first cell.
const OPENING: u64 = 8 << 20;

/// What a farm may take.
#[derive(Clone, Debug)]
pub struct FarmConfig {
    /// Memory of everything that runs on the host. `None` is three quarters of what its control group, or the machine, has.
    pub memory: Option<ByteSize>,
    /// Sessions whose interpreters run at once; `None` is as many as this process has descriptors for.
    pub live_max: Option<usize>,
    /// Where sessions that are put aside lie: a directory of this farm alone.
    pub directory: PathBuf,
    /// A session that was not used for so long is put aside.
    pub idle: Option<Duration>,
}

/// What several farms may take together. Clones are the same budget.
#[derive(Clone, Debug)]
pub struct FarmBudget(Arc<Budget>);

impl FarmBudget {
    /// See [`FarmConfig`].
    pub fn new(memory: Option<ByteSize>, live_max: Option<usize>, host: &Host) -> Self {
        Self(Budget::new(memory, live_max, host))
    }
}

/// How many sessions there are, by where their state is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FarmCounts {
    /// Their interpreters run.
    pub live: u64,
    /// Of these, whose memory was moved out.
    pub parked: u64,
    /// They are on disk.
    pub evicted: u64,
    /// Evictions there have been.
    pub evictions: u64,
    /// Times one was brought back.
    pub rehydrations: u64,
    /// Memory of everything that runs on the host, and on those that share its budget, if groups count it.
    pub memory: ByteSize,
}

/// Holds live sessions. Clones share everything; dropping the last, with the last session, ends them.
#[derive(Clone, Debug)]
pub struct Farm(pub(super) Arc<FarmState>);

#[derive(Debug)]
pub(super) struct FarmState {
    pub(super) host: Arc<Host>,
    pub(super) budget: Arc<Budget>,
    pub(super) directory: PathBuf,
    banks: Banks,
    pub(super) order: Order,
    pub(super) counters: Counters,
}

impl Farm {
    /// A farm on `host`, whose sessions are those of nobody else.
    pub fn new(host: Arc<Host>, config: FarmConfig) -> Result<Self, FarmError> {
        let budget = FarmBudget::new(config.memory, config.live_max, &host);
        Self::within(budget, host, config.directory, config.idle)
    }

    /// A farm on another host, whose sessions and those of all that share this budget have no more than it together.
    pub fn within(
        FarmBudget(budget): FarmBudget,
        host: Arc<Host>,
        directory: PathBuf,
        idle: Option<Duration>,
    ) -> Result<Self, FarmError> {
        std::fs::create_dir_all(&directory).map_err(FarmError::Directory)?;
        let (banks, order, counters) = (Banks::default(), Order::new(), Counters::default());
        let state = Arc::new(FarmState { host, budget, directory, banks, order, counters });
        state.budget.join(&state);
        let watched = Arc::downgrade(&state);
        std::thread::Builder::new()
            .name("rollcage-watch".to_owned())
            .spawn(move || watch(&watched, idle))
            .map_err(FarmError::Thread)?;
        Ok(Self(state))
    }

    /// Opens a session of `language`, whose interpreter is ready when this returns.
    pub fn open(&self, language: &Arc<Language>, spec: LiveSpec) -> Result<LiveSession, FarmError> {
        let (limit, budget) = (spec.limits.memory, self.0.budget.memory());
        if limit > budget {
            return Err(FarmError::TooLarge { limit, budget });
        }
        LiveSession::open(self, Arc::clone(language), spec)
    }

    /// What there is.
    pub fn counts(&self) -> FarmCounts {
        let counters = &self.0.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FarmCounts {
            live: count(&counters.live),
            parked: count(&counters.parked),
            evicted: count(&counters.evicted),
            evictions: count(&counters.evictions),
            rehydrations: count(&counters.rehydrations),
            memory: self.0.budget.memory_used(),
        }
    }

    /// Where its cages are.
    pub fn host(&self) -> &Arc<Host> {
        &self.0.host
    }
}

impl FarmState {
    /// A fresh interpreter, and room for what it may take while it comes up.
    pub(super) fn bring_up(
        self: &Arc<Self>,
        language: &Language,
        spec: &LiveSpec,
        tasks: Tasks,
        request: &ExecRequest,
        greeting: &[u8],
        cancel: &Cancel,
    ) -> Result<Live, FarmError> {
        let preload = spec.preload.as_deref();
        // Not given up for the room that is made here.
        let _kept = self.banks.known(language, preload, &spec.limits);
        let _room = self.room_for(OPENING, cancel)?;
        let place = self.place(cancel)?;
        let mut wait = self.budget.room.wait();
        let branches = if spec.forks { Branches::Allowed } else { Branches::Never };
        // What comes up can be put aside soon.
        let mut _busy = Some(self.budget.room.busy());
        loop {
            match self.banks.with_room(&self.host, language, preload, &spec.limits) {
                Ok(bank) => match bank.open(request, greeting, branches) {
                    Ok(cage) => return Live::new(cage, place, tasks).map_err(FarmError::Sandbox),
                    // Somebody was quicker.
                    Err(SandboxError::HostExhausted { .. }) => {}
                    Err(error) => {
                        self.banks.forget_dead();
                        return Err(FarmError::Sandbox(error));
                    }
                },
                Err(FarmError::Bank(BankError::NoMoreBanks)) => {
                    _busy = None;
                    if !self.banks.give_up_unused() {
                        self.make_room(&mut wait, cancel)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Room for a branch of a live session with so many bytes of files.
    pub(super) fn room_for_branch(
        self: &Arc<Self>,
        files: ByteSize,
        cancel: &Cancel,
    ) -> Result<(Promise, LivePlace), FarmError> {
        let room = self.room_for(OPENING + files.as_u64(), cancel)?;
        Ok((room, self.place(cancel)?))
    }

    /// A place for one more that is live, as soon as there may be one more.
    fn place(self: &Arc<Self>, cancel: &Cancel) -> Result<LivePlace, FarmError> {
        let mut wait = self.budget.room.wait();
        loop {
            if let Some(place) = self.budget.place() {
                return Ok(LivePlace::new(self, place));
            }
            self.make_room(&mut wait, cancel)?;
        }
    }

    /// Keeps `bytes` free, for which others may have to be put aside.
    pub(super) fn room_for(&self, bytes: u64, cancel: &Cancel) -> Result<Promise, FarmError> {
        let mut wait = self.budget.room.wait();
        loop {
            if let Some(promise) = self.budget.promise(bytes) {
                return Ok(promise);
            }
            if !self.banks.give_up_unused() && !self.park_one() {
                self.make_room(&mut wait, cancel)?;
            }
        }
    }

    /// Moves the memory out of the session that was not used for longest, of those that still have theirs, where there is swap.
    fn park_one(&self) -> bool {
        swap_free() >= SWAP_MIN && self.order.oldest_first().any(|shared| shared.park_if_idle())
    }

    /// Puts a session aside, or waits until there may be room in some other way. Not if nobody does anything that could make it.
    fn make_room(&self, wait: &mut Wait, cancel: &Cancel) -> Result<(), FarmError> {
        if self.budget.room.has_news(wait) && self.put_one_aside() {
            return Ok(());
        }
        if self.budget.room.wait_on(wait) && !cancel.is_cancelled() {
            return Ok(());
        }
        if cancel.is_cancelled() {
            return Err(FarmError::Interrupted);
        }
        Err(FarmError::Full { open: self.budget.live() })
    }

    /// Puts the session aside that was not used for longest, of those that can be; of another farm's if there is none of this one's.
    fn put_one_aside(&self) -> bool {
        let is_other = |farm: &Arc<Self>| !std::ptr::eq(Arc::as_ptr(farm), self);
        self.put_own_aside()
            || self.budget.farms().into_iter().filter(is_other).any(|farm| farm.put_own_aside())
    }

    fn put_own_aside(&self) -> bool {
        self.order.oldest_first().any(|shared| put_aside(shared.put_aside_if_idle()))
    }

    /// Puts aside who was not used for so long, but no more than there is time for; whether these were all.
    pub(super) fn put_idle_aside(&self, idle: Duration, time: Duration) -> bool {
        let began = Instant::now();
        for shared in self.order.oldest_first() {
            if !self.order.is_idle(&shared, idle) {
                return true;
            }
            put_aside(shared.put_aside_if_idle());
            if began.elapsed() > time {
                return false;
            }
        }
        true
    }
}

/// Whether it was. That it cannot be is its own affair, unless the disk is in the way.
fn put_aside(result: Option<Result<(), LiveError>>) -> bool {
    match result {
        Some(Ok(())) => true,
        Some(Err(error @ LiveError::Store { .. })) => {
            tracing::warn!(%error, "a session cannot be put aside");
            false
        }
        Some(Err(_)) | None => false,
    }
}
