//! A hook: up to so many processes, each asked one thing at a time.
//!
//! Owns which process is asked, when another is started, and when a hook is given up. A process that answered, however
//! uselessly, is kept; one that did not is ended. Dropping the future of a request ends the process that worked on it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rollcage_api::{DescribeReply, DescribeRequest, HookTool, hook_line, read_hook_reply};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::error::{Extent, HookError, HookFailure, Waiting};
use super::process::Process;
use super::spec::HookSpec;

/// Failures in a row, over all processes, before a hook is given up: it does not work, and what is asked of it is only
/// lost.
const FAILURES_IN_A_ROW_MAX: u32 = 16;

/// Starts of a process for one request before no more are tried. What fails three times is not a hiccup.
const STARTS_MAX: u32 = 3;

/// The wait before a process is started after a failure; each further failure in a row doubles it.
const BACKOFF: Duration = Duration::from_millis(50);

/// The longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A hook that was started.
#[derive(Debug)]
pub struct Hook {
    spec: HookSpec,
    permits: Semaphore,
    idle: Mutex<Vec<Process>>,
    description: DescribeReply,
    ids: AtomicU64,
    failures_in_a_row: AtomicU32,
    restarts: AtomicU64,
    given_up: OnceLock<HookError>,
}

/// A failure with what the process left in standard error.
type Failed = (HookFailure, String);

impl Hook {
    /// Starts the first process and waits until it has described itself, so that a hook that cannot work is known
    /// before anything is asked of it. `taken` are names that no tool of its may have.
    pub async fn start(spec: HookSpec, taken: &[&str]) -> Result<Self, HookError> {
        let mut first =
            Process::start(&spec).map_err(|failure| error(&spec, (failure, String::new()), Extent::Hook))?;
        let described = describe(&mut first, &spec, 0).await.and_then(|description| {
            let flaw = description.flaw(spec.kind, taken);
            flaw.map_or(Ok(description), |flaw| Err(HookFailure::Description(flaw)))
        });
        let description = match described {
            Ok(description) => description,
            Err(failure) => return Err(error(&spec, first.fail(failure).await, Extent::Hook)),
        };
        Ok(Self {
            permits: Semaphore::new(spec.processes.get()),
            idle: Mutex::new(vec![first]),
            description,
            ids: AtomicU64::new(1),
            failures_in_a_row: AtomicU32::new(0),
            restarts: AtomicU64::new(0),
            given_up: OnceLock::new(),
            spec,
        })
    }

    /// What it was started from.
    pub fn spec(&self) -> &HookSpec {
        &self.spec
    }

    /// The tools it carries out, in the order it named them.
    pub fn tools(&self) -> &[HookTool] {
        &self.description.tools
    }

    /// Processes that were replaced after a failure.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Why it is not asked any more, if it was given up.
    pub fn given_up(&self) -> Option<&HookError> {
        self.given_up.get()
    }

    /// Asks once. `request` makes the request of its id; `accept` says what is wrong with an answer's values.
    pub(super) async fn ask<Q: Serialize, R: DeserializeOwned, T>(
        &self,
        request: impl Fn(u64) -> Q,
        accept: impl Fn(R) -> Result<T, String>,
    ) -> Result<T, HookError> {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        if let Some(error) = self.given_up.get() {
            return Err(error.clone());
        }
        let mut process = match self.take_idle() {
            Some(process) => process,
            None => self.start_another().await?,
        };
        loop {
            let id = self.ids.fetch_add(1, Ordering::Relaxed);
            let failure = match self.exchange(&mut process, id, &request, &accept).await {
                Ok(value) => {
                    process.answered += 1;
                    self.failures_in_a_row.store(0, Ordering::Relaxed);
                    self.put_idle(process);
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            if failure.is_in_step() {
                let failed = (failure, process.stderr_end());
                process.answered += 1;
                self.put_idle(process);
                return Err(self.count(failed));
            }
            let is_fresh = process.answered == 0;
            let failed = process.fail(failure).await;
            self.restarts.fetch_add(1, Ordering::Relaxed);
            if is_fresh {
                return Err(self.count(failed));
            }
            // It may have failed for what others left behind; what a fresh one does is the request's own doing.
            tracing::debug!(hook = %self.spec.kind, failure = %failed.0, "hook process replaced");
            process = self.start_another().await?;
        }
    }

    /// Ends every process, each told by the end of its input. Nothing must be asked any more.
    pub async fn stop(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().expect("nothing panics while it holds the lock"));
        let mut stopping = tokio::task::JoinSet::new();
        for process in idle {
            stopping.spawn(process.stop());
        }
        stopping.join_all().await;
    }

    async fn exchange<Q: Serialize, R: DeserializeOwned, T>(
        &self,
        process: &mut Process,
        id: u64,
        request: impl Fn(u64) -> Q,
        accept: impl Fn(R) -> Result<T, String>,
    ) -> Result<T, HookFailure> {
        let line = hook_line(&request(id));
        let line = process.exchange(&line, self.spec.deadline, Waiting::Answer).await?;
        accept(read_hook_reply(&line, id)?).map_err(HookFailure::Value)
    }

    /// Starts a process and waits until it has described itself, as the first one did.
    async fn start_another(&self) -> Result<Process, HookError> {
        for attempt in 1.. {
            let failures = self.failures_in_a_row.load(Ordering::Relaxed) + attempt - 1;
            if failures > 0 {
                let factor = 2_u32.saturating_pow(failures - 1);
                tokio::time::sleep(BACKOFF.saturating_mul(factor).min(BACKOFF_MAX)).await;
            }
            let failed = match Process::start(&self.spec) {
                Err(failure) => (failure, String::new()),
                Ok(mut process) => {
                    let id = self.ids.fetch_add(1, Ordering::Relaxed);
                    match describe(&mut process, &self.spec, id).await {
                        Ok(described) if described.tools == self.description.tools => return Ok(process),
                        Ok(_) => {
                            let other = "it is not the one its first process gave".to_owned();
                            process.fail(HookFailure::Description(other)).await
                        }
                        Err(failure) => process.fail(failure).await,
                    }
                }
            };
            if attempt == STARTS_MAX {
                let error = error(&self.spec, failed, Extent::Hook);
                return Err(self.given_up.get_or_init(|| error).clone());
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Counts a failed request. The last that is allowed is still told as it was; those after it are refused.
    fn count(&self, failed: Failed) -> HookError {
        let failures = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        let error = error(&self.spec, failed, Extent::Request);
        if failures >= FAILURES_IN_A_ROW_MAX {
            let last = error.failure.to_string();
            self.given_up.get_or_init(|| HookError {
                failure: HookFailure::GivenUp { failures, last },
                extent: Extent::Hook,
                ..error.clone()
            });
        }
        error
    }

    /// The process that waits for the shortest time: those that are not needed are left alone.
    fn take_idle(&self) -> Option<Process> {
        self.idle.lock().expect("nothing panics while it holds the lock").pop()
    }

    fn put_idle(&self, process: Process) {
        self.idle.lock().expect("nothing panics while it holds the lock").push(process);
    }
}

async fn describe(process: &mut Process, spec: &HookSpec, id: u64) -> Result<DescribeReply, HookFailure> {
    let line = hook_line(&DescribeRequest::new(spec.kind, id));
    let line = process.exchange(&line, spec.start_deadline, Waiting::Start).await?;
    let description: DescribeReply = read_hook_reply(&line, id)?;
    Ok(DescribeReply { id: 0, ..description })
}

fn error(spec: &HookSpec, (failure, stderr): Failed, extent: Extent) -> HookError {
    HookError { kind: spec.kind, command: spec.command.join(" "), failure, stderr, extent }
}
