//! Who answers in a run, and how it is asked.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::DurationRow;

/// Who answers: a server, or a recording of one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// OpenAI-compatible servers that serve the same model, each up to its `/v1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// The model's name; goes with `urls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A file of recorded turns, instead of `urls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// How tokens are sampled.
    #[serde(default)]
    pub sampling: SamplingConfig,
    /// The variable that holds the API key; `OPENAI_API_KEY`, where it is set, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Requests for one turn before the trajectory is given up, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub attempts: Option<NonZeroU32>,
    /// How long each part of a call may take.
    #[serde(default, skip_serializing_if = "TimeoutsConfig::is_default")]
    pub timeouts: TimeoutsConfig,
}

/// How tokens are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// The temperature, or the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub temperature: Option<f64>,
    /// Tokens of one completion.
    #[schemars(range(min = 1))]
    pub max_tokens: NonZeroU32,
    /// Nucleus sampling, or the server's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f64>,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        const MAX_TOKENS: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not 0");
        Self { temperature: None, max_tokens: MAX_TOKENS, top_p: None }
    }
}

/// How long each part of a call may take, where it differs from the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutsConfig {
    /// Until a connection stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<DurationRow>,
    /// From the request to the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<DurationRow>,
    /// Between two pieces of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<DurationRow>,
    /// The whole call, retries included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<DurationRow>,
}

impl TimeoutsConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
