//! The engine: its hosts, its languages, and admission to its cages.
//!
//! Owns how many runs there are at once, that none of them blocks the runtime, and on which host a language's programs
//! run: a host has one root for all its cages, so that there is one for each root that is used, started when it is
//! first needed. A run waits for a permit, not for a thread: there are as many permits as a host has slots, whatever
//! the number of hosts, so a blocking thread that holds one never waits for a slot.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rollcage_language::{Language, LanguageSet};
use rollcage_roots::Roots;
use rollcage_sandbox::{Host, HostConfig, HostError, RootTree};
use rollcage_types::IsolationLevel;
use rollcage_warm::{Bounds, Counts, Kept};
use tokio::sync::{OnceCell, Semaphore};

use super::cages::{Cages, Started};
use super::compile_cache::DiskCache;
use super::hook::CheckerHook;
use super::toolchain::{Toolchain, ToolchainError};

/// Where time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Waiting for the policy, retries included.
    pub policy: Duration,
    /// Waiting for a permit to run, or for another to compile the same.
    pub queue: Duration,
    /// Compiling.
    pub compile: Duration,
    /// Running.
    pub run: Duration,
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.policy += other.policy;
        self.queue += other.queue;
        self.compile += other.compile;
        self.run += other.run;
    }
}

/// What an engine is made of.
#[derive(Debug)]
pub struct EngineConfig {
    /// Its host; those on other roots are like it.
    pub host: HostConfig,
    /// Where languages' own roots are looked for.
    pub roots: Roots,
    /// The languages it runs.
    pub languages: LanguageSet,
    /// What interpreters that are kept ready may take, on each host; `None` keeps none.
    pub warm: Option<Bounds>,
    /// Where what compilers made is kept for others; `None` keeps it in memory alone.
    pub disk_cache: Option<Arc<DiskCache>>,
}

impl EngineConfig {
    /// Cold, and without a cache on disk.
    pub const fn plain(host: HostConfig, roots: Roots, languages: LanguageSet) -> Self {
        Self { host, roots, languages, warm: None, disk_cache: None }
    }
}

/// Hosts, languages, and admission to cages. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    checker: Option<CheckerHook>,
}

/// Set once it has been asked.
pub(super) type KnownToolchain = OnceCell<Arc<Toolchain>>;

#[derive(Debug)]
struct Shared {
    config: EngineConfig,
    permits: Arc<Semaphore>,
    /// On what `config` says programs find at their root.
    first: Arc<Started>,
    /// On languages' own roots.
    others: Mutex<BTreeMap<PathBuf, Arc<OnceCell<Arc<Started>>>>>,
    toolchains: Mutex<BTreeMap<String, Arc<KnownToolchain>>>,
}

impl Engine {
    /// Starts a host. Those on roots that languages have of their own are started when they are first needed.
    pub fn start(config: EngineConfig) -> Result<Self, HostError> {
        let (host, disk_cache) = (config.host.clone(), config.disk_cache.clone());
        let first = Started::start(host, config.warm, disk_cache, Arc::default())?;
        let permits = Arc::new(Semaphore::new(first.host().slots()));
        let (others, toolchains) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { config, permits, first, others, toolchains });
        Ok(Self { shared, checker: None })
    }

    /// The same engine, which asks this hook about problems whose checker is one.
    #[must_use]
    pub fn with_checker(self, checker: Option<CheckerHook>) -> Self {
        Self { checker, ..self }
    }

    /// Who is asked about problems whose checker is a hook.
    pub fn checker(&self) -> Option<&CheckerHook> {
        self.checker.as_ref()
    }

    /// The languages it runs.
    pub fn languages(&self) -> &LanguageSet {
        &self.shared.config.languages
    }

    /// The host that was started first. All others are like it in everything but what programs find at their root.
    pub fn host(&self) -> Arc<Host> {
        self.shared.first.host()
    }

    /// The cages that programs of `language` run in: on its own root if it has one, unless a root was named for all.
    pub async fn cages(&self, language: &Arc<Language>) -> Result<Cages, ToolchainError> {
        let shared = &self.shared;
        let started = match root_tree(&shared.config.host, &shared.config.roots, language)? {
            None => Arc::clone(&shared.first),
            Some(root) => {
                let started = {
                    let mut others = shared.others.lock().expect("nothing panics while it holds the lock");
                    Arc::clone(others.entry(root.clone()).or_default())
                };
                let start = || start_on(&shared.config, &shared.first, &root, language);
                Arc::clone(started.get_or_try_init(start).await?)
            }
        };
        Ok(Cages { language: Arc::clone(language), started, permits: Arc::clone(&shared.permits) })
    }

    /// Has the interpreter started that most programs of `language` will ask for, if its file says how.
    pub async fn warm_up(&self, language: &Arc<Language>) -> Result<(), ToolchainError> {
        self.cages(language).await?.warm_up();
        Ok(())
    }

    /// What has been counted of warm starts, and the interpreters there are: of each host.
    pub fn warm_starts(&self) -> Vec<(Counts, Vec<Kept>)> {
        let others = self.shared.others.lock().expect("nothing panics while it holds the lock");
        let others = others.values().filter_map(|started| started.get().cloned());
        let all: Vec<_> = std::iter::once(Arc::clone(&self.shared.first)).chain(others).collect();
        all.iter().map(|started| started.pool()).map(|pool| (pool.counts(), pool.kept())).collect()
    }

    /// Does work that blocks, when it is admitted.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        spent: &mut Spent,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let waiting_since = Instant::now();
        let permits = Arc::clone(&self.shared.permits);
        let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
        spent.queue += waiting_since.elapsed();
        let running_since = Instant::now();
        let finished = tokio::task::spawn_blocking(move || {
            // The permit goes with the thread.
            let _permit = permit;
            work()
        });
        let result = match finished.await {
            Ok(result) => result,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        };
        spent.run += running_since.elapsed();
        result
    }

    /// What is known of the toolchain of the language with this name; who waits for it waits for nothing else.
    pub(super) fn known_toolchain(&self, language: &str) -> Arc<KnownToolchain> {
        let mut toolchains = self.shared.toolchains.lock().expect("nothing panics while it holds the lock");
        Arc::clone(toolchains.entry(language.to_owned()).or_default())
    }
}

/// The root of its own that programs of `language` find on a host set up as `config` says; `None` if they find what
/// `config` says.
pub fn root_tree(
    config: &HostConfig,
    roots: &Roots,
    language: &Language,
) -> Result<Option<PathBuf>, ToolchainError> {
    let (RootTree::HostToolchains, Some(recipe)) = (&config.tree, &language.root) else { return Ok(None) };
    let name = || language.name.clone();
    match config.isolation {
        IsolationLevel::Process => Err(ToolchainError::NoMounts { language: name() }),
        IsolationLevel::Full | IsolationLevel::Rootless => {
            roots.find(recipe).map(Some).ok_or_else(|| ToolchainError::NotBuilt { language: name() })
        }
    }
}

/// Starts a host like the first on another root. Starting waits for other processes.
async fn start_on(
    config: &EngineConfig,
    first: &Started,
    root: &Path,
    language: &Language,
) -> Result<Arc<Started>, ToolchainError> {
    let host = HostConfig { tree: RootTree::Directory(root.to_owned()), ..config.host.clone() };
    let (warm, disk_cache, budget) = (config.warm, config.disk_cache.clone(), Arc::clone(&first.live_budget));
    let started = tokio::task::spawn_blocking(move || Started::start(host, warm, disk_cache, budget));
    let started = match started.await {
        Ok(started) => started,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(cancelled) => {
            Err(HostError::System { action: "start another host", source: std::io::Error::other(cancelled) })
        }
    };
    let failed =
        |source| ToolchainError::Host { language: language.name.clone(), root: root.to_owned(), source };
    started.map_err(failed)
}
