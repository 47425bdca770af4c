//! What a run came to, as `rollcage rollout` and `rollcage show` print it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::eval_report::PassAtKReport;

/// A run in numbers. Read from a store, so that it is the same whoever asks and whenever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunReport {
    /// The run.
    pub run_id: String,
    /// `rollout`, `eval` or `demo`.
    pub kind: String,
    /// `running`, `finished` or `interrupted`.
    pub status: String,
    /// When it was started.
    pub created_at: String,
    /// Tasks with at least one sample begun.
    pub tasks: usize,
    /// Samples begun.
    pub samples: usize,
    /// Samples that need nothing more.
    pub finished: usize,
    /// Samples with a reward or a score.
    pub scored: usize,
    /// Samples accepted.
    pub accepted: usize,
    /// The mean reward of those scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_reward: Option<f64>,
    /// Finished samples by language and verdict; without a verdict by what stands in its place: `no_answer`,
    /// `unscorable`, or the reason they stopped for.
    pub verdicts: BTreeMap<String, BTreeMap<String, usize>>,
    /// Finished samples by the reason they stopped for; empty for runs without conversations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stop_reasons: BTreeMap<String, usize>,
    /// pass@k over tasks, for 1 and for the largest number of samples every task has; empty in a list of runs.
    pub pass_at_k: Vec<PassAtKReport>,
    /// Where the time of the turns went, summed over turns; absent for runs without conversations, and in a
    /// list of runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<SecondsReport>,
}

/// Where time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondsReport {
    /// Waiting for the policy.
    pub policy: f64,
    /// Waiting for a permit to run, or for another to compile the same.
    pub queue: f64,
    /// Compiling.
    pub compile: f64,
    /// Running.
    pub run: f64,
}
