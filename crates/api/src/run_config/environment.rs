//! Where code of a run runs, how actions are written, and what the policy reads of them.

use std::num::NonZeroU32;

use rollcage_types::IsolationLevel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem_row::LimitsRow;

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
    /// It is, where the language has sessions: the interpreter stays in its cage between turns. Where the host cannot keep
    /// it (at isolation level process, or without control groups), as `replay`.
    #[default]
    Live,
    /// It is, where the language has sessions: earlier turns are replayed in a fresh cage.
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
