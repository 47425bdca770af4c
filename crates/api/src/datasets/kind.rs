//! The formats we read, how they are named and how they are recognised.

use std::str::FromStr;

use super::reader::{Dataset, DatasetFormat, DatasetReader, RefusedRow, RowTrouble};
use super::{DatasetItem, agnostics, apps, humaneval, humaneval_x, mbpp, verl};
use crate::problem_row::ProblemRow;
use crate::rows::{RawRow, RowError, first_row};
use crate::suggest;

/// A format of data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatasetKind {
    /// Our own rows; see [`ProblemRow`].
    Problems,
    /// HumanEval: a prompt to complete, and a `check` function.
    HumanEval,
    /// HumanEval-X: the same functions in six languages, each with tests in its own.
    HumanEvalX,
    /// MBPP, full or sanitized: a text and a list of asserts.
    Mbpp,
    /// CRUXEval: a function, an input and its output.
    CruxEval,
    /// Agnostics: inputs and outputs for any language; its training rows, Ag-MBPP-X and Ag-Codeforces-X.
    Agnostics,
    /// APPS, as published and as CodeTree repacks it: inputs and outputs for any language.
    Apps,
    /// verl: a conversation, and a ground truth with inputs and outputs, for Python.
    Verl,
}

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a data set format; use one of {}", DatasetKind::names())]
pub struct UnknownDataset {
    /// What was written.
    pub name: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl DatasetKind {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::Problems,
        Self::HumanEval,
        Self::HumanEvalX,
        Self::Mbpp,
        Self::CruxEval,
        Self::Agnostics,
        Self::Apps,
        Self::Verl,
    ];

    /// The name used in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Problems => "problems",
            Self::HumanEval => "humaneval",
            Self::HumanEvalX => "humaneval-x",
            Self::Mbpp => "mbpp",
            Self::CruxEval => "cruxeval",
            Self::Agnostics => "agnostics",
            Self::Apps => "apps",
            Self::Verl => "verl",
        }
    }

    /// The names of all formats, as a message lists them.
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// The format of a JSON file, by the columns of its first row; `None` if they fit none.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let row = first_row(bytes)?;
        Self::with_columns(|column| row.contains_key(column))
    }

    /// The format of a file that has these columns; `None` if they fit none.
    pub fn with_columns(has_column: impl Fn(&str) -> bool) -> Option<Self> {
        let has = |columns: &[&str]| columns.iter().all(|column| has_column(column));
        let shapes: [(Self, &[&str]); 12] = [
            (Self::HumanEval, &["task_id", "prompt", "entry_point", "canonical_solution", "test"]),
            (Self::HumanEvalX, &["task_id", "prompt", "declaration", "canonical_solution", "test"]),
            (Self::Mbpp, &["task_id", "code", "test_list"]),
            (Self::CruxEval, &["code", "input", "output"]),
            (Self::Agnostics, &["prompt", "test_cases"]),
            (Self::Agnostics, &["problem_statement", "examples"]),
            (Self::Agnostics, &["description", "tests"]),
            (Self::Problems, &["id", "cases"]),
            (Self::Problems, &["id", "test_code"]),
            (Self::Verl, &["data_source", "prompt", "reward_model"]),
            (Self::Apps, &["question", "input_output"]),
            (Self::Apps, &["description", "public_tests", "private_tests"]),
        ];
        shapes.into_iter().find(|(_, columns)| has(columns)).map(|(kind, _)| kind)
    }

    /// Reads a whole JSON file of this format, already decompressed. No two tasks have the same id, and every row can be
    /// judged by; [`DatasetReader`] tells rows that cannot apart from mistakes.
    pub fn read(self, bytes: &[u8]) -> Result<Vec<DatasetItem>, RowError> {
        let mut reader = DatasetReader::new(DatasetFormat::Kind(self));
        reader.push_json(bytes, usize::MAX)?;
        let Dataset { items, refused } = reader.finish();
        match refused.into_iter().next() {
            None => Ok(items),
            Some(RefusedRow { row, id, reason }) => Err(RowError::new(row, "", format!("`{id}`: {reason}"))),
        }
    }

    /// The columns that are read, where it is worth leaving out the others.
    pub(super) const fn columns(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Problems
            | Self::HumanEval
            | Self::HumanEvalX
            | Self::Mbpp
            | Self::CruxEval
            | Self::Agnostics => None,
            Self::Apps => Some(apps::COLUMNS),
            Self::Verl => Some(verl::COLUMNS),
        }
    }

    /// The task of one row.
    pub(super) fn item(self, number: usize, row: RawRow<'_>) -> Result<DatasetItem, RowTrouble> {
        let item = match self {
            Self::Problems => row.parse::<ProblemRow>(number)?.into_item(number),
            Self::HumanEval => row.parse::<humaneval::HumanEvalRow>(number)?.into_item(number),
            Self::HumanEvalX => return row.parse::<humaneval_x::HumanEvalXRow>(number)?.into_item(number),
            Self::Mbpp => row.parse::<mbpp::MbppRow>(number)?.into_item(number),
            Self::CruxEval => row.parse::<humaneval::CruxEvalRow>(number)?.into_item(number),
            Self::Agnostics => row.parse::<agnostics::AgnosticsRow>(number)?.into_item(number),
            Self::Apps => return row.parse::<apps::AppsRow>(number)?.into_item(number),
            Self::Verl => return row.parse::<verl::VerlRow>(number)?.into_item(number),
        };
        item.map_err(RowTrouble::Wrong)
    }
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
