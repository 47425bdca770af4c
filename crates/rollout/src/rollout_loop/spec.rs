//! What one trajectory is made from.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Budget;
use crate::environment::EnvironmentConfig;
use crate::group::sample_seed;
use crate::reward::RewardWeights;
use crate::task::Task;
use crate::trajectory::TrajectoryKey;

/// How often requests are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Requests to the policy for one turn, the first included.
    pub policy_attempts_max: NonZeroU32,
    /// Requests to the judge for one answer, the first included.
    pub judge_attempts_max: NonZeroU32,
    /// The wait before the second request to the policy; each further wait is twice as long.
    pub backoff: Duration,
}

impl Default for Retries {
    /// Enough to outlast a server's restart without hiding that it is down.
    fn default() -> Self {
        const POLICY: NonZeroU32 = NonZeroU32::new(6).expect("6 is not 0");
        const JUDGE: NonZeroU32 = NonZeroU32::new(3).expect("3 is not 0");
        Self { policy_attempts_max: POLICY, judge_attempts_max: JUDGE, backoff: Duration::from_millis(500) }
    }
}

/// Longer waits gain nothing: a server that is back is found within this time.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

impl Retries {
    /// The wait after the attempt numbered `attempt`, counted from 1.
    pub(super) fn wait_after(&self, attempt: u32) -> Duration {
        let factor = 2_u32.checked_pow(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(factor).min(BACKOFF_MAX)
    }
}

/// What one trajectory is made from. Cloned cheaply for each sample of a group.
#[derive(Clone, Debug)]
pub struct RolloutSpec {
    /// The task.
    pub task: Arc<Task>,
    /// The task's place in the run.
    pub task_index: u64,
    /// The sample's place in its group.
    pub sample_index: u32,
    /// The run's seed.
    pub run_seed: u64,
    /// The environment's rules.
    pub environment: Arc<EnvironmentConfig>,
    /// What may be spent.
    pub budget: Budget,
    /// How often requests are repeated.
    pub retries: Retries,
    /// How the reward is added up.
    pub reward: RewardWeights,
    /// Sequences that end a completion, besides the dialect's own.
    pub stop: Vec<String>,
}

impl RolloutSpec {
    /// Which trajectory this is.
    pub fn key(&self) -> TrajectoryKey {
        TrajectoryKey { task: self.task.id.clone(), group: self.task_index, sample: self.sample_index }
    }

    /// What the trajectory's requests are seeded from.
    pub fn seed(&self) -> u64 {
        sample_seed(self.run_seed, self.task_index, self.sample_index)
    }

    /// Every sequence that ends a completion.
    pub(super) fn stop_sequences(&self) -> Vec<String> {
        let mut stop = self.environment.dialect.stop_sequences();
        stop.extend(self.stop.iter().filter(|sequence| !sequence.is_empty()).cloned());
        stop
    }
}

/// Stored turns that are not the beginning of a trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored turn {found} stands where turn {expected} belongs")]
pub struct ResumeError {
    /// The index that should follow.
    pub expected: u32,
    /// The index found.
    pub found: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let retries = Retries { backoff: Duration::from_millis(500), ..Retries::default() };
        let waits = [1, 2, 3, 10, u32::MAX].map(|attempt| retries.wait_after(attempt).as_millis());
        assert_eq!(waits, [500, 1000, 2000, 30_000, 30_000]);
    }
}
