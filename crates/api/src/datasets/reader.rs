//! Rows in, tasks out: the part of reading that all formats share.
//!
//! Owns what a file's rows become together: every id once, and rows that nothing can be judged by kept apart with
//! their reasons. Takes rows one at a time, so that a file need not be in memory. Leaves what a row means to the
//! formats.

use std::collections::BTreeMap;

use rollcage_types::TaskId;
use serde_json::{Map, Value};

use super::columns::ColumnMapping;
use super::{DatasetItem, DatasetKind};
use crate::rows::{RawRow, RowError, raw_rows};

/// What says what the columns of a file mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetFormat {
    /// A published format.
    Kind(DatasetKind),
    /// The user.
    Columns(ColumnMapping),
}

/// What a file's rows became.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The tasks, in the order of the rows.
    pub items: Vec<DatasetItem>,
    /// The rows that are well formed and that no program can be judged by, in their order.
    pub refused: Vec<RefusedRow>,
}

/// A row that no program can be judged by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} (`{id}`): {reason}")]
pub struct RefusedRow {
    /// Its place in the file, counted from 1.
    pub row: usize,
    /// What the task would be called.
    pub id: String,
    /// Why not.
    pub reason: String,
}

/// Why a row is no task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowTrouble {
    /// It is not a row of this format.
    Wrong(RowError),
    /// It is one, and no program can be judged by it.
    Refused(RefusedRow),
}

impl From<RowError> for RowTrouble {
    fn from(error: RowError) -> Self {
        Self::Wrong(error)
    }
}

/// Reads rows of one format.
#[derive(Clone, Debug)]
pub struct DatasetReader {
    format: DatasetFormat,
    seen: BTreeMap<TaskId, usize>,
    items: Vec<DatasetItem>,
    refused: Vec<RefusedRow>,
}

impl DatasetFormat {
    /// The top-level columns a row needs; `None` where that is not known beforehand.
    pub fn columns(&self) -> Option<Vec<&str>> {
        match self {
            Self::Kind(kind) => kind.columns().map(<[&str]>::to_vec),
            Self::Columns(mapping) => Some(mapping.roots()),
        }
    }
}

impl DatasetReader {
    /// A reader that has seen nothing.
    pub fn new(format: DatasetFormat) -> Self {
        Self { format, seen: BTreeMap::new(), items: Vec::new(), refused: Vec::new() }
    }

    /// How many tasks were read.
    pub fn tasks(&self) -> usize {
        self.items.len()
    }

    /// Takes one row; `number` is its place in the file, counted from 1.
    pub fn push(&mut self, number: usize, row: Map<String, Value>) -> Result<(), RowError> {
        self.take(number, RawRow::Value(Value::Object(row)))
    }

    /// Takes the rows of a JSON file, lines or one array, already decompressed; no more than it takes for `tasks_max`
    /// tasks in all.
    pub fn push_json(&mut self, bytes: &[u8], tasks_max: usize) -> Result<(), RowError> {
        for (number, row) in raw_rows(bytes)? {
            if self.items.len() >= tasks_max {
                break;
            }
            self.take(number, row)?;
        }
        Ok(())
    }

    /// What the rows became.
    pub fn finish(self) -> Dataset {
        Dataset { items: self.items, refused: self.refused }
    }

    fn take(&mut self, number: usize, row: RawRow<'_>) -> Result<(), RowError> {
        let item = match &self.format {
            DatasetFormat::Kind(kind) => kind.item(number, row),
            DatasetFormat::Columns(mapping) => {
                row.parse(number).and_then(|row| mapping.item(number, &row)).map_err(RowTrouble::Wrong)
            }
        };
        let item = match item {
            Ok(item) => item,
            Err(RowTrouble::Wrong(error)) => return Err(error),
            Err(RowTrouble::Refused(refused)) => {
                self.refused.push(refused);
                return Ok(());
            }
        };
        if let Some(earlier) = self.seen.insert(item.task.id.clone(), number) {
            let problem = format!("the id `{}` is that of row {earlier} too", item.task.id);
            return Err(RowError::new(number, "", problem));
        }
        self.items.push(item);
        Ok(())
    }
}
