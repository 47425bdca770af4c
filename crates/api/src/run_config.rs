//! The run file: what `rollcage rollout` is told, version 1.
//!
//! Owns the file's keys, their defaults, its schema and the way mistakes in it are told. Leaves reading the files
//! it names, and making an environment and a policy of it, to `rollcage-engine`. The same types are what a store
//! keeps of a run's configuration, with defaults filled in.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use rollcage_types::IsolationLevel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hooks::{CheckerConfig, HookConfig, ToolsConfig};
use crate::problem_row::LimitsRow;
use crate::quantity::DurationRow;
use crate::suggest;

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

/// Where code runs and how actions are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentConfigRow {
    /// The language of tasks that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether what one turn defines is there in the next.
    pub session: SessionConfig,
    /// How actions are written.
    pub actions: ActionsConfig,
    /// How an answer is told from a step.
    pub answer: AnswerConfig,
    /// What becomes of code that is not marked as an answer.
    pub code: CodeConfig,
    /// Answers that may be judged; an accepted one ends the trajectory earlier.
    #[schemars(range(min = 1))]
    pub answers: NonZeroU32,
    /// What the policy reads of an answer that was not accepted.
    pub feedback: FeedbackConfig,
    /// How cages are built.
    pub isolation: IsolationConfig,
    /// Limits of one turn's code where they differ from the language's. Judging has the problem's own.
    #[serde(skip_serializing_if = "LimitsRow::is_empty")]
    pub limits: LimitsRow,
}

impl Default for EnvironmentConfigRow {
    fn default() -> Self {
        Self {
            language: None,
            session: SessionConfig::default(),
            actions: ActionsConfig::default(),
            answer: AnswerConfig::default(),
            code: CodeConfig::default(),
            answers: NonZeroU32::MIN,
            feedback: FeedbackConfig::default(),
            isolation: IsolationConfig::default(),
            limits: LimitsRow::default(),
        }
    }
}

/// Whether what one turn defines is there in the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionConfig {
    /// It is, where the language has sessions: earlier turns are replayed in a fresh cage.
    #[default]
    Replay,
    /// It is not.
    None,
}

/// How actions are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionsConfig {
    /// The last fenced block of the task's language.
    #[default]
    Fenced,
    /// Between `<execute>` and `</execute>`.
    Tags,
    /// A call of the tool `run_code`.
    Tools,
}

/// How an answer is told from a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerConfig {
    /// The last code is the answer.
    #[default]
    LastCode,
    /// Text between these tags.
    Tag(String),
    /// The form's own mark: a word after the fence's language, a second tag or a second tool.
    Marked(String),
    /// Code that starts with this word.
    Command(String),
}

/// What becomes of code that is not marked as an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeConfig {
    /// It is run.
    #[default]
    Step,
    /// It is judged.
    Answer,
}

/// What the policy reads of an answer that was not accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackConfig {
    /// That it was not.
    #[default]
    Rejected,
    /// The verdict.
    Verdict,
    /// The verdict and the reason.
    Reason,
}

/// How cages are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IsolationConfig {
    /// With everything there is; needs root.
    #[default]
    Full,
    /// With namespaces, made without privilege.
    Rootless,
    /// Without namespaces.
    Process,
}

impl From<IsolationConfig> for IsolationLevel {
    fn from(config: IsolationConfig) -> Self {
        match config {
            IsolationConfig::Full => Self::Full,
            IsolationConfig::Rootless => Self::Rootless,
            IsolationConfig::Process => Self::Process,
        }
    }
}

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

/// A run file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}{}: {problem}", position_text(*.position))]
pub struct RunConfigError {
    /// The file, as its reader named it.
    pub path: String,
    /// Line and column, counted from 1, where they are known.
    pub position: Option<(u64, u64)>,
    /// What is wrong.
    pub problem: String,
    /// What would mend it.
    pub hint: Option<String>,
}

/// Run files are written by hand; more is another kind of file.
const FILE_BYTES_MAX: usize = 256 * 1024;

impl RunConfig {
    /// Reads a run file. `path` names it in messages.
    pub fn parse(path: &str, text: &str) -> Result<Self, RunConfigError> {
        if text.len() > FILE_BYTES_MAX {
            return Err(refuse(
                path,
                format!("the file is {} bytes long", text.len()),
                "a run file is short",
            ));
        }
        let config: Self = serde_saphyr::from_str(text).map_err(|error| explain(path, &error))?;
        config.check(path)?;
        Ok(config)
    }

    /// What types alone do not say.
    fn check(&self, path: &str) -> Result<(), RunConfigError> {
        if self.tasks.format.is_some() && self.tasks.columns.is_some() {
            let hint = "`columns` says itself what they mean";
            return Err(refuse(path, "`tasks` has both `format` and `columns`", hint));
        }
        let PolicyConfig { urls, model, recorded, sampling, .. } = &self.policy;
        match (urls.is_empty(), recorded) {
            (false, None) if model.is_none() => {
                return Err(refuse(
                    path,
                    "`policy` has `urls` and no `model`",
                    "name one that the server lists",
                ));
            }
            (false, None) | (true, Some(_)) => {}
            (false, Some(_)) | (true, None) => {
                let hint = "a run asks servers or repeats a recording";
                return Err(refuse(path, "`policy` needs one of `urls` and `recorded`", hint));
            }
        }
        let has_tools = self.environment.actions == ActionsConfig::Tools;
        if self.tools.is_some() && !has_tools {
            let hint = "add `actions: tools` to `environment`";
            return Err(refuse(
                path,
                "`tools` goes with tool calls, and actions are written otherwise",
                hint,
            ));
        }
        let RewardPartsConfig { outcome, format } = self.reward.parts;
        for (name, value) in [("outcome", outcome), ("format", format)] {
            if !value.is_finite() {
                let problem = format!("`reward.parts.{name}` is not a finite number");
                return Err(refuse(path, problem, "one such weight would spoil every mean"));
            }
        }
        let is_bad_temperature =
            sampling.temperature.is_some_and(|value| !(value.is_finite() && value >= 0.0));
        if is_bad_temperature {
            return Err(refuse(
                path,
                "`policy.sampling.temperature` is not a number of at least 0",
                "try 1.0",
            ));
        }
        if sampling.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
            return Err(refuse(path, "`policy.sampling.top_p` is not above 0 and at most 1", "try 1.0"));
        }
        Ok(())
    }
}

/// The JSON Schema of a run file, as `docs/schemas/run-config.v1.json` holds it.
pub fn run_config_schema() -> Value {
    let mut schema = schemars::schema_for!(RunConfig);
    schema.insert("title".to_owned(), "Rollcage run file, version 1".into());
    schema.to_value()
}

fn refuse(path: &str, problem: impl Into<String>, hint: &str) -> RunConfigError {
    RunConfigError {
        path: path.to_owned(),
        position: None,
        problem: problem.into(),
        hint: Some(hint.to_owned()),
    }
}

fn position_text(position: Option<(u64, u64)>) -> String {
    position.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"))
}

/// Turns the parser's error into ours: its position, its message in our words, and what was meant.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is foreign and has sixty more variants")]
fn explain(path: &str, error: &serde_saphyr::Error) -> RunConfigError {
    use serde_saphyr::Error as Yaml;

    let error = error.without_snippet();
    let position = error.location().map(|location| (location.line(), location.column()));
    let (problem, hint) = match error {
        Yaml::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown key `{field}`"), Some(choices(field, expected)))
        }
        Yaml::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), Some(choices(variant, expected)))
        }
        Yaml::SerdeMissingField { field, .. } => (
            format!("missing key `{field}`"),
            Some("a run has at least `tasks.path` and a `policy`".to_owned()),
        ),
        Yaml::Message { msg, .. } => (msg.clone(), None),
        other => (without_place(&other.render_with_formatter(&serde_saphyr::UserMessageFormatter)), None),
    };
    RunConfigError { path: path.to_owned(), position, problem, hint }
}

/// The place stands in front of the message already.
fn without_place(message: &str) -> String {
    let place = message.rfind(" at line ").filter(|at| {
        message[at + " at line ".len()..].split(", column ").all(|number| number.parse::<u64>().is_ok())
    });
    message[..place.unwrap_or(message.len())].to_owned()
}

fn choices(word: &str, known: &[&'static str]) -> String {
    match suggest::nearest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here are {}", known.join(", ")),
    }
}
