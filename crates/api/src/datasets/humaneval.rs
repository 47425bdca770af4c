//! Data sets of one Python function each: HumanEval and CRUXEval.

use serde::Deserialize;
use serde_json::Map;

use super::DatasetItem;
use super::python::{call_check, fenced, task};
use crate::rows::RowError;

/// A row of HumanEval.
#[derive(Debug, Deserialize)]
pub(super) struct HumanEvalRow {
    task_id: String,
    prompt: String,
    entry_point: String,
    canonical_solution: String,
    test: String,
}

impl HumanEvalRow {
    pub(super) fn into_item(self, _number: usize) -> Result<DatasetItem, RowError> {
        let Self { task_id, prompt, entry_point, canonical_solution, test } = self;
        let ask = format!("Complete this Python function:\n\n{}", fenced(&prompt));
        Ok(DatasetItem {
            task: task(&task_id, ask, &prompt, call_check(&test, &entry_point)),
            canonical_solution: Some(canonical_solution),
            stub_solution: "    pass\n".to_owned(),
            meta: Map::new(),
        })
    }
}

/// A row of CRUXEval.
#[derive(Debug, Deserialize)]
pub(super) struct CruxEvalRow {
    id: String,
    code: String,
    input: String,
    output: String,
}

impl CruxEvalRow {
    pub(super) fn into_item(self, _number: usize) -> Result<DatasetItem, RowError> {
        let Self { id, code, input, output } = self;
        let assertion = format!("assert f({input}) == {output}\n");
        let ask =
            format!("Write a Python function `f` for which this assertion holds:\n\n{}", fenced(&assertion));
        Ok(DatasetItem {
            task: task(&id, ask, "", assertion),
            canonical_solution: Some(code),
            stub_solution: String::new(),
            meta: Map::new(),
        })
    }
}
