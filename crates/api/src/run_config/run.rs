//! The run as a whole, its tasks, and what is earned, spent and kept.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::environment::EnvironmentConfigRow;
use super::policy::PolicyConfig;
use crate::hooks::{CheckerConfig, HookConfig, ToolsConfig};
use crate::quantity::DurationRow;

/// A run, as its file describes it. Paths are relative to the file's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// What is asked.
    pub tasks: TasksConfig,
    /// Where code runs and how actions are written.
    #[serde(default)]
    pub environment: EnvironmentConfigRow,
    /// Who answers.
    pub policy: PolicyConfig,
    /// Who decides whether outputs are right; the problems say so unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checker: Option<CheckerConfig>,
    /// Who carries out tool calls other than `run_code`; goes with `environment.actions: tools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolsConfig>,
    /// What is earned.
    #[serde(default)]
    pub reward: RewardConfig,
    /// How many samples each task gets.
    #[serde(default)]
    pub group: GroupConfig,
    /// What may be spent.
    #[serde(default)]
    pub budget: BudgetConfig,
    /// What all randomness of ours comes from.
    #[serde(default)]
    pub seed: u64,
    /// Where results are kept.
    #[serde(default)]
    pub output: OutputConfig,
}

/// The tasks of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TasksConfig {
    /// The file: JSON lines or a JSON array, gzip or not, or Parquet.
    pub path: String,
    /// The name of a data set format, as `rollcage eval --format` takes it; told from the columns unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Where each field of a problem is found, in place of a format: `{prompt: question, cases.stdin: tests.input}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<BTreeMap<String, String>>,
    /// Leave out rows that no program can be judged by, instead of refusing the file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_unjudgeable: bool,
    /// Only so many, from the front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<NonZeroU32>,
}

/// What is earned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewardConfig {
    /// A process of your own, on the host, whose reward takes the place of the judge's score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<HookConfig>,
    /// The weights of its parts.
    pub parts: RewardPartsConfig,
}

/// The weights of a reward's parts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewardPartsConfig {
    /// Of the judge's score, or of the hook's reward where there is one.
    pub outcome: f64,
    /// Of the share of turns that held an action.
    pub format: f64,
}

impl Default for RewardPartsConfig {
    fn default() -> Self {
        Self { outcome: 1.0, format: 0.0 }
    }
}

/// How many samples each task gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupConfig {
    /// Samples of each task.
    #[schemars(range(min = 1))]
    pub size: NonZeroU32,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self { size: NonZeroU32::MIN }
    }
}

/// What may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Turns of one trajectory.
    #[schemars(range(min = 1))]
    pub turns: NonZeroU32,
    /// Tokens of all completions of one trajectory.
    #[schemars(range(min = 1))]
    pub tokens: NonZeroU32,
    /// Tokens of a conversation, the next completion included: the model's window.
    #[schemars(range(min = 1))]
    pub context: NonZeroU32,
    /// Time on the clock of one trajectory.
    pub wall: DurationRow,
    /// Trajectories at once. Calls to the policy overlap; cages wait for a slot.
    #[schemars(range(min = 1))]
    pub concurrency: NonZeroU32,
}

impl Default for BudgetConfig {
    fn default() -> Self {
        const TURNS: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
        const TOKENS: NonZeroU32 = NonZeroU32::new(32_768).expect("32768 is not 0");
        // Enough to keep a model server busy, and few enough that one process holds their conversations with ease.
        const CONCURRENCY: NonZeroU32 = NonZeroU32::new(64).expect("64 is not 0");
        let wall = DurationRow(std::time::Duration::from_secs(1800));
        Self { turns: TURNS, tokens: TOKENS, context: TOKENS, wall, concurrency: CONCURRENCY }
    }
}

/// Where results are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// The store; `.rollcage/runs.db` in the current directory unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
}

/// The JSON Schema of a run file, as `docs/schemas/run-config.v1.json` holds it.
pub fn run_config_schema() -> Value {
    let mut schema = schemars::schema_for!(RunConfig);
    schema.insert("title".to_owned(), "Rollcage run file, version 1".into());
    schema.to_value()
}
