//! Rows of a file, JSON lines or one JSON array, and where in it a mistake is.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::suggest;

/// A mistake in one row of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", place(*row, path))]
pub struct RowError {
    /// The line, or the element of an array, counted from 1.
    pub row: usize,
    /// The field, as `limits.memory` or `cases[2].stdin`; empty for the row itself.
    pub path: String,
    /// What is wrong, and what was expected.
    pub problem: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl RowError {
    pub(crate) fn new(row: usize, path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { row, path: path.into(), problem: problem.into(), hint: None }
    }

    pub(crate) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    pub(crate) fn at(row: usize, error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        // The position within the line counts; the line within the row is always the first.
        let (problem, column) = match message.rsplit_once(" at line ") {
            Some((problem, _)) => (problem.to_owned(), error.inner().column()),
            None => (message, 0),
        };
        let hint = suggest::hint(&problem);
        let problem = if error.inner().is_data() || column == 0 {
            problem
        } else {
            format!("not valid JSON at column {column}: {problem}")
        };
        Self::new(row, if path == "." { String::new() } else { path }, problem).with_hint(hint)
    }
}

/// A row that is not yet of any type.
#[derive(Clone, Debug)]
pub(crate) enum RawRow<'a> {
    /// A line of JSON.
    Line(&'a [u8]),
    /// An element of a JSON array, or what another format makes of a row.
    Value(Value),
}

impl RawRow<'_> {
    /// The row as a `T`; `row` is its number.
    pub(crate) fn parse<T: DeserializeOwned>(self, row: usize) -> Result<T, RowError> {
        match self {
            Self::Value(value) => {
                serde_path_to_error::deserialize(value).map_err(|error| RowError::at(row, &error))
            }
            Self::Line(line) => {
                let mut json = serde_json::Deserializer::from_slice(line);
                let value =
                    serde_path_to_error::deserialize(&mut json).map_err(|error| RowError::at(row, &error))?;
                json.end().map_err(|error| {
                    RowError::new(row, "", format!("something follows the row at column {}", error.column()))
                })?;
                Ok(value)
            }
        }
    }
}

/// The rows of `bytes`, with their numbers. Blank lines are skipped.
pub(crate) fn raw_rows(bytes: &[u8]) -> Result<impl Iterator<Item = (usize, RawRow<'_>)>, RowError> {
    // An array is read whole, so only one of the two has rows.
    let array = read_array(bytes)?;
    let text = if array.is_some() { &[][..] } else { bytes };
    let elements = array.unwrap_or_default().into_iter().enumerate();
    let elements = elements.map(|(place, value)| (place + 1, RawRow::Value(value)));
    Ok(elements.chain(lines(text).map(|(row, line)| (row, RawRow::Line(line)))))
}

/// Reads every row of `bytes` as a `T`, with its number. Blank lines are skipped.
pub(crate) fn read_rows<T: DeserializeOwned>(bytes: &[u8]) -> Result<Vec<(usize, T)>, RowError> {
    raw_rows(bytes)?.map(|(row, raw)| Ok((row, raw.parse(row)?))).collect()
}

/// The first row of `bytes`, if it is an object.
pub(crate) fn first_row(bytes: &[u8]) -> Option<serde_json::Map<String, Value>> {
    if bytes.trim_ascii_start().starts_with(b"[") {
        return match read_array(bytes).ok()??.into_iter().next()? {
            Value::Object(row) => Some(row),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
        };
    }
    serde_json::from_slice(lines(bytes).next()?.1).ok()
}

fn read_array(bytes: &[u8]) -> Result<Option<Vec<Value>>, RowError> {
    if !bytes.trim_ascii_start().starts_with(b"[") {
        return Ok(None);
    }
    serde_json::from_slice(bytes)
        .map(Some)
        .map_err(|error| RowError::new(error.line(), "", format!("the file is not a JSON array: {error}")))
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = bytes.split(|byte| *byte == b'\n').enumerate();
    numbered.map(|(place, line)| (place + 1, line)).filter(|(_, line)| !line.trim_ascii().is_empty())
}

fn place(row: usize, path: &str) -> String {
    if path.is_empty() { format!("row {row}") } else { format!("row {row}, `{path}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        n: u8,
    }

    #[test]
    fn lines_and_arrays_are_rows() {
        for text in ["{\"n\":1}\n\n{\"n\":2}\n", "{\"n\":1}\r\n\r\n{\"n\":2}"] {
            assert_eq!(read_rows(text.as_bytes()).unwrap(), [(1, Row { n: 1 }), (3, Row { n: 2 })]);
        }
        assert_eq!(read_rows(b" [{\"n\":1},{\"n\":2}]").unwrap(), [(1, Row { n: 1 }), (2, Row { n: 2 })]);
        assert_eq!(read_rows::<Row>(b"").unwrap(), []);
    }

    #[test]
    fn mistakes_name_row_and_field() {
        for (text, expected, hint) in [
            ("{\"n\":1}\n{\"n\":-1}", "row 2, `n`: invalid value: integer `-1`, expected u8", None),
            ("{\"N\":1}", "row 1, `N`: unknown field `N`, expected `n`", Some("did you mean `n`?")),
            ("{}", "row 1: missing field `n`", None),
            ("{\"n\":", "row 1, `n`: not valid JSON at column 5: EOF while parsing a value", None),
            ("{\"n\":1} 2", "row 1: something follows the row at column 9", None),
            ("[{\"n\":1},{\"n\":\"x\"}]", "row 2, `n`: invalid type: string \"x\", expected u8", None),
        ] {
            let error = read_rows::<Row>(text.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.hint.as_deref(), hint, "{text}");
        }
    }
}
