//! A trajectory and its turns.

use std::collections::BTreeMap;
use std::time::Duration;

use rollcage_types::{Termination, Usage};
use serde::{Deserialize, Serialize};

use super::codec::Record;
use super::stream::StreamRecord;

/// How far a trajectory has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrajectoryStatus {
    /// Turns may follow.
    Running,
    /// It has a stop reason and gets no further turns.
    Finished,
}

/// One sampled conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrajectoryRecord {
    /// Unique in the store.
    pub id: String,
    /// The run it belongs to.
    pub run_id: String,
    /// The task it answers.
    pub task_id: String,
    /// The group whose rewards are compared, where there is one.
    pub group: Option<String>,
    /// Which of the samples of the task; unique with the task within a run.
    pub sample_index: u32,
    /// The seed its randomness came from.
    pub seed: u64,
    /// The language solved in, where the task or the policy chose one.
    pub language: Option<String>,
    /// How far it has come.
    pub status: TrajectoryStatus,
    /// Why it ended, as `rollcage_rollout::StopReason::as_str` names it.
    pub stop_reason: Option<String>,
    /// What failed, where it ended by a failure.
    pub failure: Option<String>,
    /// The reward; absent when there is none, be it for our own failure.
    pub reward: Option<f64>,
    /// What a reward hook said its reward is made of, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reward_parts: BTreeMap<String, f64>,
    /// How the last answer was judged, as the wire form of a judgement.
    pub judgement: Option<serde_json::Value>,
}

impl Record for TrajectoryRecord {
    const KIND: &'static str = "trajectory";
    const VERSION: u32 = 1;
    // Turns lie apart; only the judgement can be long.
    const BYTES_MAX: usize = 16 * 1024 * 1024;

    fn flaw(&self) -> Option<&'static str> {
        if self.reward.is_some_and(|reward| !reward.is_finite()) {
            return Some("its reward is not a finite number");
        }
        if self.reward_parts.values().any(|part| !part.is_finite()) {
            return Some("a part of its reward is not a finite number");
        }
        match self.status {
            TrajectoryStatus::Finished if self.stop_reason.is_none() => {
                Some("it is finished without a reason")
            }
            TrajectoryStatus::Running if self.stop_reason.is_some() => {
                Some("it is running with a stop reason")
            }
            TrajectoryStatus::Running if self.reward.is_some() => Some("it is running with a reward"),
            TrajectoryStatus::Finished | TrajectoryStatus::Running => None,
        }
    }
}

/// A call the policy made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCallRecord {
    /// The id the server gave it.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// Its arguments as the policy wrote them, which may be malformed JSON.
    pub arguments: String,
}

/// The tokens of one call as the server sampled them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensRecord {
    /// The prompt as the server saw it.
    pub prompt: Vec<u32>,
    /// What was sampled.
    pub completion: Vec<u32>,
    /// The log-probability of each token of `completion`.
    pub log_probabilities: Vec<f32>,
}

/// What the policy answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompletionRecord {
    /// The text.
    pub text: String,
    /// What a reasoning server returned beside it.
    pub reasoning: Option<String>,
    /// Tool calls, in order.
    pub tool_calls: Vec<ToolCallRecord>,
    /// `stop`, `length`, `tool_calls` or `content_filter`.
    pub finish_reason: String,
    /// Tokens read, as the server counted them.
    pub prompt_tokens: Option<u64>,
    /// Tokens written, as the server counted them.
    pub completion_tokens: Option<u64>,
    /// The sampled tokens, where the server gave them.
    pub tokens: Option<TokensRecord>,
}

/// What the environment understood the policy to ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRecord {
    /// `code`, `tool`, `answer`, `void` or `give_up`.
    pub kind: String,
    /// The code, the answer, or a tool call as JSON with `name` and `arguments`; empty for the other kinds.
    pub content: String,
    /// Standard input for the code, where the dialect has a place for it.
    pub stdin: Option<String>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TerminationRecord {
    /// It exited with this code.
    Exited {
        /// 0 to 255.
        code: u8,
    },
    /// A signal that no limit explains ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// A limit ended it.
    LimitExceeded {
        /// The limit, as `rollcage_types::LimitKind::as_str` names it.
        limit: String,
    },
    /// The caller ended it.
    Cancelled,
}

impl From<Termination> for TerminationRecord {
    fn from(termination: Termination) -> Self {
        match termination {
            Termination::Exited { code } => Self::Exited { code },
            Termination::Signaled { signal } => Self::Signaled { signal },
            Termination::LimitExceeded(kind) => Self::LimitExceeded { limit: kind.as_str().to_owned() },
            Termination::Cancelled => Self::Cancelled,
        }
    }
}

/// What a turn did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeRecord {
    /// The kind of outcome, as `rollcage_rollout::TurnOutcome` names it: `ran`, `called`, `answered`, `void` or
    /// `gave_up`.
    pub kind: String,
    /// Why there was nothing to do, for `void`; what a tool refused, for `called`.
    pub why: Option<String>,
    /// How the answer was judged, for `answered`, in the form the driver gives it.
    pub judged: Option<serde_json::Value>,
    /// `kept` or `lost`: whether the interpreter survived, where one ran.
    pub session: Option<String>,
    /// How the program ended, where one ran.
    pub termination: Option<TerminationRecord>,
    /// Standard output, or what a tool returned.
    pub stdout: StreamRecord,
    /// Standard error.
    pub stderr: StreamRecord,
}

/// What a run used. Times in microseconds, because a snippet takes a handful of milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of rollcage_types::Usage it is named after")]
pub struct UsageRecord {
    pub cpu_time_us: u64,
    pub wall_time_us: u64,
    pub memory_bytes: u64,
    pub processes: u32,
    pub output_bytes: u64,
    pub disk_bytes: u64,
}

impl From<&Usage> for UsageRecord {
    fn from(usage: &Usage) -> Self {
        let Usage { cpu_time, wall_time, memory, processes, output, disk } = usage;
        Self {
            cpu_time_us: microseconds(*cpu_time),
            wall_time_us: microseconds(*wall_time),
            memory_bytes: memory.as_u64(),
            processes: *processes,
            output_bytes: output.as_u64(),
            disk_bytes: disk.as_u64(),
        }
    }
}

/// Where the time of a turn went, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimingsRecord {
    /// Waiting for the policy, retries included.
    pub policy_ms: u64,
    /// Waiting for a permit to run.
    pub queue_ms: u64,
    /// Compiling.
    pub compile_ms: u64,
    /// Running.
    pub run_ms: u64,
    /// What the trajectory had taken in all when the turn was complete.
    pub elapsed_ms: u64,
}

/// A message the policy is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageRecord {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text.
    pub content: String,
    /// The call a tool message answers.
    pub tool_call_id: Option<String>,
}

/// One turn: what the policy said, what that did, and what the policy is shown next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnRecord {
    /// The trajectory it belongs to.
    pub trajectory_id: String,
    /// Its place, from 0 without gaps.
    pub index: u32,
    /// What could follow it: `ordinary`, `last` or `final_answer`.
    pub stage: String,
    /// What the policy answered.
    pub completion: CompletionRecord,
    /// What the environment understood.
    pub action: ActionRecord,
    /// What it did.
    pub outcome: OutcomeRecord,
    /// What it used, where something ran.
    pub usage: Option<UsageRecord>,
    /// What the policy reads next; empty where the trajectory ends.
    pub observation: Vec<MessageRecord>,
    /// Where the time went.
    pub timings: TimingsRecord,
}

impl Record for TurnRecord {
    const KIND: &'static str = "turn";
    const VERSION: u32 = 1;
    // A window of a million tokens with its log-probabilities, its text and four stream ends of 64 KiB fit inside.
    const BYTES_MAX: usize = 32 * 1024 * 1024;

    fn flaw(&self) -> Option<&'static str> {
        let tokens = self.completion.tokens.as_ref()?;
        if tokens.log_probabilities.len() != tokens.completion.len() {
            return Some("its tokens and their log-probabilities differ in number");
        }
        let is_finite = tokens.log_probabilities.iter().all(|value| value.is_finite());
        (!is_finite).then_some("a log-probability is not a finite number")
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
