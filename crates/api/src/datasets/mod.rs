//! Readers of data sets: bytes in, tasks out.
//!
//! Owns which columns of each published format mean what. Leaves finding and fetching files to the edges.
//! Columns of published formats that we do not use are ignored; native rows refuse what they do not know.

mod agnostics;
mod apps;
mod cases;
mod columns;
mod columns_apply;
mod go_imports;
mod gzip;
mod humaneval;
mod humaneval_x;
mod intercode;
mod kind;
mod mbpp;
mod python;
mod python_calls;
mod reader;
mod verl;

use rollcage_rollout::Task;
use serde_json::{Map, Value};

pub use columns::{ColumnMapping, ColumnsError};
pub use gzip::{GzipError, gunzip};
pub use intercode::{
    InterCodeEpisode, InterCodeTask, InterCodeTurn, read_intercode_episodes, read_intercode_tasks,
};
pub use kind::{DatasetKind, UnknownDataset};
pub use reader::{Dataset, DatasetFormat, DatasetReader, RefusedRow};

/// One task of a data set, and what is known about its solutions.
#[derive(Clone, Debug)]
pub struct DatasetItem {
    /// What is asked, and how an answer is judged.
    pub task: Task,
    /// A solution the authors say is right, in the form a policy's answer has.
    pub canonical_solution: Option<String>,
    /// A solution that must fail: a test that accepts it tests nothing.
    pub stub_solution: String,
    /// What the author kept with the task.
    pub meta: Map<String, Value>,
}

pub(crate) use python::call_check;
