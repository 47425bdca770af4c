//! From a file to tasks: JSON lines, a JSON array or Parquet, gzip or not, by a format or by the user's columns.
//!
//! Owns reading the file and telling what it is. Leaves what rows mean to `rollcage-api`. A JSON file is read whole;
//! of a Parquet file one page of each column is in memory at a time.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rollcage_api::{
    ColumnMapping, Dataset, DatasetFormat, DatasetItem, DatasetKind, DatasetReader, GzipError, RefusedRow,
    RowError, UnknownDataset, gunzip,
};

use super::parquet_rows::{MAGIC, ParquetRows, ParquetRowsError};

/// How a file of tasks is read.
#[derive(Clone, Debug, Default)]
pub struct DatasetOptions {
    /// The format's name; told from the columns unless given.
    pub format: Option<String>,
    /// What the columns mean, in place of a format.
    pub columns: Option<ColumnMapping>,
    /// What becomes of rows that no program can be judged by.
    pub unjudgeable: Unjudgeable,
    /// Tasks after which reading stops.
    pub limit: Option<NonZeroU32>,
}

/// What becomes of rows that no program can be judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unjudgeable {
    /// The file is refused: what is measured on the rest is another data set.
    #[default]
    Refuse,
    /// They are left out, and listed.
    Skip,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct LoadedDataset {
    /// Its tasks.
    pub items: Vec<DatasetItem>,
    /// The rows left out.
    pub refused: Vec<RefusedRow>,
    /// What the file hashes to, decompressed if it was gzip.
    pub hash: blake3::Hash,
}

/// Why a file gives no tasks.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is compressed, and damaged.
    #[error("cannot decompress `{}`", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: GzipError,
    },
    /// It is Parquet, and damaged or not supported.
    #[error("cannot read `{}` as Parquet", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ParquetRowsError,
    },
    /// Its columns fit no format we know.
    #[error("the columns of `{}` fit no data set format{}", path.display(), columns_text(columns))]
    UnknownColumns {
        /// The file.
        path: PathBuf,
        /// The columns, where they are known.
        columns: Vec<String>,
    },
    /// The format named is none.
    #[error(transparent)]
    Format(#[from] UnknownDataset),
    /// A row is wrong.
    #[error("`{}`", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Which row, and how.
        #[source]
        source: RowError,
    },
    /// Some rows cannot be judged by, or all of them.
    #[error("{} of {} rows of `{}` cannot be judged: {}", refused.len(), refused.len() + tasks, path.display(), first(refused))]
    Unjudgeable {
        /// The file.
        path: PathBuf,
        /// The rows, at least one.
        refused: Vec<RefusedRow>,
        /// How many rows can be judged.
        tasks: usize,
    },
}

/// Rows and columns named in a message.
const NAMED_MAX: usize = 3;
const COLUMNS_MAX: usize = 30;

impl DatasetError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownColumns { .. } => Some(format!(
                "name its format ({}) or say what its columns mean, as in \
                 `id=task,prompt=question,cases.stdin=inputs,cases.expected=outputs`",
                DatasetKind::names()
            )),
            Self::Format(error) => error.hint.clone(),
            Self::Row { source, .. } => source.hint.clone(),
            Self::Unjudgeable { tasks: 0, .. } => None,
            Self::Unjudgeable { .. } => Some(
                "`--skip-unjudgeable`, or `skip_unjudgeable: true` in a run file, leaves them out".to_owned(),
            ),
            Self::Read { .. } | Self::Gzip { .. } | Self::Parquet { .. } => None,
        }
    }
}

/// Why reading rows stopped.
enum RowsError {
    Parquet(ParquetRowsError),
    Row(RowError),
}

impl From<ParquetRowsError> for RowsError {
    fn from(error: ParquetRowsError) -> Self {
        Self::Parquet(error)
    }
}

/// Reads a file of tasks.
pub fn load_dataset(path: &Path, options: &DatasetOptions) -> Result<LoadedDataset, DatasetError> {
    let unreadable = |source| DatasetError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut start = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let (dataset, hash) = if start == MAGIC {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(unreadable)?;
        (read_parquet(path, file, options)?, hasher.finalize())
    } else {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        read_json(path, &bytes, options)?
    };
    let Dataset { items, refused } = dataset;
    let is_refused = match options.unjudgeable {
        Unjudgeable::Refuse => !refused.is_empty(),
        Unjudgeable::Skip => !refused.is_empty() && items.is_empty(),
    };
    if is_refused {
        return Err(DatasetError::Unjudgeable { path: path.to_owned(), refused, tasks: items.len() });
    }
    Ok(LoadedDataset { items, refused, hash })
}

fn read_json(
    path: &Path,
    bytes: &[u8],
    options: &DatasetOptions,
) -> Result<(Dataset, blake3::Hash), DatasetError> {
    let plain = gunzip(bytes).map_err(|source| DatasetError::Gzip { path: path.to_owned(), source })?;
    let format = match named_format(options)? {
        Some(format) => format,
        None => DatasetKind::detect(&plain)
            .map(DatasetFormat::Kind)
            .ok_or_else(|| DatasetError::UnknownColumns { path: path.to_owned(), columns: Vec::new() })?,
    };
    let mut reader = DatasetReader::new(format);
    reader
        .push_json(&plain, tasks_max(options))
        .map_err(|source| DatasetError::Row { path: path.to_owned(), source })?;
    Ok((reader.finish(), blake3::hash(&plain)))
}

fn read_parquet(path: &Path, file: File, options: &DatasetOptions) -> Result<Dataset, DatasetError> {
    let parquet = |source| DatasetError::Parquet { path: path.to_owned(), source };
    let rows = ParquetRows::open(file).map_err(parquet)?;
    let columns = rows.columns();
    let format = match named_format(options)? {
        Some(format) => format,
        None => DatasetKind::with_columns(|column| columns.contains(&column))
            .map(DatasetFormat::Kind)
            .ok_or_else(|| DatasetError::UnknownColumns {
                path: path.to_owned(),
                columns: columns.iter().map(|&column| column.to_owned()).collect(),
            })?,
    };
    let mut reader = DatasetReader::new(format.clone());
    let wanted = format.columns();
    // A column that is not there must be told beside those that are, so its row is read with all of them.
    let wanted = wanted.filter(|wanted| match &format {
        DatasetFormat::Kind(_) => true,
        DatasetFormat::Columns(_) => wanted.iter().all(|column| columns.contains(column)),
    });
    let taken = rows.for_each(wanted.as_deref(), |number, row| {
        reader.push(number, row).map_err(RowsError::Row)?;
        let is_full = reader.tasks() >= tasks_max(options);
        Ok(if is_full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    match taken {
        Ok(()) => Ok(reader.finish()),
        Err(RowsError::Parquet(source)) => Err(parquet(source)),
        Err(RowsError::Row(source)) => Err(DatasetError::Row { path: path.to_owned(), source }),
    }
}

fn named_format(options: &DatasetOptions) -> Result<Option<DatasetFormat>, UnknownDataset> {
    match (&options.columns, &options.format) {
        (Some(mapping), _) => Ok(Some(DatasetFormat::Columns(mapping.clone()))),
        (None, Some(name)) => name.parse().map(|kind| Some(DatasetFormat::Kind(kind))),
        (None, None) => Ok(None),
    }
}

fn tasks_max(options: &DatasetOptions) -> usize {
    options.limit.map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX))
}

fn columns_text(columns: &[String]) -> String {
    let names: Vec<&str> = columns.iter().take(COLUMNS_MAX).map(String::as_str).collect();
    if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) }
}

fn first(refused: &[RefusedRow]) -> String {
    let named: Vec<String> = refused.iter().take(NAMED_MAX).map(RefusedRow::to_string).collect();
    let more = if refused.len() > named.len() { "; …" } else { "" };
    format!("{}{more}", named.join("; "))
}
