//! The cages that programs of one language run in: on the host's toolchains, or on a root of the language's own.
//!
//! Owns the running of one request, warm where that can be, and that a host whose launcher is gone is replaced by another. Where the cages of a
//! language are, and how many run at once, is the engine's.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rollcage_language::Language;
use rollcage_sandbox::{Cancel, Host, HostConfig, HostError, SandboxError};
use rollcage_session::live::{AsideDirectory, Farm, FarmBudget, FarmError};
use rollcage_types::{ExecOutcome, ExecRequest, IsolationLevel};
use rollcage_warm::{Bounds, Pool};
use tokio::sync::Semaphore;

use super::compile_cache::{CompileCache, DiskCache};

/// Runs of one request where the cage fails for a reason that may pass, the first included. What fails three
/// times in a row is not a hiccup.
const ATTEMPTS_MAX: u32 = 3;

/// A session that a model has not come back to for so long is put aside.
const IDLE: Duration = Duration::from_secs(300);

/// A finished run, and how long it took to be admitted and to be run.
#[derive(Debug)]
pub struct Ran {
    /// What came of it.
    pub outcome: ExecOutcome,
    /// Waiting for a permit.
    pub queue: Duration,
    /// From the permit to the outcome, the making of the cage included.
    pub run: Duration,
}

/// A started host with the interpreters that are kept ready on it, and what was compiled on it: another root may have
/// another compiler of the same name.
#[derive(Debug)]
pub(super) struct Started {
    config: HostConfig,
    warm: Option<Bounds>,
    pub(super) disk_cache: Option<Arc<DiskCache>>,
    pool: RwLock<Arc<Pool>>,
    /// What the live sessions of all hosts of the engine may take together.
    pub(super) live_budget: Arc<OnceLock<FarmBudget>>,
    /// For live sessions; `None` until the first is asked for.
    farm: Mutex<Option<OpenedFarm>>,
    pub(super) compile_cache: CompileCache,
}

impl Started {
    /// Starts a host. Waits for other processes.
    pub(super) fn start(
        config: HostConfig,
        warm: Option<Bounds>,
        disk_cache: Option<Arc<DiskCache>>,
        live_budget: Arc<OnceLock<FarmBudget>>,
    ) -> Result<Arc<Self>, HostError> {
        let pool = RwLock::new(Arc::new(Pool::new(Arc::new(Host::start(&config)?), warm)));
        let farm = Mutex::default();
        let compile_cache = CompileCache::default();
        Ok(Arc::new(Self { config, warm, disk_cache, pool, live_budget, farm, compile_cache }))
    }

    /// The host as it is now.
    pub(super) fn host(&self) -> Arc<Host> {
        Arc::clone(self.pool().host())
    }

    /// What holds live sessions; `None` where this host cannot keep any.
    fn farm(&self) -> Option<Farm> {
        let host = self.host();
        if host.enforcement().level == IsolationLevel::Process || !host.has_groups() {
            return None;
        }
        let mut opened = self.farm.lock().unwrap_or_else(PoisonError::into_inner);
        // One on a host that was replaced opens nothing any more; its sessions hold it.
        if let Some(opened) = opened.as_ref().filter(|opened| Arc::ptr_eq(opened.farm.host(), &host)) {
            return Some(opened.farm.clone());
        }
        let made = AsideDirectory::create().map_err(FarmError::Directory);
        let made = made.and_then(|directory| {
            let budget = self.live_budget.get_or_init(|| FarmBudget::new(None, None, &host)).clone();
            let farm = Farm::within(budget, host, directory.path().to_owned(), Some(IDLE))?;
            Ok(OpenedFarm { farm, _directory: directory })
        });
        match made {
            Ok(made) => Some(opened.insert(made).farm.clone()),
            Err(error) => {
                let error = super::error_chain(&error);
                tracing::warn!(error, "sessions are replayed, because none can be kept");
                None
            }
        }
    }

    /// Its interpreters.
    pub(super) fn pool(&self) -> Arc<Pool> {
        Arc::clone(&self.pool.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs a program or a compiler of `language`. A host whose launcher is gone (the machine was out of memory, say) runs
    /// nothing any more, so it is replaced; the request has failed all the same.
    fn run(
        &self,
        language: &Arc<Language>,
        work: Work,
        request: &ExecRequest,
        cancel: &Cancel,
    ) -> Result<ExecOutcome, SandboxError> {
        let pool = self.pool();
        let result = match work {
            Work::Program => pool.run(language, request, cancel),
            Work::Compiler => pool.compile(language, request, cancel),
        };
        if let Err(SandboxError::LauncherGone) = result {
            self.replace(&pool);
        }
        result
    }

    /// Of all who find `dead` so, the first replaces it.
    fn replace(&self, dead: &Arc<Pool>) {
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&pool, dead) {
            return;
        }
        match Host::start(&self.config) {
            Ok(fresh) => {
                tracing::warn!("the launcher is gone; another was started");
                *pool = Arc::new(Pool::new(Arc::new(fresh), self.warm));
            }
            // Whoever comes next finds it gone again.
            Err(error) => {
                let error = super::error_chain(&error);
                tracing::error!(error, "no other launcher could be started");
            }
        }
    }
}

/// A farm, and where its sessions lie that are put aside.
#[derive(Debug)]
struct OpenedFarm {
    farm: Farm,
    _directory: AsideDirectory,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Program,
    Compiler,
}

/// The cages that programs of one language run in. Clones share everything.
#[derive(Clone, Debug)]
pub struct Cages {
    pub(super) language: Arc<Language>,
    pub(super) started: Arc<Started>,
    pub(super) permits: Arc<Semaphore>,
}

impl Cages {
    /// Where programs find their workspace.
    pub fn workspace_path(&self) -> String {
        self.started.host().workspace_path()
    }

    /// What holds live sessions; `None` where the host cannot keep any.
    pub(super) fn farm(&self) -> Option<Farm> {
        self.started.farm()
    }

    /// Has the interpreter started that most programs will ask for, and made what all compilers use.
    pub fn warm_up(&self) {
        let pool = self.started.pool();
        pool.ahead(&self.language, None);
        pool.prepare(&self.language);
    }

    /// Runs one program in a fresh cage. Tries again where the cage failed for a reason that may pass; the times
    /// are those of all attempts. Dropping the future ends the cage.
    pub async fn run(&self, request: impl Into<Arc<ExecRequest>>) -> Result<Ran, SandboxError> {
        self.perform(Work::Program, request.into()).await
    }

    /// As [`Cages::run`], for a compiler.
    pub(super) async fn run_compiler(&self, request: Arc<ExecRequest>) -> Result<Ran, SandboxError> {
        self.perform(Work::Compiler, request).await
    }

    async fn perform(&self, work: Work, request: Arc<ExecRequest>) -> Result<Ran, SandboxError> {
        let (mut queue, mut run) = (Duration::ZERO, Duration::ZERO);
        for attempt in 1.. {
            let waiting_since = Instant::now();
            let permits = Arc::clone(&self.permits);
            let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
            queue += waiting_since.elapsed();

            let (started, request) = (Arc::clone(&self.started), Arc::clone(&request));
            let language = Arc::clone(&self.language);
            let guard = CancelOnDrop(Cancel::new());
            let cancel = guard.0.clone();
            let running_since = Instant::now();
            let finished = tokio::task::spawn_blocking(move || {
                // The permit goes with the thread: a cage whose caller is gone still fills its slot.
                let _permit = permit;
                started.run(&language, work, &request, &cancel)
            });
            let result = match finished.await {
                Ok(result) => result,
                Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
                // The runtime is being shut down, and nobody will look at this.
                Err(_cancelled) => Err(SandboxError::LauncherGone),
            };
            run += running_since.elapsed();
            match result {
                Ok(outcome) => return Ok(Ran { outcome, queue, run }),
                Err(error) if error.is_retryable() && attempt < ATTEMPTS_MAX => {
                    tracing::warn!(attempt, error = %super::error_chain(&error), "cage failed, trying again");
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// Ends a cage when whoever waits for it is gone. After the run it does nothing.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
