//! The formats we read, how they are named and how they are recognised.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{DatasetItem, agnostics, humaneval, mbpp};
use crate::problem_row::ProblemRow;
use crate::rows::{RowError, first_row, read_rows};
use crate::suggest;

/// A format of data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatasetKind {
    /// Our own rows; see [`ProblemRow`].
    Problems,
    /// HumanEval: a prompt to complete, and a `check` function.
    HumanEval,
    /// MBPP, full or sanitized: a text and a list of asserts.
    Mbpp,
    /// CRUXEval: a function, an input and its output.
    CruxEval,
    /// Agnostics: inputs and outputs for any language; its training rows, Ag-MBPP-X and Ag-Codeforces-X.
    Agnostics,
}

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a data set format; use one of problems, humaneval, mbpp, cruxeval, agnostics")]
pub struct UnknownDataset {
    /// What was written.
    pub name: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl DatasetKind {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Problems, Self::HumanEval, Self::Mbpp, Self::CruxEval, Self::Agnostics];

    /// The name used in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Problems => "problems",
            Self::HumanEval => "humaneval",
            Self::Mbpp => "mbpp",
            Self::CruxEval => "cruxeval",
            Self::Agnostics => "agnostics",
        }
    }

    /// The format of a file, by the columns of its first row; `None` if they fit none.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let row = first_row(bytes)?;
        let has = |columns: &[&str]| columns.iter().all(|column| row.contains_key(*column));
        let shapes: [(Self, &[&str]); 8] = [
            (Self::HumanEval, &["task_id", "prompt", "entry_point", "canonical_solution", "test"]),
            (Self::Mbpp, &["task_id", "code", "test_list"]),
            (Self::CruxEval, &["code", "input", "output"]),
            (Self::Agnostics, &["prompt", "test_cases"]),
            (Self::Agnostics, &["problem_statement", "examples"]),
            (Self::Agnostics, &["description", "tests"]),
            (Self::Problems, &["id", "cases"]),
            (Self::Problems, &["id", "test_code"]),
        ];
        shapes.into_iter().find(|(_, columns)| has(columns)).map(|(kind, _)| kind)
    }

    /// Reads a whole file of this format, already decompressed. No two tasks have the same id.
    pub fn read(self, bytes: &[u8]) -> Result<Vec<DatasetItem>, RowError> {
        let items = match self {
            Self::Problems => convert(read_rows(bytes)?, ProblemRow::into_item)?,
            Self::HumanEval => convert(read_rows(bytes)?, humaneval::HumanEvalRow::into_item)?,
            Self::Mbpp => convert(read_rows(bytes)?, mbpp::MbppRow::into_item)?,
            Self::CruxEval => convert(read_rows(bytes)?, humaneval::CruxEvalRow::into_item)?,
            Self::Agnostics => convert(read_rows(bytes)?, agnostics::AgnosticsRow::into_item)?,
        };
        let mut seen = BTreeMap::new();
        for (row, item) in &items {
            if let Some(earlier) = seen.insert(item.task.id.clone(), *row) {
                let problem = format!("the id `{}` is that of row {earlier} too", item.task.id);
                return Err(RowError::new(*row, "", problem));
            }
        }
        Ok(items.into_iter().map(|(_, item)| item).collect())
    }
}

fn convert<R>(
    rows: Vec<(usize, R)>,
    into_item: impl Fn(R, usize) -> Result<DatasetItem, RowError>,
) -> Result<Vec<(usize, DatasetItem)>, RowError> {
    rows.into_iter().map(|(number, row)| Ok((number, into_item(row, number)?))).collect()
}

impl FromStr for DatasetKind {
    type Err = UnknownDataset;

    fn from_str(name: &str) -> Result<Self, UnknownDataset> {
        let folded = name.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| kind.as_str() == folded).ok_or_else(|| {
            let near = suggest::nearest(name, Self::ALL.map(Self::as_str));
            UnknownDataset { name: name.to_owned(), hint: near.map(|near| format!("did you mean `{near}`?")) }
        })
    }
}
