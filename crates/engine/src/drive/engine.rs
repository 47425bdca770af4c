//! The engine: the host, its languages, and admission to its cages.
//!
//! Owns how many runs there are at once and that none of them blocks the runtime. A run waits for a permit, not
//! for a thread: there are as many permits as the host has slots, so a blocking thread that holds one never
//! waits for a slot.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rollcage_language::LanguageSet;
use rollcage_sandbox::{Cancel, Host, SandboxError};
use rollcage_types::{ExecOutcome, ExecRequest};
use tokio::sync::{OnceCell, Semaphore};

use super::compile_cache::CompileCache;
use super::toolchain::Toolchain;

/// Runs of one request where the cage fails for a reason that may pass, the first included. What fails three
/// times in a row is not a hiccup.
const ATTEMPTS_MAX: u32 = 3;

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

/// The host, its languages, and admission to its cages. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// Set once it has been asked.
pub(super) type KnownToolchain = OnceCell<Arc<Toolchain>>;

#[derive(Debug)]
struct Shared {
    host: Arc<Host>,
    languages: LanguageSet,
    permits: Arc<Semaphore>,
    toolchains: Mutex<BTreeMap<String, Arc<KnownToolchain>>>,
    compile_cache: CompileCache,
}

impl Engine {
    /// An engine on a started host.
    pub fn new(host: Arc<Host>, languages: LanguageSet) -> Self {
        let permits = Arc::new(Semaphore::new(host.slots()));
        let (toolchains, compile_cache) = (Mutex::default(), CompileCache::default());
        Self { shared: Arc::new(Shared { host, languages, permits, toolchains, compile_cache }) }
    }

    /// The languages it runs.
    pub fn languages(&self) -> &LanguageSet {
        &self.shared.languages
    }

    /// The host it runs on.
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    /// Runs one program in a fresh cage. Tries again where the cage failed for a reason that may pass; the times
    /// are those of all attempts. Dropping the future ends the cage.
    pub async fn run(&self, request: impl Into<Arc<ExecRequest>>) -> Result<Ran, SandboxError> {
        let request = request.into();
        let (mut queue, mut run) = (Duration::ZERO, Duration::ZERO);
        for attempt in 1.. {
            let waiting_since = Instant::now();
            let permits = Arc::clone(&self.shared.permits);
            let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
            queue += waiting_since.elapsed();

            let (host, request) = (Arc::clone(&self.shared.host), Arc::clone(&request));
            let guard = CancelOnDrop(Cancel::new());
            let cancel = guard.0.clone();
            let running_since = Instant::now();
            let finished = tokio::task::spawn_blocking(move || {
                // The permit goes with the thread: a cage whose caller is gone still fills its slot.
                let _permit = permit;
                host.run(&request, &cancel)
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

    /// What is known of the toolchain of the language with this name; who waits for it waits for nothing else.
    pub(super) fn known_toolchain(&self, language: &str) -> Arc<KnownToolchain> {
        let mut toolchains = self.shared.toolchains.lock().expect("nothing panics while it holds the lock");
        Arc::clone(toolchains.entry(language.to_owned()).or_default())
    }

    pub(super) fn compile_cache(&self) -> &CompileCache {
        &self.shared.compile_cache
    }
}

/// Ends a cage when whoever waits for it is gone. After the run it does nothing.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
