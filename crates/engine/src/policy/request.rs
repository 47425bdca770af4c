//! What a policy is asked and what it returns.

use std::time::Duration;

use rollcage_rollout::{Completion, Message};
use rollcage_types::TaskId;

use super::error::PolicyError;
use super::openai::OpenAiPolicy;
use super::recorded::RecordedPolicy;

/// How tokens are sampled; the same for every call of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Tokens one call may write. Always sent: what servers assume without it differs, and can be endless.
    pub max_tokens: u32,
    /// The temperature, or the server's own.
    pub temperature: Option<f64>,
    /// Nucleus sampling, or the server's own.
    pub top_p: Option<f64>,
    /// Texts that end a completion.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { max_tokens: 4096, temperature: None, top_p: None, stop: Vec::new() }
    }
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRequest<'a> {
    /// The task worked on. With the sample and the turn it selects a recorded turn, and with the sample the
    /// server that already holds the start of this conversation in its cache.
    pub task_id: &'a TaskId,
    /// Which of the samples of the task.
    pub sample: u32,
    /// Which turn, from 0.
    pub turn: u32,
    /// The conversation so far.
    pub messages: &'a [Message],
    /// How tokens are sampled.
    pub sampling: &'a Sampling,
    /// The seed of this call, for servers that take one.
    pub seed: Option<u64>,
    /// Tools offered, each in the OpenAI form.
    pub tools: &'a [serde_json::Value],
}

/// Where the time of a call went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// From the start of the attempt that succeeded to its first byte.
    pub first_byte: Duration,
    /// From the first attempt to the end.
    pub total: Duration,
}

/// What a call returned.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyReply {
    /// What the policy wrote.
    pub completion: Completion,
    /// How long it took.
    pub latency: Latency,
    /// How many attempts it took, at least 1.
    pub attempts: u32,
}

/// A model, or a recording of one.
#[derive(Debug)]
pub enum Policy {
    /// An OpenAI-compatible server.
    OpenAi(OpenAiPolicy),
    /// Recorded turns.
    Recorded(RecordedPolicy),
}

impl Policy {
    /// Asks for one turn.
    pub async fn complete(&self, request: PolicyRequest<'_>) -> Result<PolicyReply, PolicyError> {
        match self {
            Self::OpenAi(policy) => policy.complete(request).await,
            Self::Recorded(policy) => policy.complete(request),
        }
    }
}
