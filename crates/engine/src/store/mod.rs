//! The store: one SQLite file from which every finished turn is recoverable.
//!
//! Owns the file, its schema and its durability. Leaves what a record looks like to `rollcage-api` and what to do
//! with an unfinished trajectory to the drivers.
//!
//! One thread owns the only connection that writes. Requests reach it through a bounded channel; it commits all
//! that are waiting in one transaction and only then acknowledges each, so an acknowledged write survives
//! `kill -9` of the process, and with [`SyncMode::Full`] the loss of power. A lock beside the file keeps a second
//! process from writing. Every write names its key, and writing the same record twice changes nothing, so a
//! driver that does not know whether its last write arrived may simply repeat it.

mod database_failure;
mod error;
mod export;
mod export_columns;
mod handle;
mod lock;
mod open_files;
mod operations;
mod parquet_table;
mod reader;
mod schema;
mod writer;

pub use database_failure::DatabaseFailure;
pub use error::StoreError;
pub use export::{ExportError, ExportFormat, ExportSummary, ExportTable, export};
pub use handle::{Store, SyncMode};
pub use reader::{ResumeState, StoreReader, UnfinishedTrajectory};
