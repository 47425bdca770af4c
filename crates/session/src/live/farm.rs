//! All live sessions of one host: their interpreters, and what they may take together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rollcage_language::Language;
use rollcage_sandbox::{
    BankError, Branches, Cancel, Host, Origin, SandboxError, SessionBank, SessionCage, swap_free,
};
use rollcage_types::{ByteSize, ExecRequest, Limits};

use crate::live::agent::Agent;
use crate::live::budget::{Budget, Promise};
use crate::live::error::{FarmError, LiveError};
use crate::live::room::Room;
use crate::live::session::{LiveSession, Shared};
use crate::live::spec::LiveSpec;

/// Descriptors that a live session takes in this process.
const DESCRIPTORS_EACH: u64 = 5;
/// Descriptors left for all else.
const DESCRIPTORS_BESIDE: u64 = 1500;
/// Swap that is left to others.
const SWAP_MIN: ByteSize = ByteSize::mib(64);
/// What opening a session may take before its first cell.
const OPENING: u64 = 8 << 20;
/// Until a cell ends whose session can be put aside then.
const ROOM_WAIT: Duration = Duration::from_mins(1);

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
    /// Memory of everything that runs on the host, if groups count it.
    pub memory: ByteSize,
}

/// Holds live sessions. Clones share everything; dropping the last, with the last session, ends them.
#[derive(Clone, Debug)]
pub struct Farm(pub(super) Arc<FarmState>);

#[derive(Debug)]
pub(super) struct FarmState {
    began: Instant,
    host: Arc<Host>,
    budget: Arc<Budget>,
    live_max: u64,
    pub(super) directory: PathBuf,
    banks: Mutex<BTreeMap<BankKey, Vec<Arc<SessionBank>>>>,
    order: Mutex<Order>,
    pub(super) counters: Counters,
    pub(super) room: Room,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) live: AtomicU64,
    pub(super) parked: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) rehydrations: AtomicU64,
}

/// Which interpreter sessions are copies of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BankKey {
    language: String,
    preload: Option<String>,
    stack: ByteSize,
}

/// Sessions in the order in which they were last used.
#[derive(Debug, Default)]
struct Order {
    next: u64,
    sessions: BTreeMap<u64, Weak<Shared>>,
}

impl Farm {
    /// A farm on `host`, whose sessions are those of nobody else.
    pub fn new(host: Arc<Host>, config: FarmConfig) -> Result<Self, FarmError> {
        std::fs::create_dir_all(&config.directory).map_err(FarmError::Directory)?;
        let budget = config.memory.unwrap_or_else(|| usual_budget(&host));
        let live_max = config.live_max.map_or_else(usual_live_max, |most| most as u64);
        let state = Arc::new(FarmState {
            began: Instant::now(),
            host,
            budget: Budget::new(budget),
            live_max,
            directory: config.directory,
            banks: Mutex::default(),
            order: Mutex::default(),
            counters: Counters::default(),
            room: Room::default(),
        });
        if let Some(idle) = config.idle {
            let state = Arc::downgrade(&state);
            let watch = move || sweep(&state, idle);
            std::thread::Builder::new()
                .name("rollcage-idle".to_owned())
                .spawn(watch)
                .map_err(FarmError::Thread)?;
        }
        Ok(Self(state))
    }

    /// Opens a session of `language`, whose interpreter is ready when this returns.
    pub fn open(&self, language: &Arc<Language>, spec: LiveSpec) -> Result<LiveSession, FarmError> {
        let (limit, budget) = (spec.limits.memory, self.0.budget.total());
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
            memory: self.0.host.memory().unwrap_or_default(),
        }
    }

    /// Where its cages are.
    pub fn host(&self) -> &Arc<Host> {
        &self.0.host
    }

    /// Has the interpreter started that sessions of this kind are copies of.
    pub fn warm_up(
        &self,
        language: &Language,
        preload: Option<&str>,
        limits: &Limits,
    ) -> Result<(), FarmError> {
        self.0.bank_with_room(language, preload, limits).map(drop)
    }
}

impl FarmState {
    /// A fresh cage for a session, and room for what it may take while it comes up.
    pub(super) fn cage(
        &self,
        language: &Language,
        spec: &LiveSpec,
        request: &ExecRequest,
        greeting: &[u8],
    ) -> Result<SessionCage, FarmError> {
        let deadline = Instant::now() + ROOM_WAIT;
        let _room = self.room_for(OPENING)?;
        let place = self.live_place(deadline)?;
        let branches = if spec.forks { Branches::Allowed } else { Branches::Never };
        loop {
            match self.bank_with_room(language, spec.preload.as_deref(), &spec.limits) {
                Ok(bank) => match bank.open(request, greeting, branches) {
                    Ok(cage) => {
                        place.keep();
                        return Ok(cage);
                    }
                    // Somebody was quicker.
                    Err(SandboxError::HostExhausted { .. }) => {}
                    Err(error) => {
                        self.forget_dead();
                        return Err(FarmError::Sandbox(error));
                    }
                },
                Err(FarmError::Bank(BankError::NoMoreBanks)) => self.make_room(deadline)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Room for a branch of a live session with so many bytes of files, which counts as live from then on.
    pub(super) fn room_for_branch(&self, files: ByteSize) -> Result<(Promise, LivePlace<'_>), FarmError> {
        let room = self.room_for(OPENING + files.as_u64())?;
        Ok((room, self.live_place(Instant::now() + ROOM_WAIT)?))
    }

    /// Counts one more as live, as soon as there may be one more.
    fn live_place(&self, deadline: Instant) -> Result<LivePlace<'_>, FarmError> {
        let live = &self.counters.live;
        let one_more = |now| (now < self.live_max).then_some(now + 1);
        while live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            self.make_room(deadline)?;
        }
        Ok(LivePlace { farm: self, kept: false })
    }

    /// Keeps `bytes` free, for which others may have to be put aside.
    pub(super) fn room_for(&self, bytes: u64) -> Result<Promise, FarmError> {
        let deadline = Instant::now() + ROOM_WAIT;
        loop {
            let used = self.host.memory().unwrap_or_default().as_u64();
            if let Some(promise) = self.budget.promise(bytes, used) {
                return Ok(promise);
            }
            if !self.park_one() {
                self.make_room(deadline)?;
            }
        }
    }

    /// Moves the memory out of the session that was not used for longest, of those that still have theirs, where there is swap.
    fn park_one(&self) -> bool {
        if swap_free() < SWAP_MIN {
            return false;
        }
        let mut from = 0;
        while let Some((place, shared)) = self.next_used_after(from) {
            from = place + 1;
            if shared.upgrade().is_some_and(|shared| shared.park_if_idle()) {
                return true;
            }
        }
        false
    }

    /// Puts a session aside, or waits until there may be room in some other way. Not if no cell is running that could make it.
    fn make_room(&self, deadline: Instant) -> Result<(), FarmError> {
        let before = self.room.now();
        if self.put_one_aside() || self.room.wait_past(before, deadline) {
            return Ok(());
        }
        let open = self.counters.live.load(Ordering::Relaxed);
        Err(FarmError::Full { open: usize::try_from(open).unwrap_or(usize::MAX) })
    }

    /// Puts the session aside that was not used for longest, of those that can be.
    fn put_one_aside(&self) -> bool {
        let mut from = 0;
        while let Some((place, shared)) = self.next_used_after(from) {
            from = place + 1;
            let Some(shared) = shared.upgrade() else { continue };
            match shared.put_aside_if_idle() {
                Some(Ok(())) => return true,
                Some(Err(error @ LiveError::Store { .. })) => {
                    tracing::warn!(%error, "a session cannot be put aside");
                }
                Some(Err(_)) | None => {}
            }
        }
        false
    }

    fn next_used_after(&self, place: u64) -> Option<(u64, Weak<Shared>)> {
        let order = self.order();
        order.sessions.range(place..).next().map(|(place, shared)| (*place, Weak::clone(shared)))
    }

    fn bank_with_room(
        &self,
        language: &Language,
        preload: Option<&str>,
        limits: &Limits,
    ) -> Result<Arc<SessionBank>, FarmError> {
        let key = BankKey {
            language: language.name.clone(),
            preload: preload.map(str::to_owned),
            stack: limits.stack,
        };
        // Held while one is started: whoever comes meanwhile would start another.
        let mut banks = self.banks.lock().unwrap_or_else(PoisonError::into_inner);
        let own = banks.entry(key).or_default();
        if let Some(bank) = own.iter().find(|bank| bank.free() > 0 && bank.is_alive()) {
            return Ok(Arc::clone(bank));
        }
        let agent = Agent::of(language)?;
        let start = |origin| {
            SessionBank::start(&self.host, origin, SessionBank::SLOTS_MAX, &Cancel::new())
                .map_err(FarmError::Bank)
        };
        let bank = if agent.is_copied {
            let spec = agent.fork_server(language, preload, limits)?;
            start(Origin::Copies(Box::new(spec)))?
        } else {
            start(Origin::Executed)?
        };
        own.push(Arc::clone(&bank));
        Ok(bank)
    }

    /// A bank whose launcher is gone makes no more cages.
    fn forget_dead(&self) {
        let mut banks = self.banks.lock().unwrap_or_else(PoisonError::into_inner);
        banks.values_mut().for_each(|own| own.retain(|bank| bank.is_alive()));
    }

    /// Takes note of the use of a session.
    pub(super) fn touch(&self, shared: &Arc<Shared>) {
        let mut order = self.order();
        let place = order.next;
        order.next += 1;
        let last = shared.place.swap(place, Ordering::Relaxed);
        order.sessions.remove(&last);
        order.sessions.insert(place, Arc::downgrade(shared));
        shared.used_at.store(self.now_ms(), Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Puts aside who was not used for so long.
    fn put_idle_aside(&self, idle: Duration) {
        let before = self.now_ms().saturating_sub(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        let mut from = 0;
        while let Some((place, shared)) = self.next_used_after(from) {
            from = place + 1;
            let Some(shared) = shared.upgrade() else { continue };
            if shared.used_at.load(Ordering::Relaxed) > before {
                return;
            }
            if let Some(Err(error @ LiveError::Store { .. })) = shared.put_aside_if_idle() {
                tracing::warn!(%error, "a session cannot be put aside");
            }
        }
    }

    pub(super) fn forget(&self, place: u64) {
        self.order().sessions.remove(&place);
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counted as live, until this is dropped or for as long as who is live counts itself.
pub(super) struct LivePlace<'a> {
    farm: &'a FarmState,
    kept: bool,
}

impl LivePlace<'_> {
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for LivePlace<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.farm.counters.live.fetch_sub(1, Ordering::Relaxed);
            self.farm.room.note_change();
        }
    }
}

/// Looks for idle sessions now and then, until the farm is gone.
fn sweep(farm: &Weak<FarmState>, idle: Duration) {
    /// A session is put aside at the latest a quarter of its time late.
    const LOOKS: u32 = 4;
    const LOOK_MIN: Duration = Duration::from_millis(50);
    loop {
        std::thread::sleep((idle / LOOKS).max(LOOK_MIN));
        match farm.upgrade() {
            Some(farm) => farm.put_idle_aside(idle),
            None => return,
        }
    }
}

fn usual_budget(host: &Host) -> ByteSize {
    let info = rustix::system::sysinfo();
    let total = info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)));
    let most = host.memory_limit().map_or(total, |limit| limit.as_u64().min(total));
    ByteSize::bytes(most / 4 * 3)
}

fn usual_live_max() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let descriptors = limit.current.unwrap_or(u64::MAX);
    (descriptors.saturating_sub(DESCRIPTORS_BESIDE) / DESCRIPTORS_EACH).max(1)
}
