//! What the store keeps of a trajectory while it is made.

use std::collections::BTreeMap;
use std::time::Duration;

use rollcage_api::{JudgedRecord, TimingsRecord, TrajectoryRecord, TrajectoryStatus};
use rollcage_rollout::{Reward, RolloutSpec, Trajectory};

use super::engine::Spent;

/// The id of a trajectory: its run and its place in it, so that beginning it twice begins it once.
pub(super) fn trajectory_id(run_id: &str, spec: &RolloutSpec) -> String {
    format!("{run_id}-{:05}-{:03}", spec.task_index, spec.sample_index)
}

/// A trajectory before its first turn.
pub(super) fn begun(run_id: &str, spec: &RolloutSpec, language: &str) -> TrajectoryRecord {
    TrajectoryRecord {
        id: trajectory_id(run_id, spec),
        run_id: run_id.to_owned(),
        task_id: spec.task.id.to_string(),
        group: Some(spec.task_index.to_string()),
        sample_index: spec.sample_index,
        seed: spec.seed(),
        language: Some(language.to_owned()),
        status: TrajectoryStatus::Running,
        stop_reason: None,
        failure: None,
        reward: None,
        reward_parts: BTreeMap::new(),
        judgement: None,
    }
}

/// The same trajectory when it is over.
pub(super) fn finished(
    begun: &TrajectoryRecord,
    trajectory: &Trajectory,
    parts: BTreeMap<String, Reward>,
) -> TrajectoryRecord {
    TrajectoryRecord {
        status: TrajectoryStatus::Finished,
        stop_reason: Some(trajectory.stop.as_str().to_owned()),
        failure: trajectory.failure.clone(),
        reward: trajectory.reward.total().map(Reward::value),
        reward_parts: parts.into_iter().map(|(name, part)| (name, part.value())).collect(),
        judgement: trajectory.judged.as_ref().map(|judged| JudgedRecord::from(judged).to_value()),
        ..begun.clone()
    }
}

/// Where the time of a turn went; what it had taken in all is the turn's to say.
pub(super) fn timings(spent: Spent) -> TimingsRecord {
    let Spent { policy, queue, compile, run } = spent;
    TimingsRecord {
        policy_ms: millis(policy),
        queue_ms: millis(queue),
        compile_ms: millis(compile),
        run_ms: millis(run),
        elapsed_ms: 0,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
