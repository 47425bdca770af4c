//! APPS, as its authors publish it and as CodeTree repacks it: programs that read standard input.
//!
//! Rows that ask for a function are refused: their cases are arguments and results, and whether a result stands in a
//! list of its own differs from row to row, so what is expected cannot be told from the row.

use std::sync::Arc;

use rollcage_judge::{Checker, FloatTolerance, Problem, TestCase, Tests};
use rollcage_rollout::{Message, Role, Task};
use rollcage_types::{LimitOverrides, ProblemId, TaskId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::DatasetItem;
use super::cases::{CaseLists, test_cases};
use super::reader::{RefusedRow, RowTrouble};
use crate::rows::RowError;

/// The columns that are read.
pub(super) const COLUMNS: &[&str] = &[
    "problem_id",
    "id",
    "name",
    "question",
    "description",
    "starter_code",
    "input_output",
    "public_tests",
    "private_tests",
    "solutions",
    "difficulty",
];

/// A row of either shape; which columns there are decides which it is.
#[derive(Debug, Deserialize)]
pub(super) struct AppsRow {
    problem_id: Option<Value>,
    id: Option<Value>,
    name: Option<Value>,
    question: Option<String>,
    description: Option<String>,
    starter_code: Option<String>,
    input_output: Option<Value>,
    public_tests: Option<Value>,
    private_tests: Option<Value>,
    /// A list of programs in Python, or the JSON text of one.
    solutions: Option<Value>,
    difficulty: Option<String>,
}

impl AppsRow {
    pub(super) fn into_item(self, number: usize) -> Result<DatasetItem, RowTrouble> {
        let Self {
            problem_id,
            id,
            name,
            question,
            description,
            starter_code,
            input_output,
            public_tests,
            private_tests,
            solutions,
            difficulty,
        } = self;
        let fail = |path: &str, problem: String| RowError::new(number, path, problem);
        let id = match problem_id.or(id).or(name) {
            Some(Value::String(text)) if !text.is_empty() => format!("APPS/{text}"),
            Some(Value::Number(number)) => format!("APPS/{number}"),
            Some(_) => return Err(fail("problem_id", "expected a number or text".to_owned()).into()),
            None => return Err(fail("", "expected one of `problem_id`, `id` and `name`".to_owned()).into()),
        };
        let question = question
            .or(description)
            .ok_or_else(|| fail("", "expected one of `question` and `description`".to_owned()))?;
        let refuse = |reason: String| RowTrouble::Refused(RefusedRow { row: number, id: id.clone(), reason });
        let mut texts = Vec::new();
        for (column, value) in
            [("input_output", input_output), ("public_tests", public_tests), ("private_tests", private_tests)]
        {
            let Some(value) = value else { continue };
            let lists = CaseLists::read(value).map_err(|problem| fail(column, problem))?;
            if let Some(function) = &lists.fn_name {
                return Err(refuse(format!(
                    "it asks for the function `{function}`, not for a program that reads standard input"
                )));
            }
            if lists.inputs.is_some() || lists.outputs.is_some() {
                texts.extend(lists.texts().map_err(|problem| refuse(format!("{problem} in `{column}`")))?);
            }
        }
        if texts.is_empty() {
            return Err(refuse("it has no test cases".to_owned()));
        }
        let cases = test_cases(texts);
        let problem = Problem {
            id: ProblemId::new(id.as_str()),
            language: None,
            checker: checker(&cases),
            tests: Tests::Cases(cases),
            limits: LimitOverrides::default(),
            files: Vec::new(),
        };
        let canonical_solution = first_solution(solutions).map_err(|problem| fail("solutions", problem))?;
        let messages = vec![Message::new(Role::User, ask(&question, starter_code.as_deref()))];
        let meta = difficulty.map(|level| ("difficulty".to_owned(), Value::String(level)));
        Ok(DatasetItem {
            task: Task { id: TaskId::new(id.as_str()), messages, problem: Arc::new(problem) },
            canonical_solution,
            stub_solution: String::new(),
            meta: Map::from_iter(meta),
        })
    }
}

fn ask(question: &str, starter_code: Option<&str>) -> String {
    let mut text = question.trim_end().to_owned();
    if let Some(code) = starter_code.filter(|code| !code.trim().is_empty()) {
        text.push_str(&format!("\n\nBegin with:\n\n{}", super::python::fenced(code)));
    }
    text.push_str("\n\nWrite a program that reads standard input and writes standard output.");
    text
}

/// How outputs are compared: token by token, since many expected outputs end their lines with spaces. Where one has a
/// fraction, numbers may differ as far as the authors' own harness lets them, which is numpy's `allclose`; elsewhere they
/// may not, because that would accept wrong integers of six digits.
fn checker(cases: &[TestCase]) -> Checker {
    let is_fraction = |token: &[u8]| {
        token.contains(&b'.')
            && std::str::from_utf8(token).is_ok_and(|token| token.parse::<f64>().is_ok_and(f64::is_finite))
    };
    let has_fraction = |case: &TestCase| case.expected.split(u8::is_ascii_whitespace).any(is_fraction);
    let tolerance = FloatTolerance { absolute: 1e-8, relative: 1e-5 };
    Checker::Tokens(cases.iter().any(has_fraction).then_some(tolerance))
}

fn first_solution(solutions: Option<Value>) -> Result<Option<String>, String> {
    let wrong = || "expected a list of programs, or the JSON text of one".to_owned();
    let list = match solutions {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(Value::String(text)) => {
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", wrong()))?
        }
        Some(other) => other,
    };
    let Value::Array(list) = list else { return Err(wrong()) };
    match list.into_iter().next() {
        None => Ok(None),
        Some(Value::String(program)) => Ok(Some(program)),
        Some(_) => Err(wrong()),
    }
}
