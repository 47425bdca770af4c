//! MBPP, in its full and its sanitized shape.

use serde::Deserialize;
use serde_json::Map;

use super::DatasetItem;
use super::python::{fenced, task};
use crate::rows::RowError;

/// A row of MBPP. The full set calls the question `text` and prepares with `test_setup_code`; the sanitized set
/// calls it `prompt` and prepares with `test_imports`.
#[derive(Debug, Deserialize)]
pub(super) struct MbppRow {
    task_id: u64,
    text: Option<String>,
    prompt: Option<String>,
    code: String,
    #[serde(default)]
    test_setup_code: String,
    #[serde(default)]
    test_imports: Vec<String>,
    test_list: Vec<String>,
}

impl MbppRow {
    pub(super) fn into_item(self, number: usize) -> Result<DatasetItem, RowError> {
        let Self { task_id, text, prompt, code, test_setup_code, test_imports, test_list } = self;
        let question = text
            .or(prompt)
            .ok_or_else(|| RowError::new(number, "", "expected one of `text` and `prompt`"))?;
        if test_list.is_empty() {
            return Err(RowError::new(number, "test_list", "there is no test"));
        }
        let asserts = test_list.join("\n");
        let ask = format!("{question}\n\nYour code must pass these tests:\n\n{}", fenced(&asserts));
        let setup = test_imports.into_iter().chain([test_setup_code]).filter(|part| !part.is_empty());
        let test_code = setup.chain([asserts]).collect::<Vec<_>>().join("\n") + "\n";
        Ok(DatasetItem {
            task: task(&format!("MBPP/{task_id}"), ask, "", test_code),
            canonical_solution: Some(code),
            stub_solution: String::new(),
            meta: Map::new(),
        })
    }
}
