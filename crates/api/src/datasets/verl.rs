//! The rows verl trains on, from JSON lines or Parquet.
//!
//! A row is judged by its `reward_model.ground_truth`: cases for a program that reads standard input, calls of a
//! Python function, or assertions. Every other ground truth is refused, with the reason. How a call is judged is in
//! `python_calls.rs`.

use std::sync::Arc;

use rollcage_judge::{Checker, Problem, Tests};
use rollcage_rollout::{Message, Task};
use rollcage_types::{LimitOverrides, ProblemId, TaskId};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::DatasetItem;
use super::cases::{CaseLists, test_cases};
use super::python_calls::{self, PRELUDE};
use super::reader::{RefusedRow, RowTrouble};
use crate::problem_row::MessageRow;
use crate::rows::RowError;

/// The columns that are read.
pub(super) const COLUMNS: &[&str] = &["data_source", "prompt", "reward_model", "extra_info"];

/// A row of verl.
#[derive(Debug, Deserialize)]
pub(super) struct VerlRow {
    data_source: String,
    prompt: Value,
    reward_model: RewardModelRow,
    extra_info: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct RewardModelRow {
    style: Option<String>,
    #[serde(default)]
    ground_truth: Value,
}

impl VerlRow {
    pub(super) fn into_item(self, number: usize) -> Result<DatasetItem, RowTrouble> {
        let Self { data_source, prompt, reward_model: RewardModelRow { style, ground_truth }, extra_info } =
            self;
        let id = id(&data_source, extra_info.as_ref(), number);
        let refuse = |reason: String| RowTrouble::Refused(RefusedRow { row: number, id: id.clone(), reason });
        let messages = messages(prompt, number)?;
        if let Some(style) = style.filter(|style| style != "rule") {
            return Err(refuse(format!("`reward_model.style` is `{style}`, not `rule`")));
        }
        let tests = tests(ground_truth).map_err(|reason| refuse(format!("its ground truth: {reason}")))?;
        let problem = Problem {
            id: ProblemId::new(id.as_str()),
            // verl runs every such row as Python.
            language: Some("python".into()),
            tests,
            limits: LimitOverrides::default(),
            checker: Checker::Exact,
            files: Vec::new(),
        };
        problem.validate().map_err(|error| refuse(error.to_string()))?;
        Ok(DatasetItem {
            task: Task { id: TaskId::new(id.as_str()), messages, problem: Arc::new(problem) },
            canonical_solution: None,
            stub_solution: String::new(),
            meta: Map::from_iter([("data_source".to_owned(), Value::String(data_source))]),
        })
    }
}

/// A name that lasts when rows are shuffled or filtered, where the row has what verl's own scripts write:
/// `extra_info.index` and `extra_info.split`. Otherwise the row's number.
fn id(data_source: &str, extra_info: Option<&Value>, number: usize) -> String {
    let text = |key: &str| match extra_info?.get(key)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match (text("split"), text("index")) {
        (Some(split), Some(index)) => format!("{data_source}/{split}/{index}"),
        (None, Some(index)) => format!("{data_source}/{index}"),
        (_, None) => format!("{data_source}/row-{number}"),
    }
}

fn messages(prompt: Value, number: usize) -> Result<Vec<Message>, RowError> {
    let rows: Vec<MessageRow> = serde_path_to_error::deserialize(without_nulls(prompt)).map_err(|error| {
        let error = RowError::at(number, &error);
        let path = if error.path.is_empty() { "prompt".to_owned() } else { format!("prompt{}", error.path) };
        RowError { path, ..error }
    })?;
    if rows.is_empty() {
        return Err(RowError::new(number, "prompt", "a conversation has at least one message"));
    }
    Ok(rows.into_iter().map(Message::from).collect())
}

/// Parquet gives every struct of a list the same fields, and null where one had none.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(elements) => elements.into_iter().map(without_nulls).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn tests(ground_truth: Value) -> Result<Tests, String> {
    let lists = CaseLists::read(ground_truth)?;
    let assertions: Vec<&Value> =
        lists.assert_case.iter().flatten().filter(|code| !is_nothing(code)).collect();
    match (&lists.fn_name, assertions.as_slice()) {
        (None, []) => Ok(Tests::Cases(test_cases(lists.texts()?))),
        (Some(function), []) => {
            let test_code = python_calls::test_code(function, &lists)?;
            Ok(python(&python_calls::prelude(function), test_code))
        }
        (None, assertions) => {
            if lists.inputs.iter().chain(&lists.outputs).flatten().any(|value| !is_nothing(value)) {
                return Err("it has `assert_case` beside inputs or outputs of its own".to_owned());
            }
            let code: Option<Vec<&str>> = assertions.iter().map(|code| code.as_str()).collect();
            let code = code.ok_or_else(|| "its `assert_case` is not a list of texts".to_owned())?;
            Ok(python(PRELUDE, code.join("\n") + "\n"))
        }
        (Some(_), _) => Err("it has both `fn_name` and `assert_case`".to_owned()),
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn python(prelude: &str, test_code: String) -> Tests {
    Tests::Code { prefix: prelude.into(), context: prelude.into(), test_code: test_code.into() }
}
