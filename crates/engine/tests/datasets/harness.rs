//! Files to read, and how they are read.

use std::path::{Path, PathBuf};

use rollcage_engine::drive::{DatasetError, DatasetOptions, LoadedDataset, Unjudgeable, load_dataset};

/// A file of five verl rows that `verl.py` wrote; the fourth and fifth cannot be judged.
pub(crate) fn fixture(codec: &str) -> PathBuf {
    let name = format!("tests/datasets/verl.{codec}.parquet");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Reads a file by these columns.
pub(crate) fn by_columns(path: &Path, columns: &str) -> Result<LoadedDataset, DatasetError> {
    let options = DatasetOptions { columns: Some(columns.parse().unwrap()), ..DatasetOptions::default() };
    load_dataset(path, &options)
}

/// Reads a file by its format, without rows that cannot be judged.
pub(crate) fn judgeable(path: &Path) -> Result<LoadedDataset, DatasetError> {
    load_dataset(path, &DatasetOptions { unjudgeable: Unjudgeable::Skip, ..DatasetOptions::default() })
}

/// The error with its causes, as commands print it.
pub(crate) fn chain(error: &DatasetError) -> String {
    rollcage_engine::drive::error_chain(error)
}
