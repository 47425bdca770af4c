//! The cages that programs of one language run in: on the host's toolchains, or on a root of the language's own.
//!
//! Owns the running of one request. Where the cages of a language are, and how many run at once, is the engine's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcage_sandbox::{Cancel, Host, SandboxError};
use rollcage_types::{ExecOutcome, ExecRequest};
use tokio::sync::Semaphore;

use super::compile_cache::CompileCache;

/// Runs of one request where the cage fails for a reason that may pass, the first included. What fails three
/// times in a row is not a hiccup.
const ATTEMPTS_MAX: u32 = 3;

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

/// A started host, and what was compiled on it: another root may have another compiler of the same name.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) host: Arc<Host>,
    pub(super) compile_cache: CompileCache,
}

impl Started {
    pub(super) fn new(host: Host) -> Arc<Self> {
        Arc::new(Self { host: Arc::new(host), compile_cache: CompileCache::default() })
    }
}

/// The cages that programs of one language run in. Clones share everything.
#[derive(Clone, Debug)]
pub struct Cages {
    pub(super) started: Arc<Started>,
    pub(super) permits: Arc<Semaphore>,
}

impl Cages {
    /// Where programs find their workspace.
    pub fn workspace_path(&self) -> String {
        self.started.host.workspace_path()
    }

    /// Runs one program in a fresh cage. Tries again where the cage failed for a reason that may pass; the times
    /// are those of all attempts. Dropping the future ends the cage.
    pub async fn run(&self, request: impl Into<Arc<ExecRequest>>) -> Result<Ran, SandboxError> {
        let request = request.into();
        let (mut queue, mut run) = (Duration::ZERO, Duration::ZERO);
        for attempt in 1.. {
            let waiting_since = Instant::now();
            let permits = Arc::clone(&self.permits);
            let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
            queue += waiting_since.elapsed();

            let (host, request) = (Arc::clone(&self.started.host), Arc::clone(&request));
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
}

/// Ends a cage when whoever waits for it is gone. After the run it does nothing.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
