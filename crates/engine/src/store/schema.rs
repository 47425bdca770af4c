//! The tables, and how a file is recognised, created and brought up to date.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::StoreError;

/// Marks the file as ours in its header: "RCGE".
const APPLICATION_ID: i64 = 0x5243_4745;

/// How long to wait for a lock that another connection holds, such as a `sqlite3` shell in the middle of a
/// write; longer than any checkpoint takes, shorter than a person's patience.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Step `n` brings a store from version `n` to version `n + 1`. Steps are never edited, only added.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE fingerprints (
    id     TEXT PRIMARY KEY NOT NULL,
    record TEXT NOT NULL
) STRICT;
CREATE TABLE runs (
    id             TEXT PRIMARY KEY NOT NULL,
    fingerprint_id TEXT NOT NULL REFERENCES fingerprints (id),
    record         TEXT NOT NULL
) STRICT;
CREATE TABLE trajectories (
    id           TEXT PRIMARY KEY NOT NULL,
    run_id       TEXT NOT NULL REFERENCES runs (id),
    task_id      TEXT NOT NULL,
    sample_index INTEGER NOT NULL,
    record       TEXT NOT NULL,
    UNIQUE (run_id, task_id, sample_index)
) STRICT;
CREATE TABLE turns (
    trajectory_id TEXT NOT NULL REFERENCES trajectories (id),
    turn_index    INTEGER NOT NULL,
    record        TEXT NOT NULL,
    PRIMARY KEY (trajectory_id, turn_index)
) STRICT;
CREATE TABLE judgements (
    run_id         TEXT NOT NULL REFERENCES runs (id),
    problem_id     TEXT NOT NULL,
    sample_index   INTEGER NOT NULL,
    fingerprint_id TEXT NOT NULL REFERENCES fingerprints (id),
    record         TEXT NOT NULL,
    PRIMARY KEY (run_id, problem_id, sample_index)
) STRICT;
"];

#[expect(clippy::cast_possible_truncation, reason = "the steps are counted by hand")]
const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Opens the connection that writes, creating the file or bringing it up to date.
pub(super) fn open_writer(path: &Path, synchronous: &'static str) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let failed = |source| StoreError::from_database(path, source);
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    // A stranger's file must be recognised before anything in it is changed.
    let version = recognise(&connection, path)?;
    let mode = switch_to_write_ahead_log(&connection).map_err(failed)?;
    if mode != "wal" {
        return Err(StoreError::NoWriteAheadLog { path: path.to_owned(), mode });
    }
    connection.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    migrate(&mut connection, version).map_err(failed)?;
    Ok(connection)
}

/// Opens a connection that reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |source| StoreError::from_database(path, source);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    if recognise(&connection, path)? == 0 {
        return Err(StoreError::NotAStore { path: path.to_owned() });
    }
    Ok(connection)
}

/// The schema version of the file; 0 for an empty one.
fn recognise(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    let failed = |source| StoreError::from_database(path, source);
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let application_id = number("application_id").map_err(failed)?;
    let version = number("user_version").map_err(failed)?;
    if (application_id, version, tables) == (0, 0, 0) {
        return Ok(0);
    }
    let version = u32::try_from(version).ok().filter(|version| *version > 0);
    match version {
        Some(found) if application_id == APPLICATION_ID && found > SCHEMA_VERSION => {
            Err(StoreError::NewerSchema { path: path.to_owned(), found, known: SCHEMA_VERSION })
        }
        Some(version) if application_id == APPLICATION_ID => Ok(version),
        Some(_) | None => Err(StoreError::NotAStore { path: path.to_owned() }),
    }
}

/// The journal's mode after the attempt.
fn switch_to_write_ahead_log(connection: &Connection) -> rusqlite::Result<String> {
    // The mode is told before it is written to the file; only the end of the statement tells whether that went well.
    let mut statement = connection.prepare("PRAGMA journal_mode = wal")?;
    let modes: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    modes.into_iter().next().ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// Applies the steps a store lacks, all or none.
fn migrate(connection: &mut Connection, version: u32) -> rusqlite::Result<()> {
    let steps = MIGRATIONS.iter().skip(version as usize);
    if steps.len() == 0 {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}
