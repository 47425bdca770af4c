//! One judged sample, as `rollcage judge` prints it: one JSON object per line.

use std::time::Duration;

use rollcage_judge::{CaseResult, Disclosure, Judgement};
use rollcage_types::TaskId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A judged sample. It has either a verdict with a score, or an error and neither.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultRow {
    /// The task.
    pub task_id: String,
    /// Which of its samples, counted from 0.
    pub sample: u32,
    /// The language it was judged in.
    pub language: String,
    /// The verdict, as [`rollcage_judge::Verdict::as_str`] names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it was not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ResultError>,
    /// What happened in each case that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<CaseSummary>,
}

/// Why a sample was not judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResultError {
    /// `problem` or `infrastructure`.
    pub blame: String,
    /// What went wrong.
    pub reason: String,
    /// Whether judging again may help.
    pub retryable: bool,
}

/// One case in a few fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseSummary {
    /// Which case, counted from 0.
    pub index: usize,
    /// The verdict on this case alone.
    pub verdict: String,
    /// Why it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Processor time in milliseconds.
    pub cpu_ms: f64,
    /// Time on the clock in milliseconds.
    pub wall_ms: f64,
    /// Peak memory.
    pub memory_bytes: u64,
}

impl ResultRow {
    /// The row of one judgement. Reasons say no more about outputs than `disclosure` allows.
    pub fn new(
        task_id: &TaskId,
        sample: u32,
        language: &str,
        judgement: &Judgement,
        disclosure: Disclosure,
    ) -> Self {
        let row = Self {
            task_id: task_id.to_string(),
            sample,
            language: language.to_owned(),
            verdict: None,
            score: None,
            reason: None,
            error: None,
            cases: Vec::new(),
        };
        match judgement {
            Judgement::Scored(scored) => Self {
                verdict: Some(scored.verdict.as_str().to_owned()),
                score: Some(scored.score.value()),
                reason: scored.reason(disclosure),
                cases: scored.cases.iter().map(|case| CaseSummary::new(case, disclosure)).collect(),
                ..row
            },
            Judgement::Unscorable(unscorable) => Self {
                error: Some(ResultError {
                    blame: unscorable.blame.as_str().to_owned(),
                    reason: unscorable.reason.clone(),
                    retryable: unscorable.retryable,
                }),
                ..row
            },
        }
    }
}

impl CaseSummary {
    fn new(case: &CaseResult, disclosure: Disclosure) -> Self {
        Self {
            index: case.index,
            verdict: case.verdict().as_str().to_owned(),
            reason: case.reason(disclosure),
            cpu_ms: milliseconds(case.usage.cpu_time),
            wall_ms: milliseconds(case.usage.wall_time),
            memory_bytes: case.usage.memory.as_u64(),
        }
    }
}

/// Milliseconds with three decimals: a snippet takes a handful of them.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
