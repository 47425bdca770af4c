//! A run of trajectories: which are made, how many at once, and how a run that was cut off goes on.
//!
//! Owns the run's record in the store and its end. One tokio task carries one trajectory; what it may do next is
//! `rollcage-rollout`'s to say. Every trajectory has its place in the run before it begins, so that neither seeds
//! nor results depend on the order in which they end.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use rollcage_api::{RunKind, RunRecord, RunStatus, TurnRecordError};
use rollcage_rollout::{JudgedAnswer, Reward, StopReason, Trajectory, Turn};
use serde_json::Value;
use tokio::task::JoinSet;

use super::clock::now_rfc3339;
use super::engine::Engine;
use super::hook::HookError;
use super::plan::RolloutPlan;
use super::rollout_hooks::RolloutHooks;
use super::stop::Stop;
use super::toolchain::ToolchainError;
use super::trajectory::{Ended, Shared, drive};
use crate::store::{ResumeState, Store, StoreError};

/// Trajectories in a row that a failure ends before the run is interrupted. Each has retried by itself; after so many
/// without one success the server is down or the host is broken, and the rest is better left for a resume than paid
/// for and lost.
const FAILURES_IN_A_ROW_MAX: usize = 16;

/// Keys of a run file that may change between an interruption and its resume: where things are, not what they are.
const MAY_CHANGE: [(&str, &str); 6] = [
    ("policy", "urls"),
    ("policy", "api_key_env"),
    ("policy", "attempts"),
    ("policy", "timeouts"),
    ("budget", "concurrency"),
    ("output", "store"),
];

/// Told of everything that happens, from any thread.
pub(super) type Progress = Arc<dyn Fn(&RolloutProgress<'_>) + Send + Sync>;

/// What happened in a run.
#[derive(Debug)]
pub enum RolloutProgress<'a> {
    /// The run is in the store, and trajectories are about to begin.
    Started {
        /// The run.
        run_id: &'a str,
        /// Samples of the run.
        samples: usize,
        /// Those finished before, by an earlier process.
        finished_before: usize,
    },
    /// A turn is in the store.
    TurnStored {
        /// The trajectory.
        trajectory_id: &'a str,
        /// The turn.
        turn: u32,
    },
    /// A trajectory has ended.
    SampleEnded {
        /// How.
        trajectory: &'a Trajectory,
        /// Whether it is stored as finished; otherwise a resume goes on with it.
        is_stored: bool,
    },
}

/// What a run is made from.
#[derive(Clone, Debug)]
pub enum RunStart {
    /// Nothing: it is new.
    New(RunKind),
    /// What a run left behind that was cut off; its id or the start of it.
    Resume(String),
}

/// What became of a run.
#[derive(Clone, Debug)]
pub struct RolloutResult {
    /// The run.
    pub run_id: String,
    /// Finished, or interrupted.
    pub status: RunStatus,
    /// Samples that are not finished.
    pub unfinished: usize,
    /// The first failure of the policy's server, if there was one.
    pub policy_failure: Option<String>,
    /// What the user can do about that.
    pub policy_hint: Option<&'static str>,
    /// The first failure of ours, if there was one.
    pub infrastructure_failure: Option<String>,
}

/// Why a run could not be made, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// A language cannot be used here.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// A hook cannot be used.
    #[error(transparent)]
    Hook(#[from] Box<HookError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run is of another kind.
    #[error("run `{run_id}` is not a rollout and cannot be resumed")]
    NotARollout {
        /// The run.
        run_id: String,
    },
    /// The run file is not the one the run was made from.
    #[error("run `{run_id}` was made with another `{key}`")]
    ConfigChanged {
        /// The run.
        run_id: String,
        /// The first key that differs.
        key: String,
    },
    /// A stored turn cannot be gone on from.
    #[error("trajectory `{trajectory_id}` cannot be resumed")]
    StoredTurn {
        /// The trajectory.
        trajectory_id: String,
        /// Why not.
        #[source]
        source: TurnRecordError,
    },
}

/// A trajectory to be made: its place in the run, and the turns it already has.
struct Pending {
    task: usize,
    sample: u32,
    turns: Option<Vec<Turn>>,
}

/// Makes every trajectory of `plan` that is not finished. A requested [`Stop`] leaves a run that can be resumed.
pub async fn rollout(
    engine: &Engine,
    plan: Arc<RolloutPlan>,
    store: Arc<Store>,
    start: RunStart,
    stop: Stop,
    progress: impl Fn(&RolloutProgress<'_>) + Send + Sync + 'static,
) -> Result<RolloutResult, RolloutError> {
    let fingerprint = engine.fingerprint(&plan.languages()).await?;
    for language in &plan.languages() {
        engine.warm_up(language).await?;
    }
    let hooks = RolloutHooks::start(&plan).await.map_err(Box::new)?;
    let fingerprint_id = store.put_fingerprint(&fingerprint).await?;
    let (run_id, resumed) = match start {
        RunStart::New(kind) => {
            (create_run(&store, kind, plan.config.clone(), fingerprint_id).await?, ResumeState::default())
        }
        RunStart::Resume(id) => reopen_run(&store, &id, &plan.config, &fingerprint_id).await?,
    };
    let samples = plan.tasks.len() * plan.group_size as usize;
    let pending = pending(&plan, resumed)?;
    let progress: Progress = Arc::new(progress);
    progress(&RolloutProgress::Started {
        run_id: &run_id,
        samples,
        finished_before: samples - pending.len(),
    });
    let concurrency = plan.concurrency;
    let engine = engine.clone().with_checker(hooks.checker.clone());
    let shared = Arc::new(Shared { engine, plan, hooks, store: Arc::clone(&store), run_id, stop, progress });
    let mut result = RolloutResult {
        run_id: shared.run_id.clone(),
        status: RunStatus::Interrupted,
        unfinished: pending.len(),
        policy_failure: None,
        policy_hint: None,
        infrastructure_failure: None,
    };
    let outcome = drive_all(&shared, pending, concurrency, &mut result).await;
    shared.hooks.stop().await;
    if result.unfinished == 0 {
        result.status = RunStatus::Finished;
    }
    let recorded = store.finish_run(&result.run_id, result.status).await;
    outcome?;
    recorded?;
    Ok(result)
}

/// Carries trajectories to their ends, `concurrency` at a time.
async fn drive_all(
    shared: &Arc<Shared>,
    mut pending: VecDeque<Pending>,
    concurrency: usize,
    result: &mut RolloutResult,
) -> Result<(), StoreError> {
    let mut workers = JoinSet::new();
    let mut failures_in_a_row = 0;
    let mut store_failure = None;
    loop {
        while workers.len() < concurrency && !shared.stop.is_requested() {
            let Some(Pending { task, sample, turns }) = pending.pop_front() else { break };
            workers.spawn(drive(Arc::clone(shared), task, sample, turns));
        }
        let ended = match workers.join_next().await {
            None => return store_failure.map_or(Ok(()), Err),
            Some(Ok(Ok(ended))) => ended,
            Some(Ok(Err(error))) => {
                // Without the store nothing else can be kept either; the first failure is the one that tells why.
                shared.stop.request();
                store_failure.get_or_insert(error);
                continue;
            }
            Some(Err(failed)) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Some(Err(_aborted)) => continue,
        };
        let Ended { trajectory, is_stored, is_reward_lost, hint } = ended;
        (shared.progress)(&RolloutProgress::SampleEnded { trajectory: &trajectory, is_stored });
        result.unfinished -= usize::from(is_stored);
        match trajectory.stop {
            _ if is_reward_lost => {
                result.infrastructure_failure = result.infrastructure_failure.take().or(trajectory.failure);
                failures_in_a_row += usize::from(!is_stored);
            }
            StopReason::PolicyFailed => {
                if result.policy_failure.is_none() {
                    result.policy_failure = trajectory.failure;
                    result.policy_hint = hint;
                }
                failures_in_a_row += usize::from(!is_stored);
            }
            StopReason::Infrastructure => {
                result.infrastructure_failure = result.infrastructure_failure.take().or(trajectory.failure);
                failures_in_a_row += usize::from(!is_stored);
            }
            StopReason::Cancelled => {}
            StopReason::Answered
            | StopReason::TurnLimit
            | StopReason::TokenLimit
            | StopReason::WallTime
            | StopReason::ContextLimit
            | StopReason::PolicyStopped
            | StopReason::VoidTurns => failures_in_a_row = 0,
        }
        if failures_in_a_row >= FAILURES_IN_A_ROW_MAX {
            shared.stop.request();
        }
    }
}

/// Stores a new run and returns its id.
pub(super) async fn create_run(
    store: &Store,
    kind: RunKind,
    config: Value,
    fingerprint_id: String,
) -> Result<String, StoreError> {
    let id = uuid::Uuid::now_v7().to_string();
    let run = RunRecord {
        id: id.clone(),
        kind,
        created_at: now_rfc3339(),
        config,
        fingerprint_id,
        status: RunStatus::Running,
    };
    store.create_run(&run).await?;
    Ok(id)
}

async fn reopen_run(
    store: &Arc<Store>,
    id: &str,
    config: &Value,
    fingerprint_id: &str,
) -> Result<(String, ResumeState), RolloutError> {
    let (read_from, wanted) = (Arc::clone(store), id.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let reader = read_from.reader()?;
        let run = reader.run(&wanted)?;
        let state = reader.resume_state(&run.id)?;
        Ok::<_, StoreError>((run, state))
    });
    let (run, state) = match read.await {
        Ok(read) => read?,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    };
    let is_rollout = matches!(&run.config, Value::Object(keys) if keys.contains_key("run"));
    if !is_rollout {
        return Err(RolloutError::NotARollout { run_id: run.id });
    }
    if let Some(key) = first_difference(&run.config, config) {
        return Err(RolloutError::ConfigChanged { run_id: run.id, key });
    }
    if run.fingerprint_id != fingerprint_id {
        tracing::warn!(run = run.id, "the environment is not the one the run was begun in");
    }
    store.reopen_run(&run.id).await?;
    Ok((run.id, state))
}

/// The first key in which two configurations differ, leaving aside those that may.
fn first_difference(stored: &Value, given: &Value) -> Option<String> {
    if stored["tasks_blake3"] != given["tasks_blake3"] {
        return Some("tasks".to_owned());
    }
    let keys = |value: &Value| -> Vec<String> {
        value["run"].as_object().into_iter().flat_map(|keys| keys.keys().cloned()).collect()
    };
    let sections = keys(stored).into_iter().chain(keys(given));
    sections.into_iter().find_map(|section| {
        let strip = |value: &Value| {
            let mut value = value["run"][section.as_str()].clone();
            if let Value::Object(keys) = &mut value {
                keys.retain(|key, _| !MAY_CHANGE.contains(&(section.as_str(), key.as_str())));
            }
            value
        };
        let (stored, given) = (strip(stored), strip(given));
        if stored == given {
            return None;
        }
        let inner = stored.as_object().and_then(|keys| {
            keys.iter()
                .find(|(key, value)| given.get(key.as_str()) != Some(value))
                .map(|(key, _)| key.clone())
        });
        Some(inner.map_or_else(|| section.clone(), |key| format!("{section}.{key}")))
    })
}

/// Every trajectory that is not finished, group by group.
fn pending(plan: &RolloutPlan, resumed: ResumeState) -> Result<VecDeque<Pending>, RolloutError> {
    let finished: HashSet<(String, u32)> =
        resumed.finished.into_iter().map(|record| (record.task_id, record.sample_index)).collect();
    let mut turns: HashMap<(String, u32), Vec<Turn>> = HashMap::new();
    for unfinished in resumed.unfinished {
        let record = unfinished.trajectory;
        let stored = unfinished.turns.iter().map(rollcage_api::TurnRecord::to_turn).collect::<Result<_, _>>();
        let stored =
            stored.map_err(|source| RolloutError::StoredTurn { trajectory_id: record.id.clone(), source })?;
        turns.insert((record.task_id, record.sample_index), stored);
    }
    let places =
        (0..plan.tasks.len()).flat_map(|task| (0..plan.group_size).map(move |sample| (task, sample)));
    Ok(places
        .filter_map(|(task, sample)| {
            let key = (plan.tasks[task].task.id.to_string(), sample);
            (!finished.contains(&key)).then(|| Pending { task, sample, turns: turns.remove(&key) })
        })
        .collect())
}

impl RolloutProgress<'_> {
    /// Whether a trajectory ended with an accepted answer, and its reward; for running totals.
    pub fn score(&self) -> Option<(bool, Option<f64>)> {
        match self {
            Self::SampleEnded { trajectory, is_stored: true } => Some((
                trajectory.judged.as_ref().is_some_and(JudgedAnswer::is_accepted),
                trajectory.reward.total().map(Reward::value),
            )),
            Self::SampleEnded { is_stored: false, .. } | Self::Started { .. } | Self::TurnStored { .. } => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_may_change_may_change() {
        let config = |urls: &str, model: &str, concurrency: u32, hash: &str| {
            json!({
                "run": {
                    "policy": {"urls": [urls], "model": model},
                    "budget": {"turns": 3, "concurrency": concurrency},
                    "seed": 0,
                },
                "tasks_blake3": hash,
            })
        };
        let stored = config("a", "m", 1, "h");
        for (given, expected) in [
            (config("a", "m", 1, "h"), None),
            (config("b", "m", 64, "h"), None),
            (config("a", "n", 1, "h"), Some("policy.model")),
            (config("a", "m", 1, "i"), Some("tasks")),
            (json!({"run": {}, "tasks_blake3": "h"}), Some("policy.model")),
        ] {
            assert_eq!(first_difference(&stored, &given).as_deref(), expected, "{given}");
        }
    }
}
