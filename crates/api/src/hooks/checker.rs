//! What a checker hook is asked of one case, and what it may answer.

use rollcage_judge::{Decision, Problem, Score, TestCase, Unscorable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{HOOK_VERSION, HookKind, cut};
use crate::quantity::BytesRow;

/// One case whose program ended by itself with exit code 0: is its output right?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckerRequest {
    /// The version of the protocol: 1.
    pub v: u32,
    /// Always `checker`.
    #[schemars(extend("const" = "checker"))]
    pub kind: HookKind,
    /// Returned with the answer.
    pub id: u64,
    /// The problem's id.
    pub problem: String,
    /// Which case, counted from 0.
    pub case: usize,
    /// What the program read.
    pub stdin: BytesRow,
    /// What the problem expects.
    pub expected: BytesRow,
    /// What the program wrote to standard output, whole.
    pub stdout: BytesRow,
    /// What the problem's author keeps with it.
    #[serde(default)]
    pub meta: Map<String, Value>,
}

impl CheckerRequest {
    /// The request about the output of one case.
    pub fn new(
        id: u64,
        problem: &Problem,
        index: usize,
        case: &TestCase,
        stdout: &[u8],
        meta: &Map<String, Value>,
    ) -> Self {
        let TestCase { stdin, expected } = case.clone();
        Self {
            v: HOOK_VERSION,
            kind: HookKind::Checker,
            id,
            problem: problem.id.to_string(),
            case: index,
            stdin: BytesRow(stdin),
            expected: BytesRow(expected),
            stdout: BytesRow(stdout.into()),
            meta: meta.clone(),
        }
    }
}

/// A decision, or why there can be none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckerReply {
    /// The request's.
    pub id: u64,
    /// Whether the output passes; missing only beside `unscorable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// What the case earns; 1 if it passes and 0 if it does not, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: Option<f64>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why nothing can be said of any output: the case itself is wrong. There is no verdict then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscorable: Option<String>,
}

impl CheckerReply {
    /// The decision. The outer error says what is wrong with the answer, the inner one that the problem is to blame.
    pub fn into_decision(self) -> Result<Result<Decision, Unscorable>, String> {
        let Self { id: _, passed, score, message, unscorable } = self;
        let passed = match (passed, unscorable) {
            (None, Some(why)) => return Ok(Err(Unscorable::problem(format!("the checker: {}", cut(why))))),
            (Some(passed), None) => passed,
            (None, None) => return Err("it has neither `passed` nor `unscorable`".to_owned()),
            (Some(_), Some(_)) => return Err("it has both `passed` and `unscorable`".to_owned()),
        };
        let number = score.map(|score| Score::new(score).ok_or(score)).transpose();
        let score = number.map_err(|score| format!("`score` is {score}, and scores lie from 0 to 1"))?;
        Ok(Ok(Decision::new(passed, score, message.map(cut))))
    }
}
