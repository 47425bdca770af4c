//! Test cases as parallel lists: `inputs` and `outputs`, as APPS began it and trainers took it over.
//!
//! Owns how such lists are written: as JSON text or as values, each case as text or as a list of lines. Leaves what is
//! done with a function's name to the formats.

use rollcage_judge::TestCase;
use serde::Deserialize;
use serde_json::Value;

/// Parallel lists of cases, and what may stand beside them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct CaseLists {
    #[serde(alias = "input")]
    pub(super) inputs: Option<Vec<Value>>,
    #[serde(alias = "output")]
    pub(super) outputs: Option<Vec<Value>>,
    /// The function that is to be called, where the cases are arguments and results.
    pub(super) fn_name: Option<String>,
    /// Code to be run after the solution, one piece for each case.
    pub(super) assert_case: Option<Vec<Value>>,
}

impl CaseLists {
    /// Reads `value`: an object, or the JSON text of one. Says in a sentence why it is neither.
    pub(super) fn read(value: Value) -> Result<Self, String> {
        let value = match value.as_str() {
            Some(text) if text.trim().is_empty() => return Ok(Self::default()),
            Some(text) => {
                serde_json::from_str(text).map_err(|error| format!("it is not JSON text: {error}"))?
            }
            None => value,
        };
        match value {
            Value::Null => Ok(Self::default()),
            Value::Object(_) => serde_path_to_error::deserialize(value)
                .map_err(|error| format!("its `{}` is wrong: {}", error.path(), error.inner())),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err("it is not an object with `inputs` and `outputs`".to_owned())
            }
        }
    }

    /// The cases as texts: what goes in and what is expected. Says in a sentence why nothing can be judged by them.
    pub(super) fn texts(&self) -> Result<Vec<(String, String)>, String> {
        let inputs = self.inputs.as_deref().unwrap_or_default();
        let outputs = self.outputs.as_deref().unwrap_or_default();
        if inputs.len() != outputs.len() {
            return Err(format!("it has {} inputs and {} outputs", inputs.len(), outputs.len()));
        }
        if inputs.is_empty() {
            return Err("it has no test cases".to_owned());
        }
        let text = |value: &Value, what: &str, place: usize| {
            case_text(value)
                .ok_or_else(|| format!("{what} {} is neither text nor a list of lines", place + 1))
        };
        let pairs = inputs.iter().zip(outputs).enumerate();
        pairs
            .map(|(place, (input, output))| {
                Ok((text(input, "input", place)?, text(output, "output", place)?))
            })
            .collect()
    }
}

/// The cases a judge takes.
pub(super) fn test_cases(texts: Vec<(String, String)>) -> Vec<TestCase> {
    let case = |(input, output): (String, String)| TestCase {
        stdin: input.into_bytes().into(),
        expected: output.into_bytes().into(),
    };
    texts.into_iter().map(case).collect()
}

/// A case's input or output: text, a whole number, or a list of lines. Fractions are not taken, because the file's own
/// digits are lost by now.
pub(super) fn case_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Array(lines) => {
            let lines: Option<Vec<&str>> = lines.iter().map(Value::as_str).collect();
            lines.map(|lines| lines.join("\n"))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_read_as_text_and_as_values() {
        let expected = vec![("1\n2".to_owned(), "3".to_owned()), ("4".to_owned(), "5".to_owned())];
        let lists = json!({"inputs": [["1", "2"], "4"], "outputs": [3, "5"]});
        for value in [
            lists.clone(),
            lists.to_string().into(),
            json!({"input": lists["inputs"], "output": lists["outputs"]}),
        ] {
            assert_eq!(CaseLists::read(value).unwrap().texts().unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_judged_says_why() {
        for (value, expected) in [
            (json!(""), "it has no test cases"),
            (json!(null), "it has no test cases"),
            (json!({"inputs": [], "outputs": []}), "it has no test cases"),
            (json!({"inputs": ["1"], "outputs": []}), "it has 1 inputs and 0 outputs"),
            (json!({"inputs": [[1, 2]], "outputs": ["3"]}), "input 1 is neither text nor a list of lines"),
            (json!({"inputs": ["1"], "outputs": [0.5]}), "output 1 is neither text nor a list of lines"),
        ] {
            assert_eq!(CaseLists::read(value).unwrap().texts().unwrap_err(), expected);
        }
        for (value, expected) in [
            (json!("42 is the answer"), "it is not JSON text: "),
            (json!("42"), "it is not an object with `inputs` and `outputs`"),
            (json!({"inputs": "1", "outputs": []}), "its `inputs` is wrong: invalid type: string"),
        ] {
            let error = CaseLists::read(value).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
