//! The interpreters of one host, and the programs that are copies of them.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rollcage_language::{ForkRecipe, Language, Preload, SpareRecipe, Warm};
use rollcage_sandbox::{Cancel, ForkServer, Host, Mismatch, SandboxError, Spare};
use rollcage_types::{ByteSize, ExecOutcome, ExecRequest, IsolationLevel};

use crate::counts::{ColdReason, Counters, Counts, count};
use crate::entry::{Answer, Ask, Entry, Outdated, State};
use crate::keeper::{Job, keep};
use crate::prepared::{Prepared, Readiness, path_in_cages};
use crate::spares::{Asked, Spares};
use crate::toolchain::ToolchainFiles;

/// What a pool may take, and how long it keeps what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory of all interpreters together. Beyond it, those not used for longest go.
    pub memory: ByteSize,
    /// An interpreter that has been copied this often is replaced by a fresh one, with another hash seed.
    pub forks: u64,
    /// An interpreter that nobody has used for this long is given up.
    pub idle: Duration,
}

/// Kinds of interpreters that are remembered at once. Each stands for a command line with its variables.
const ENTRIES_MAX: usize = 64;

impl Bounds {
    /// An eighth of this machine's memory, ten minutes, and a number of copies at which starting anew costs each of them
    /// some tens of microseconds.
    pub fn of_machine() -> Self {
        const SHARE: u64 = 8;
        let info = rustix::system::sysinfo();
        let total = info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)));
        Self { memory: ByteSize::bytes(total / SHARE), forks: 4096, idle: Duration::from_secs(600) }
    }
}

/// An interpreter that is kept, or a kind of those that wait executed ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its language.
    pub language: String,
    /// Its preload.
    pub preload: Option<String>,
    /// Charged to it, its waiting cages and what the kernel holds for them, where a group counts that.
    pub memory: Option<ByteSize>,
    /// Copies made of it.
    pub forks: u64,
    /// How many wait that were executed ahead.
    pub spares: usize,
    /// The process below which it and its copies are.
    pub process_id: Option<u32>,
}

/// Runs programs by copies of waiting interpreters, or cold. Dropping it ends the interpreters.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

/// What runs and the keeper share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Arc<Host>,
    pub(crate) counters: Counters,
    pub(crate) prepared: Prepared,
    pub(crate) spares: Spares,
    entries: Mutex<Entries>,
    changed: Condvar,
    jobs: Sender<Job>,
    /// Of starts in progress.
    pub(crate) cancel: Cancel,
}

#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) list: Vec<Entry>,
    next_id: u64,
}

/// What becomes of a request.
enum Way {
    /// A copy of the interpreter with this number runs it.
    Copy(u64, Arc<ForkServer>),
    /// This runs it.
    Spare(Box<Spare>),
    Cold(ColdReason),
    /// It is no program of the language's, or the language has no recipe.
    Other,
}

impl Pool {
    /// A pool for programs on `host`. Without bounds it keeps nothing.
    pub fn new(host: Arc<Host>, bounds: Option<Bounds>) -> Self {
        let (jobs, received) = channel();
        let shared = Arc::new(Shared {
            host,
            counters: Counters::default(),
            prepared: Prepared::default(),
            spares: Spares::default(),
            entries: Mutex::default(),
            changed: Condvar::new(),
            jobs,
            cancel: Cancel::new(),
        });
        let keeper = bounds.map(|bounds| {
            let shared = Arc::clone(&shared);
            let run = move || keep(&shared, bounds, &received);
            std::thread::Builder::new().name("rollcage-warm".to_owned()).spawn(run)
        });
        let keeper = keeper.and_then(|started| match started {
            Ok(thread) => Some(thread),
            Err(error) => {
                tracing::warn!(%error, "no thread to keep interpreters ready: all programs start cold");
                None
            }
        });
        Self { shared, keeper }
    }

    /// Where the programs run.
    pub fn host(&self) -> &Arc<Host> {
        &self.shared.host
    }

    /// Runs a request of `language` and waits for it. Blocks the calling thread, first for a free slot of the host.
    pub fn run(
        &self,
        language: &Language,
        request: &ExecRequest,
        cancel: &Cancel,
    ) -> Result<ExecOutcome, SandboxError> {
        let shared = &self.shared;
        match self.way(language, request) {
            Way::Other => {}
            Way::Cold(reason) => shared.counters.cold(reason),
            Way::Copy(id, server) => match server.run(request, cancel) {
                Ok(outcome) => {
                    count(&shared.counters.forks);
                    shared.lock().entry(id).into_iter().for_each(Entry::no_trouble);
                    return Ok(outcome);
                }
                // Whatever it is that the interpreter met, a fresh one may be spared it.
                Err(error) if error.is_retryable() => {
                    shared.trouble(id, &server, &error);
                    shared.counters.cold(ColdReason::Died);
                }
                Err(error) => return Err(error),
            },
            Way::Spare(spare) => match spare.run(request, cancel) {
                Ok(outcome) => {
                    count(&shared.counters.spares);
                    return Ok(outcome);
                }
                Err(error) if error.is_retryable() => {
                    tracing::warn!(%error, argv = ?request.argv, "a spare failed; the program is run cold");
                    shared.counters.cold(ColdReason::Died);
                }
                Err(error) => return Err(error),
            },
        }
        shared.host.run(request, cancel)
    }

    /// Runs a compiler of `language`, which uses what was made for all of them if that is there.
    pub fn compile(
        &self,
        language: &Arc<Language>,
        request: &ExecRequest,
        cancel: &Cancel,
    ) -> Result<ExecOutcome, SandboxError> {
        match (&language.prepare, self.readiness(language)) {
            (Some(prepare), Readiness::There) => {
                let mut request = request.clone();
                prepare.apply(&path_in_cages(language), &mut request);
                self.shared.host.run(&request, cancel)
            }
            (_, _) => self.shared.host.run(request, cancel),
        }
    }

    /// Has made what the compilers of `language` use.
    pub fn prepare(&self, language: &Arc<Language>) {
        let _unused = self.readiness(language);
    }

    /// Waits until what the compilers of `language` use is there; `false` if it will not be.
    pub fn await_prepared(&self, language: &Arc<Language>) -> bool {
        let mut entries = self.shared.lock();
        loop {
            match self.readiness(language) {
                Readiness::There => return true,
                Readiness::BeingMade => {}
                Readiness::Never => return false,
            }
            entries = self.shared.changed.wait(entries).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn readiness(&self, language: &Arc<Language>) -> Readiness {
        let Some(prepare) = language.prepare.as_ref().filter(|_| self.keeper.is_some()) else {
            return Readiness::Never;
        };
        let (readiness, is_first) = self.shared.prepared.ask(language, prepare, &self.shared.host);
        if is_first {
            self.shared.tell(Job::Prepare(Arc::clone(language)));
        }
        readiness
    }

    /// Has the interpreter of `language` started that most programs will ask for; with a preload, one with that.
    pub fn ahead(&self, language: &Language, preload: Option<&str>) {
        if self.unable(language).is_some() {
            return;
        }
        match &language.warm {
            None => {}
            Some(Warm::Fork(recipe)) => {
                let preload = preload.and_then(|name| find_preload(recipe, name));
                let _unasked = self.shared.ask(&Ask::usual(language, recipe, preload));
            }
            Some(Warm::Spare(recipe)) => {
                self.make_spares(self.shared.spares.ahead(language, recipe, self.host()));
            }
        }
    }

    /// Waits until the interpreter that [`Pool::ahead`] means waits at its fork point, and why not if it never will.
    pub fn await_ready(&self, language: &Language, preload: Option<&str>) -> Result<(), ColdReason> {
        if let Some(reason) = self.unable(language) {
            return Err(reason);
        }
        self.ahead(language, preload);
        let mut entries = self.shared.lock();
        loop {
            if let Some(Warm::Spare(recipe)) = &language.warm {
                let (id, to_make) = self.shared.spares.ahead(language, recipe, self.host());
                self.make_spares((id, to_make));
                if self.shared.spares.readiness(id)? {
                    return Ok(());
                }
                entries = self.shared.changed.wait(entries).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let found = entries.list.iter().find(|entry| entry.is_usual_of(language, preload));
            match found.map(|entry| &entry.state) {
                Some(State::Ready(_)) => return Ok(()),
                Some(State::Failed { reason, .. }) => return Err(*reason),
                Some(State::Asked(_)) | None => return Err(ColdReason::Failed),
                Some(State::Starting { .. }) => {}
            }
            entries = self.shared.changed.wait(entries).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What has happened so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.read()
    }

    /// The interpreters there are.
    pub fn kept(&self) -> Vec<Kept> {
        let of = |entry: &Entry| {
            entry.ready().map(|ready| Kept {
                language: entry.language.clone(),
                preload: entry.preload.clone(),
                memory: ready.server.memory(),
                forks: ready.server.forks(),
                spares: 0,
                process_id: Some(ready.server.process_id()),
            })
        };
        let mut kept: Vec<_> = self.shared.lock().list.iter().filter_map(of).collect();
        kept.extend(self.shared.spares.kept());
        kept
    }

    /// Why nothing is kept here, whatever is asked for.
    fn unable(&self, language: &Language) -> Option<ColdReason> {
        let host = &self.shared.host;
        let waits_alone = matches!(language.warm, Some(Warm::Spare(_)));
        if self.keeper.is_none() {
            Some(ColdReason::Off)
        } else if host.enforcement().level == IsolationLevel::Process || (waits_alone && !host.has_groups()) {
            Some(ColdReason::Level)
        } else if host.has_base() {
            Some(ColdReason::Mismatch(Mismatch::Base))
        } else {
            None
        }
    }

    fn way(&self, language: &Language, request: &ExecRequest) -> Way {
        let Some(warm) = &language.warm else { return Way::Other };
        // Compilers and questions after versions are no programs.
        if !request.argv.starts_with(&language.run_command().argv) {
            return Way::Other;
        }
        if let Some(reason) = self.unable(language) {
            return Way::Cold(reason);
        }
        match warm {
            Warm::Fork(recipe) => self.copy(language, recipe, request),
            Warm::Spare(recipe) => self.spare(language, recipe, request),
        }
    }

    fn spare(&self, language: &Language, recipe: &SpareRecipe, request: &ExecRequest) -> Way {
        let Asked { spare, id, to_make, has_changed } =
            self.shared.spares.ask(language, recipe, request, self.host());
        if has_changed {
            count(&self.shared.counters.outdated);
        }
        self.make_spares((id, to_make));
        spare.map_or_else(Way::Cold, |spare| Way::Spare(Box::new(spare)))
    }

    fn make_spares(&self, (id, count): (u64, usize)) {
        if count > 0 {
            self.shared.tell(Job::MakeSpares(id, count));
        }
    }

    fn copy(&self, language: &Language, recipe: &ForkRecipe, request: &ExecRequest) -> Way {
        let Some(program) = request.files.iter().find(|file| file.path == language.filename) else {
            return Way::Cold(ColdReason::Mismatch(Mismatch::NoProgram));
        };
        let preload = recipe.preload_for(&program.content);
        match self.shared.ask(&Ask::of(language, recipe, preload, request)) {
            Err(reason) => Way::Cold(reason),
            Ok((id, server)) => match server.accepts(request) {
                Ok(()) => Way::Copy(id, server),
                Err(mismatch) => Way::Cold(ColdReason::Mismatch(mismatch)),
            },
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.cancel.cancel();
        self.shared.tell(Job::End);
        if let Some(keeper) = self.keeper.take() {
            // It has nothing to say but that it panicked, which the panic has said.
            let _ended = keeper.join();
        }
    }
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing panics while it is held; if something did, each entry is still whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody may wait for what was just done to the entries.
    pub(crate) fn notify(&self) {
        // Whoever has looked and found nothing waits by now.
        drop(self.lock());
        self.changed.notify_all();
    }

    fn tell(&self, job: Job) {
        // Without a keeper there is nothing to keep.
        let _told = self.jobs.send(job);
    }

    /// The interpreter asked for, or why there is none.
    fn ask(&self, ask: &Ask<'_>) -> Result<(u64, Arc<ForkServer>), ColdReason> {
        let now = Instant::now();
        let mut entries = self.lock();
        let entry = entries.find_or_make(ask, &self.host, now);
        match entry.look_at_toolchain(now) {
            Outdated::No => {}
            Outdated::Knowledge => count(&self.counters.outdated),
            Outdated::Server(server) => {
                count(&self.counters.outdated);
                tracing::info!(
                    language = entry.language,
                    "its toolchain has changed: an interpreter is given up"
                );
                self.tell(Job::Retire(server));
            }
        }
        match entry.answer(now) {
            Answer::Copy(server) => Ok((entry.id, server)),
            Answer::Cold { reason, start } => {
                if start {
                    self.tell(Job::Start(entry.id));
                }
                Err(reason)
            }
        }
    }

    fn trouble(&self, id: u64, server: &Arc<ForkServer>, error: &SandboxError) {
        tracing::warn!(%error, argv = ?server.spec().argv, "a copy of an interpreter failed; the program is run cold");
        let given_up = self.lock().entry(id).and_then(|entry| entry.trouble(server, error, Instant::now()));
        if let Some(server) = given_up {
            count(&self.counters.died);
            self.tell(Job::Retire(server));
        }
    }
}

impl Entries {
    pub(crate) fn entry(&mut self, id: u64) -> Option<&mut Entry> {
        self.list.iter_mut().find(|entry| entry.id == id)
    }

    fn find_or_make(&mut self, ask: &Ask<'_>, host: &Host, now: Instant) -> &mut Entry {
        let place = match self.list.iter().position(|entry| entry.is_for(ask)) {
            Some(place) => place,
            None => {
                self.make_room();
                self.next_id += 1;
                let toolchain = ToolchainFiles::of(ask.language, host);
                self.list.push(Entry::new(self.next_id, ask, toolchain, now));
                self.list.len() - 1
            }
        };
        &mut self.list[place]
    }

    /// Forgets the kind that nobody has asked for for longest, of those that have no interpreter; if all have one, that goes
    /// with it.
    fn make_room(&mut self) {
        if self.list.len() < ENTRIES_MAX {
            return;
        }
        let oldest =
            self.list.iter().enumerate().min_by_key(|(_, entry)| (entry.ready().is_some(), entry.last_use));
        if let Some((place, _)) = oldest {
            self.list.swap_remove(place);
        }
    }
}

impl Entry {
    fn is_usual_of(&self, language: &Language, preload: Option<&str>) -> bool {
        let Some(Warm::Fork(recipe)) = &language.warm else { return false };
        let preload = preload.and_then(|name| find_preload(recipe, name));
        self.is_for(&Ask::usual(language, recipe, preload))
    }
}

fn find_preload<'a>(recipe: &'a ForkRecipe, name: &str) -> Option<&'a Preload> {
    recipe.preloads.iter().find(|known| known.name == name)
}
