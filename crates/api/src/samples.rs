//! Sample rows: solutions to be judged, and how they find their problems.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcage_judge::Problem;
use rollcage_types::TaskId;
use serde_json::{Map, Value};

use crate::datasets::DatasetItem;
use crate::rows::{RowError, read_rows};
use crate::suggest;

/// A solution, as a row of a samples file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its place in the file.
    pub row: usize,
    /// The task it solves: `task_id`, or `id`.
    pub task_id: TaskId,
    /// The solution.
    pub solution: SampleSolution,
    /// The language it is written in, where the row says so.
    pub language: Option<Arc<str>>,
}

/// What a solution is relative to its problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleSolution {
    /// A whole program (`solution` or `code`): what the problem puts before a solution is left out.
    Whole(String),
    /// The continuation of the problem's prompt (`completion`).
    Completion(String),
}

/// A sample with its problem, ready to be judged.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinedSample {
    /// The task it solves.
    pub task_id: TaskId,
    /// Which of the samples of its task it is, counted from 0 in the order of the file.
    pub sample_index: u32,
    /// What it is judged by.
    pub problem: Arc<Problem>,
    /// Its source text.
    pub solution: String,
    /// The language to judge it in.
    pub language: Arc<str>,
}

/// The columns that hold a solution. A row has exactly one of them.
const SOLUTION_COLUMNS: [&str; 3] = ["solution", "completion", "code"];

/// Reads a samples file. Columns we do not know are ignored: samplers write what they like beside a solution.
pub fn read_samples(bytes: &[u8]) -> Result<Vec<Sample>, RowError> {
    read_rows::<Map<String, Value>>(bytes)?.into_iter().map(|(row, columns)| sample(row, columns)).collect()
}

fn sample(row: usize, mut columns: Map<String, Value>) -> Result<Sample, RowError> {
    let task_id = match columns.remove("task_id").or_else(|| columns.remove("id")) {
        Some(Value::String(text)) if !text.is_empty() => text,
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(RowError::new(row, "task_id", "expected text or a number")),
        None => return Err(missing(row, "`task_id` (or `id`)", &["task_id", "id"], &columns)),
    };
    let found: Vec<(&str, Value)> =
        SOLUTION_COLUMNS.into_iter().filter_map(|name| Some((name, columns.remove(name)?))).collect();
    let solution = match found.as_slice() {
        [("completion", Value::String(text))] => SampleSolution::Completion(text.clone()),
        [(_, Value::String(text))] => SampleSolution::Whole(text.clone()),
        [(name, _)] => return Err(RowError::new(row, *name, "expected text")),
        [] => {
            return Err(missing(
                row,
                "one of `solution`, `completion` and `code`",
                &SOLUTION_COLUMNS,
                &columns,
            ));
        }
        [(first, _), (second, _), ..] => {
            return Err(RowError::new(
                row,
                "",
                format!("it has both `{first}` and `{second}`; expected one"),
            ));
        }
    };
    let language = match columns.remove("language") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(Arc::from(name)),
        Some(_) => return Err(RowError::new(row, "language", "expected text")),
    };
    Ok(Sample { row, task_id: TaskId::new(task_id), solution, language })
}

fn missing(row: usize, what: &str, names: &[&str], columns: &Map<String, Value>) -> RowError {
    let slip =
        columns.keys().find_map(|column| Some((column, suggest::nearest(column, names.iter().copied())?)));
    RowError::new(row, "", format!("expected {what}"))
        .with_hint(slip.map(|(column, name)| format!("did you mean `{name}` where it says `{column}`?")))
}

/// Finds the problem of every sample. `language` is used where neither the problem nor the sample names one.
pub fn join_samples(
    samples: Vec<Sample>,
    items: &[DatasetItem],
    language: Option<&str>,
) -> Result<Vec<JoinedSample>, RowError> {
    let by_id: BTreeMap<&str, &DatasetItem> =
        items.iter().map(|item| (item.task.id.as_str(), item)).collect();
    let mut counts: BTreeMap<TaskId, u32> = BTreeMap::new();
    let mut whole: BTreeMap<TaskId, Arc<Problem>> = BTreeMap::new();
    let mut joined = Vec::with_capacity(samples.len());
    for Sample { row, task_id, solution, language: own } in samples {
        let Some(item) = by_id.get(task_id.as_str()) else {
            let near = suggest::nearest(task_id.as_str(), by_id.keys().copied());
            return Err(RowError::new(row, "task_id", format!("no problem is called `{task_id}`"))
                .with_hint(near.map(|near| format!("did you mean `{near}`?"))));
        };
        let problem = &item.task.problem;
        let language = match (problem.language.as_ref(), own) {
            (Some(asked), Some(own)) if *asked != own => {
                let problem = format!("it is written in `{own}`, and the problem asks for `{asked}`");
                return Err(RowError::new(row, "language", problem));
            }
            (Some(asked), _) => asked.clone(),
            (None, Some(own)) => own,
            (None, None) => language.map(Arc::from).ok_or_else(|| {
                RowError::new(row, "language", "neither the problem nor the sample names a language")
            })?,
        };
        let (problem, solution) = match solution {
            SampleSolution::Completion(text) => (problem.clone(), text),
            SampleSolution::Whole(text) => {
                let whole = whole.entry(task_id.clone());
                (Arc::clone(whole.or_insert_with(|| Arc::new(problem.for_whole_programs()))), text)
            }
        };
        let count = counts.entry(task_id.clone()).or_default();
        joined.push(JoinedSample { task_id, sample_index: *count, problem, solution, language });
        *count += 1;
    }
    Ok(joined)
}
