//! A row read by a mapping of its columns.
//!
//! Owns how a path is followed into lists, objects and JSON text, and which forms a value may have for its field. What
//! comes out is a native row, so every other rule is that of native rows.

use serde_json::{Map, Value};

use super::DatasetItem;
use super::cases::case_text;
use super::columns::{ColumnMapping, ColumnPath};
use super::verl::without_nulls;
use crate::problem_row::ProblemRow;
use crate::rows::RowError;
use crate::suggest;

/// Names listed in a message; wider tables have their own documentation.
const NAMES_MAX: usize = 30;

/// What is wrong with a value, and what was probably meant.
type Trouble = (String, Option<String>);

impl ColumnMapping {
    /// The task of one row. A row whose id is not mapped is called by its number.
    pub(super) fn item(&self, number: usize, row: &Map<String, Value>) -> Result<DatasetItem, RowError> {
        let mut fields = Map::new();
        let mut sides: [Option<Vec<Value>>; 2] = [None, None];
        for (field, path) in &self.pairs {
            let fail = |(problem, hint): Trouble| {
                RowError::new(number, field, format!("{problem} (column `{path}`)")).with_hint(hint)
            };
            let Some(value) = path.follow(row).map_err(fail)? else { continue };
            match field.as_str() {
                "cases.stdin" => sides[0] = Some(case_list(value).map_err(plain).map_err(fail)?),
                "cases.expected" => sides[1] = Some(case_list(value).map_err(plain).map_err(fail)?),
                name => {
                    let value = shaped(name, value).map_err(plain).map_err(fail)?;
                    put(&mut fields, name, value);
                }
            }
        }
        let [inputs, outputs] = sides;
        if let Some(outputs) = outputs {
            let cases = cases(inputs, outputs).map_err(|problem| RowError::new(number, "cases", problem))?;
            fields.insert("cases".to_owned(), cases);
        }
        fields.entry("id").or_insert_with(|| format!("row-{number}").into());
        let row: ProblemRow = serde_path_to_error::deserialize(Value::Object(fields))
            .map_err(|error| self.with_column(RowError::at(number, &error)))?;
        row.into_item(number).map_err(|error| self.with_column(error))
    }

    /// The error with the column that the field it names came from.
    fn with_column(&self, error: RowError) -> RowError {
        let is_of = |field: &str| {
            error.path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        match self.pairs.iter().find(|(field, _)| is_of(field)) {
            Some((_, path)) => {
                let problem = format!("{} (column `{path}`)", error.problem);
                RowError { problem, ..error }
            }
            None => error,
        }
    }
}

impl ColumnPath {
    /// The value at this path; `None` if it is null, or missing and may be.
    fn follow(&self, row: &Map<String, Value>) -> Result<Option<Value>, Trouble> {
        let missing = |trouble: Trouble| if self.is_optional { Ok(None) } else { Err(trouble) };
        let root = self.root();
        let Some(mut value) = row.get(root).cloned() else {
            return missing((format!("there is no such column; there are {}", listed(row)), near(root, row)));
        };
        for (place, segment) in self.segments.iter().enumerate().skip(1) {
            value = match step(value, segment) {
                Ok(value) => value,
                Err(Step::Missing(problem, hint)) => {
                    let at = self.segments[..place].join(".");
                    return missing((format!("`{at}` {problem}"), hint));
                }
                Err(Step::Wrong(problem)) => {
                    let at = self.segments[..place].join(".");
                    return Err((format!("`{at}` {problem}"), None));
                }
            };
        }
        Ok((!value.is_null()).then_some(value))
    }
}

enum Step {
    Missing(String, Option<String>),
    Wrong(String),
}

/// One key or place further in. Text is JSON text here; a key of a list is that of each of its elements.
fn step(value: Value, segment: &str) -> Result<Value, Step> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Object(mut fields) => match fields.swap_remove(segment) {
            Some(value) => Ok(value),
            None => Err(Step::Missing(
                format!("has no `{segment}`; it has {}", listed(&fields)),
                near(segment, &fields),
            )),
        },
        Value::Array(mut elements) => match segment.parse::<usize>() {
            Ok(place) if place < elements.len() => Ok(elements.swap_remove(place)),
            Ok(place) => {
                Err(Step::Missing(format!("has {} elements, and none at {place}", elements.len()), None))
            }
            Err(_not_a_place) => elements.into_iter().map(|element| step(element, segment)).collect(),
        },
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_) | Value::Null)) => step(inner, segment),
            Ok(Value::Bool(_) | Value::Number(_) | Value::String(_)) | Err(_) => {
                Err(Step::Wrong(format!("is text and not JSON, so it has no `{segment}`")))
            }
        },
        Value::Bool(_) | Value::Number(_) => Err(Step::Wrong(format!("is {value} and has no `{segment}`"))),
    }
}

/// The value in the form that `field` has in a native row.
fn shaped(field: &str, value: Value) -> Result<Value, String> {
    match (field, value) {
        ("id", Value::Number(number)) => Ok(number.to_string().into()),
        // Assertions are often kept as a list.
        ("test_code", Value::Array(lines)) => {
            let lines: Option<Vec<&str>> = lines.iter().map(Value::as_str).collect();
            lines
                .map(|lines| lines.join("\n").into())
                .ok_or_else(|| "expected text or a list of texts".to_owned())
        }
        ("messages" | "cases", value) => Ok(without_nulls(Value::Array(list(value)?))),
        ("checker" | "files" | "meta", Value::String(text)) if text.trim_start().starts_with('{') => {
            serde_json::from_str(&text).map_err(|error| format!("it is not JSON text: {error}"))
        }
        ("checker" | "files", value) => Ok(without_nulls(value)),
        (_, value) => Ok(value),
    }
}

fn put(fields: &mut Map<String, Value>, field: &str, value: Value) {
    match field.split_once('.') {
        None => {
            fields.insert(field.to_owned(), value);
        }
        Some((outer, inner)) => {
            let object = fields.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(object) = object {
                object.insert(inner.to_owned(), value);
            }
        }
    }
}

fn list(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(elements) => Ok(elements),
        Value::String(text) => serde_json::from_str(&text)
            .map_err(|_not_a_list| "expected a list, or JSON text of one".to_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err("expected a list, or JSON text of one".to_owned())
        }
    }
}

/// One side of all cases, each in the form a native case has.
fn case_list(value: Value) -> Result<Vec<Value>, String> {
    let of_case = |(place, value): (usize, Value)| {
        // Bytes that are no text.
        if value.is_object() {
            return Ok(value);
        }
        let text = case_text(&value).map(Value::String);
        text.ok_or_else(|| format!("element {place} is neither text nor a list of lines"))
    };
    list(value)?.into_iter().enumerate().map(of_case).collect()
}

fn cases(inputs: Option<Vec<Value>>, outputs: Vec<Value>) -> Result<Value, String> {
    let inputs = inputs.unwrap_or_else(|| vec![Value::String(String::new()); outputs.len()]);
    if inputs.len() != outputs.len() {
        return Err(format!("there are {} inputs and {} outputs", inputs.len(), outputs.len()));
    }
    let case = |(stdin, expected): (Value, Value)| {
        Value::Object(Map::from_iter([("stdin".to_owned(), stdin), ("expected".to_owned(), expected)]))
    };
    Ok(inputs.into_iter().zip(outputs).map(case).collect())
}

fn plain(problem: String) -> Trouble {
    (problem, None)
}

fn listed(fields: &Map<String, Value>) -> String {
    let names: Vec<String> = fields.keys().take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
    match fields.len().checked_sub(names.len()) {
        _ if names.is_empty() => "none".to_owned(),
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names.join(", ")),
    }
}

fn near(name: &str, fields: &Map<String, Value>) -> Option<String> {
    let near = suggest::nearest(name, fields.keys().map(String::as_str))?;
    Some(format!("did you mean `{near}`?"))
}
