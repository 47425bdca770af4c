//! All programs that wait executed ahead, and the host they wait on.
//!
//! They have a host of their own, like the pool's: a waiting spare fills a slot, and those of the pool's host are all for
//! programs that run.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rollcage_language::{Language, SpareRecipe};
use rollcage_sandbox::{Cancel, Host, HostConfig, SandboxError, Spare, SpareError};
use rollcage_types::{ByteSize, ExecRequest};

use crate::counts::ColdReason;
use crate::pool::Kept;
use crate::shelf::{Shelf, Taken, spec_for};
use crate::toolchain::ToolchainFiles;

/// A virtual machine takes tens of milliseconds; a busy machine takes longer.
const START_TIME: Duration = Duration::from_secs(30);
/// Kinds that are remembered at once.
const SHELVES_MAX: usize = 32;
/// Slots for spares that wait, beside one for each program that may run.
const WAITING_MAX: usize = 32;
/// A host takes no more.
const SLOTS_MAX: usize = 256;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    shelves: Mutex<Shelves>,
    /// Started when it is first needed; `None` before, and after it was lost.
    host: Mutex<Option<Arc<Host>>>,
}

#[derive(Debug, Default)]
struct Shelves {
    list: Vec<Shelf>,
    next_id: u64,
}

/// A spare, or why there is none; and what the keeper is to do.
pub(crate) struct Asked {
    pub(crate) spare: Result<Spare, ColdReason>,
    pub(crate) id: u64,
    pub(crate) to_make: usize,
    /// Whether the toolchain has changed.
    pub(crate) has_changed: bool,
}

impl Spares {
    /// Takes a spare for `request`, which is of the command of `language`.
    pub(crate) fn ask(
        &self,
        language: &Language,
        recipe: &SpareRecipe,
        request: &ExecRequest,
        host: &Host,
    ) -> Asked {
        let now = Instant::now();
        let mut shelves = self.lock();
        let shelf = shelves.find_or_make(language, recipe, request, host, now);
        if let Err(mismatch) = shelf.spec.accepts(request) {
            let (spare, id) = (Err(ColdReason::Mismatch(mismatch)), shelf.id);
            return Asked { spare, id, to_make: 0, has_changed: false };
        }
        let Taken { spare, to_make, outdated } = shelf.take(now);
        Asked { spare, id: shelf.id, to_make, has_changed: outdated.is_some() }
    }

    /// The kind that most programs of `language` will ask for, and how many of it are to be made.
    pub(crate) fn ahead(&self, language: &Language, recipe: &SpareRecipe, host: &Host) -> (u64, usize) {
        let now = Instant::now();
        let mut shelves = self.lock();
        let shelf = shelves.usual(language, recipe, host, now);
        (shelf.id, shelf.order_more(now))
    }

    /// Whether as many wait of the kind with this number as are wanted; why not, if they never will.
    pub(crate) fn readiness(&self, id: u64) -> Result<bool, ColdReason> {
        let shelves = self.lock();
        let shelf = shelves.list.iter().find(|shelf| shelf.id == id).ok_or(ColdReason::Memory)?;
        match shelf.failed(Instant::now()) {
            Some(reason) => Err(reason),
            None => Ok(shelf.waiting() > 0 && shelf.is_at_rest()),
        }
    }

    /// Executes some ahead. Starts the host first, if it is not there.
    pub(crate) fn make(&self, id: u64, count: usize, like: &Host, cancel: &Cancel) {
        for _ in 0..count {
            let wanted = self.lock().shelf(id).map(|shelf| (shelf.spec.clone(), shelf.identity()));
            let Some((spec, identity)) = wanted else { return };
            let made = self.host(like).and_then(|host| {
                Spare::start(&host, spec, START_TIME, cancel).map_err(|error| self.explain(&host, &error))
            });
            let leaving = match self.lock().shelf(id) {
                Some(shelf) => shelf.made(made, identity, Instant::now()),
                None => made.ok(),
            };
            drop(leaving);
        }
    }

    fn explain(&self, host: &Arc<Host>, error: &SpareError) -> ColdReason {
        match error {
            SpareError::NoSlot | SpareError::Cancelled => return ColdReason::Starting,
            SpareError::NeverOpened | SpareError::Late { .. } => {}
            SpareError::Sandbox(SandboxError::LauncherGone) => self.lose(host),
            SpareError::Sandbox(_) => {}
        }
        tracing::warn!(%error, "a program could not be executed ahead");
        if matches!(error, SpareError::NeverOpened) { ColdReason::Refused } else { ColdReason::Failed }
    }

    fn host(&self, like: &Host) -> Result<Arc<Host>, ColdReason> {
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = &*host {
            return Ok(Arc::clone(host));
        }
        let slots = (like.slots() + WAITING_MAX).min(SLOTS_MAX);
        let config = HostConfig { slots, spares: true, ..like.config().clone() };
        match Host::start(&config) {
            Ok(started) => Ok(Arc::clone(host.insert(Arc::new(started)))),
            Err(error) => {
                tracing::warn!(%error, "no host for programs that are executed ahead");
                Err(ColdReason::Failed)
            }
        }
    }

    /// A host whose launcher is gone, and with it all that waited there.
    pub(crate) fn lose(&self, lost: &Arc<Host>) {
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        if host.as_ref().is_some_and(|host| Arc::ptr_eq(host, lost)) {
            *host = None;
        }
    }

    /// Ends those that nobody has asked for for so long.
    pub(crate) fn give_up_unused(&self, now: Instant, idle: Duration) {
        let mut unused = Vec::new();
        for shelf in &mut self.lock().list {
            if now.saturating_duration_since(shelf.last_use) >= idle {
                unused.extend(shelf.clear());
            }
        }
        drop(unused);
    }

    /// Ends those of the kind that nobody has asked for for longest, if that is longer ago than `other`.
    pub(crate) fn give_up_oldest(&self, other: Option<Instant>) -> bool {
        let mut shelves = self.lock();
        let waiting = shelves.list.iter_mut().filter(|shelf| shelf.waiting() > 0);
        let oldest = waiting.min_by_key(|shelf| shelf.last_use);
        let Some(shelf) = oldest.filter(|shelf| other.is_none_or(|other| shelf.last_use <= other)) else {
            return false;
        };
        tracing::info!(language = shelf.language, "interpreters take too much memory: spares are given up");
        let ended = shelf.clear();
        drop(shelves);
        !ended.is_empty()
    }

    /// Memory of all that wait.
    pub(crate) fn memory(&self) -> ByteSize {
        ByteSize::bytes(self.lock().list.iter().map(|shelf| shelf.memory().as_u64()).sum())
    }

    /// What waits, by kind.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let of = |shelf: &Shelf| Kept {
            language: shelf.language.clone(),
            preload: None,
            memory: Some(shelf.memory()),
            forks: 0,
            spares: shelf.waiting(),
            process_id: None,
        };
        self.lock().list.iter().filter(|shelf| shelf.waiting() > 0).map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn shelf(&mut self, id: u64) -> Option<&mut Shelf> {
        self.list.iter_mut().find(|shelf| shelf.id == id)
    }

    fn usual(&mut self, language: &Language, recipe: &SpareRecipe, host: &Host, now: Instant) -> &mut Shelf {
        let spec = spec_for(language, recipe, None);
        let is_it = |shelf: &Shelf| shelf.language == language.name && shelf.spec == spec;
        let place = match self.list.iter().position(is_it) {
            Some(place) => place,
            None => self.add(language, recipe, spec, host, now),
        };
        &mut self.list[place]
    }

    fn find_or_make(
        &mut self,
        language: &Language,
        recipe: &SpareRecipe,
        request: &ExecRequest,
        host: &Host,
        now: Instant,
    ) -> &mut Shelf {
        let place = match self.list.iter().position(|shelf| shelf.is_for(language, request)) {
            Some(place) => place,
            None => self.add(language, recipe, spec_for(language, recipe, Some(request)), host, now),
        };
        &mut self.list[place]
    }

    fn add(
        &mut self,
        language: &Language,
        recipe: &SpareRecipe,
        spec: rollcage_sandbox::SpareSpec,
        host: &Host,
        now: Instant,
    ) -> usize {
        if self.list.len() >= SHELVES_MAX {
            let oldest = self.list.iter().enumerate().min_by_key(|(_, shelf)| shelf.last_use);
            if let Some(place) = oldest.map(|(place, _)| place) {
                self.list.swap_remove(place);
            }
        }
        self.next_id += 1;
        let files = ToolchainFiles::of(language, host);
        self.list.push(Shelf::new(self.next_id, language, recipe, spec, files, now));
        self.list.len() - 1
    }
}
