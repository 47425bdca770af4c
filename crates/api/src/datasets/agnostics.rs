//! The three shapes of Agnostics data: training rows, Ag-MBPP-X and Ag-Codeforces-X.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rollcage_judge::{Checker, Problem, TestCase, Tests};
use rollcage_rollout::{Message, Role, Task};
use rollcage_types::{ByteSize, LimitOverrides, ProblemId, TaskId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::DatasetItem;
use crate::rows::RowError;

/// A row of any of the shapes; which columns there are decides which it is.
#[derive(Debug, Deserialize)]
pub(super) struct AgnosticsRow {
    idx: Option<Value>,
    original_task_id: Option<Value>,
    lang: Option<String>,

    prompt: Option<String>,
    problem_statement: Option<String>,
    description: Option<String>,
    input_format: Option<String>,
    output_format: Option<String>,
    problem_notes: Option<String>,

    test_cases: Option<Vec<CaseRow>>,
    tests: Option<Vec<CaseRow>>,
    examples: Option<Vec<CaseRow>>,

    /// Seconds.
    time_limit: Option<f64>,
    /// Mebibytes.
    memory_limit: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct CaseRow {
    input: String,
    output: String,
}

impl AgnosticsRow {
    pub(super) fn into_item(self, number: usize) -> Result<DatasetItem, RowError> {
        let fail = |path: &str, problem: &str| RowError::new(number, path, problem);
        let id = match self.idx.as_ref().or(self.original_task_id.as_ref()) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(fail("idx", "expected a number or text")),
            None => return Err(fail("", "expected one of `idx` and `original_task_id`")),
        };
        let limits = self.limits(number)?;
        let ask = match &self.prompt {
            Some(prompt) => prompt.clone(),
            None => self.statement(number)?,
        };
        let cases = self
            .test_cases
            .or(self.tests)
            .or(self.examples)
            .ok_or_else(|| fail("", "expected one of `test_cases`, `tests` and `examples`"))?;
        let problem = Problem {
            id: ProblemId::new(id.as_str()),
            language: self.lang.map(Arc::from),
            tests: Tests::Cases(cases.into_iter().map(TestCase::from).collect()),
            limits,
            checker: Checker::Exact,
            files: Vec::new(),
        };
        problem.validate().map_err(|error| fail("", &error.to_string()))?;
        let task = Task {
            id: TaskId::new(id.as_str()),
            messages: vec![Message::new(Role::User, ask)],
            problem: Arc::new(problem),
        };
        Ok(DatasetItem { task, canonical_solution: None, stub_solution: String::new(), meta: Map::new() })
    }

    /// The question as the authors lay it out. The last example is not shown, so that it tests more than memory.
    fn statement(&self, number: usize) -> Result<String, RowError> {
        let statement = self.problem_statement.as_ref().or(self.description.as_ref()).ok_or_else(|| {
            RowError::new(number, "", "expected one of `prompt`, `problem_statement` and `description`")
        })?;
        let mut text = format!(
            "Your task is to solve a competitive programming problem.\n\n# Problem\n\n{}\n",
            statement.trim()
        );
        let sections = [("Input Format", &self.input_format), ("Output Format", &self.output_format)];
        let written = (|| {
            for (title, section) in sections {
                if let Some(section) = section {
                    write!(text, "\n# {title}\n\n{}\n", section.trim())?;
                }
            }
            let cases = self.examples.as_ref().or(self.tests.as_ref()).map_or(&[][..], Vec::as_slice);
            if let [shown @ .., _] = cases
                && !shown.is_empty()
            {
                text.push_str("\n# Examples\n");
                for CaseRow { input, output } in shown {
                    write!(
                        text,
                        "\nInput:\n```\n{}\n```\nOutput:\n```\n{}\n```\n",
                        input.trim_end(),
                        output.trim_end()
                    )?;
                }
            }
            match &self.problem_notes {
                Some(notes) if !notes.trim().is_empty() => write!(text, "\n# Notes\n\n{}\n", notes.trim()),
                Some(_) | None => Ok(()),
            }
        })();
        written.expect("writing to a string cannot fail");
        Ok(text)
    }

    fn limits(&self, number: usize) -> Result<LimitOverrides, RowError> {
        let cpu_time = self
            .time_limit
            .map(|seconds| Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero()))
            .map(|limit| limit.ok_or_else(|| RowError::new(number, "time_limit", "expected seconds above 0")))
            .transpose()?;
        let memory = self
            .memory_limit
            .map(mebibytes_to_size)
            .map(|limit| {
                limit.ok_or_else(|| RowError::new(number, "memory_limit", "expected mebibytes above 0"))
            })
            .transpose()?;
        Ok(LimitOverrides { cpu_time, memory, ..LimitOverrides::default() })
    }
}

/// Above this a limit is a mistake in the data, and the product below might not fit.
const MEBIBYTES_MAX: f64 = 1024.0 * 1024.0;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn mebibytes_to_size(mebibytes: f64) -> Option<ByteSize> {
    let size = ByteSize::bytes((mebibytes.clamp(0.0, MEBIBYTES_MAX) * 1024.0 * 1024.0) as u64);
    (mebibytes > 0.0 && mebibytes <= MEBIBYTES_MAX && size > ByteSize::default()).then_some(size)
}

impl From<CaseRow> for TestCase {
    fn from(CaseRow { input, output }: CaseRow) -> Self {
        Self { stdin: input.into_bytes().into(), expected: output.into_bytes().into() }
    }
}
