//! Reading a JSON body, and where in it a mistake is.

use serde::de::DeserializeOwned;

use crate::rows::RowError;
use crate::suggest;

/// A mistake in a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", place(path))]
pub struct BodyError {
    /// The field, as `items[3].limits.memory`; empty for the body itself.
    pub path: String,
    /// What is wrong, and what was expected.
    pub problem: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl BodyError {
    /// A mistake in the field at `path`.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into(), hint: None }
    }

    /// The same with what was probably meant.
    #[must_use]
    pub fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// The same mistake seen from outside `prefix`, the field that holds what was read.
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        let path = match (prefix, self.path.as_str()) {
            (prefix, "") => prefix.to_owned(),
            ("", path) => path.to_owned(),
            (prefix, path) => format!("{prefix}.{path}"),
        };
        Self { path, ..self }
    }
}

impl From<RowError> for BodyError {
    fn from(error: RowError) -> Self {
        let RowError { row: _, path, problem, hint } = error;
        Self { path, problem, hint }
    }
}

/// Reads `bytes`, a JSON object, as a `T`. Nesting is bounded by the JSON reader, at 128 levels.
pub fn read_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    // Serde would take a list for a struct's fields in their order.
    if bytes.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
        return Err(BodyError::new("", "expected a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        let path = if path == "." { String::new() } else { path };
        let message = inner.to_string();
        let problem = match message.rsplit_once(" at line ") {
            Some((problem, place)) if !inner.is_data() => {
                format!("not valid JSON at line {place}: {problem}")
            }
            Some((problem, _)) => problem.to_owned(),
            None => message,
        };
        let hint = suggest::hint(&problem);
        BodyError::new(path, problem).with_hint(hint)
    })?;
    json.end().map_err(|error| {
        BodyError::new("", format!("something follows the JSON value at column {}", error.column()))
    })?;
    Ok(value)
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("`{path}`: ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only reading it is of interest")]
        items: Vec<u8>,
    }

    #[test]
    fn mistakes_name_the_field() {
        for (text, expected) in [
            (r#"{"items":[1,-1]}"#, "`items[1]`: invalid value: integer `-1`, expected u8"),
            (r#"{"itms":[]}"#, "`itms`: unknown field `itms`, expected `items`"),
            (r#"{"items":[1"#, "`items`: not valid JSON at line 1 column 11: EOF while parsing a list"),
            (r#"{"items":[]} 1"#, "something follows the JSON value at column 14"),
            ("", "not valid JSON at line 1 column 0: EOF while parsing a value"),
            ("[[1]]", "expected a JSON object"),
        ] {
            assert_eq!(read_body::<Body>(text.as_bytes()).unwrap_err().to_string(), expected);
        }
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        let error = read_body::<serde_json::Value>(deep.as_bytes()).unwrap_err();
        assert!(error.problem.contains("recursion limit"), "{error}");
        let not_text = read_body::<serde_json::Value>(b"{\"\xff\":1}").unwrap_err();
        assert!(not_text.problem.contains("invalid unicode"), "{not_text}");
    }

    #[test]
    fn a_mistake_is_placed_within_its_holder() {
        let error = BodyError::new("cases[0]", "p");
        assert_eq!(error.clone().within("problem").path, "problem.cases[0]");
        assert_eq!(BodyError::new("", "p").within("problem").path, "problem");
        assert_eq!(error.within("").path, "cases[0]");
    }
}
