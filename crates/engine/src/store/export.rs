//! Exports of a run as JSON lines and Parquet.
//!
//! One row is one record. JSON lines hold the record itself; Parquet holds the columns people filter by, and the
//! whole record as JSON in the column `record`. A file appears under its name only when it is complete.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::export_columns::Row;
use super::parquet_table::TableWriter;
use super::reader::StoreReader;

/// What an exported row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportTable {
    /// A trajectory.
    Trajectories,
    /// A turn.
    Turns,
    /// A judgement.
    Judgements,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object per line.
    Jsonl,
    /// Parquet, compressed with zstd.
    Parquet,
}

/// What an export wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportSummary {
    /// Rows in the file.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// Why an export was not written. No file is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store could not be read.
    #[error("cannot read what is to be exported")]
    Store(#[from] StoreError),
    /// The file could not be written.
    #[error("cannot write export `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The Parquet encoder failed.
    #[error("cannot encode export `{}` as Parquet", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: parquet::errors::ParquetError,
    },
}

/// Writes one table of a run to `path`, replacing what is there only once the new file is safe.
pub fn export(
    reader: &StoreReader,
    run_id: &str,
    table: ExportTable,
    format: ExportFormat,
    path: &Path,
) -> Result<ExportSummary, ExportError> {
    match table {
        ExportTable::Trajectories => {
            write_table(path, format, |visit| reader.visit_trajectories(run_id, visit))
        }
        ExportTable::Turns => write_table(path, format, |visit| reader.visit_turns(run_id, visit)),
        ExportTable::Judgements => write_table(path, format, |visit| reader.visit_judgements(run_id, visit)),
    }
}

fn write_table<R: Row>(
    path: &Path,
    format: ExportFormat,
    rows: impl FnOnce(&mut dyn FnMut(R) -> Result<(), ExportError>) -> Result<(), ExportError>,
) -> Result<ExportSummary, ExportError> {
    let failed = |source| ExportError::Write { path: path.to_owned(), source };
    let encode_failed = |source| ExportError::Parquet { path: path.to_owned(), source };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Beside the target, because a rename is atomic only within a file system.
    let mut temporary = tempfile::Builder::new()
        .prefix(".export-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(failed)?;
    let mut count = 0_u64;
    match format {
        ExportFormat::Jsonl => {
            let mut out = BufWriter::new(temporary.as_file_mut());
            rows(&mut |row| {
                count += 1;
                serde_json::to_writer(&mut out, &row).map_err(|error| failed(error.into()))?;
                out.write_all(b"\n").map_err(failed)
            })?;
            out.flush().map_err(failed)?;
        }
        ExportFormat::Parquet => {
            let out = BufWriter::new(temporary.as_file_mut());
            let mut table = TableWriter::new(out, R::NAME, R::COLUMNS).map_err(encode_failed)?;
            rows(&mut |row| {
                count += 1;
                table.push(row.cells()).map_err(encode_failed)
            })?;
            table.finish().map_err(encode_failed)?;
        }
    }
    // First the contents, then the name, then the directory that holds the name.
    temporary.as_file().sync_all().map_err(failed)?;
    let file = temporary.persist(path).map_err(|error| failed(error.error))?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok(ExportSummary { rows: count, bytes })
}
