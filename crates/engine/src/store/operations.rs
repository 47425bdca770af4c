//! What each write does to the tables.
//!
//! Every operation looks first and then executes at most one statement that changes something, so a refused
//! operation leaves the transaction it shares with others untouched.

use std::path::Path;

use rollcage_api::{
    JudgementRecord, Record, RunRecord, RunStatus, TrajectoryRecord, TrajectoryStatus, TurnRecord,
    decode_record, encode_record,
};
use rusqlite::{Connection, OptionalExtension as _, Params};

use super::error::StoreError;

/// One write, its records already encoded by the sender.
#[derive(Debug)]
pub(super) enum Write {
    /// See [`super::Store::put_fingerprint`].
    PutFingerprint { id: String, text: String },
    /// See [`super::Store::create_run`].
    CreateRun { id: String, fingerprint_id: String, text: String },
    /// See [`super::Store::finish_run`] and [`super::Store::reopen_run`].
    SetRunStatus { id: String, status: RunStatus },
    /// What opening a store does to runs whose process is gone.
    InterruptRunning,
    /// See [`super::Store::begin_trajectory`].
    BeginTrajectory { id: String, run_id: String, task_id: String, sample_index: u32, text: String },
    /// See [`super::Store::append_turn`].
    AppendTurn { trajectory_id: String, index: u32, text: String },
    /// See [`super::Store::finish_trajectory`].
    FinishTrajectory { id: String, text: String },
    /// See [`super::Store::put_judgement`].
    PutJudgement {
        run_id: String,
        problem_id: String,
        sample_index: u32,
        fingerprint_id: String,
        text: String,
    },
}

/// Performs one write inside the caller's transaction.
pub(super) fn apply(connection: &Connection, path: &Path, write: &Write) -> Result<(), StoreError> {
    let tables = Tables { connection, path };
    match write {
        Write::PutFingerprint { id, text } => tables.put_fingerprint(id, text),
        Write::CreateRun { id, fingerprint_id, text } => tables.create_run(id, fingerprint_id, text),
        Write::SetRunStatus { id, status } => tables.set_run_status(id, *status),
        Write::InterruptRunning => tables.interrupt_running(),
        Write::BeginTrajectory { id, run_id, task_id, sample_index, text } => {
            tables.begin_trajectory(id, (run_id, task_id, *sample_index), text)
        }
        Write::AppendTurn { trajectory_id, index, text } => tables.append_turn(trajectory_id, *index, text),
        Write::FinishTrajectory { id, text } => tables.finish_trajectory(id, text),
        Write::PutJudgement { run_id, problem_id, sample_index, fingerprint_id, text } => {
            tables.put_judgement((run_id, problem_id, *sample_index), fingerprint_id, text)
        }
    }
}

struct Tables<'a> {
    connection: &'a Connection,
    path: &'a Path,
}

impl Tables<'_> {
    fn put_fingerprint(&self, id: &str, text: &str) -> Result<(), StoreError> {
        // The id is the hash of the text, so a row that is there holds the same.
        self.execute("INSERT OR IGNORE INTO fingerprints (id, record) VALUES (?1, ?2)", (id, text))
    }

    fn create_run(&self, id: &str, fingerprint_id: &str, text: &str) -> Result<(), StoreError> {
        let what = || format!("run `{id}`");
        if let Some(stored) = self.run_text(id)? {
            let stored: RunRecord = self.decode(&stored, what)?;
            let created: RunRecord = self.decode(text, what)?;
            // How far it has come since does not make it another run.
            return if (RunRecord { status: created.status, ..stored }) == created {
                Ok(())
            } else {
                Err(StoreError::Conflict { what: what() })
            };
        }
        self.require_fingerprint(fingerprint_id)?;
        self.execute(
            "INSERT INTO runs (id, fingerprint_id, record) VALUES (?1, ?2, ?3)",
            (id, fingerprint_id, text),
        )
    }

    fn set_run_status(&self, id: &str, status: RunStatus) -> Result<(), StoreError> {
        let what = || format!("run `{id}`");
        let text = self.run_text(id)?.ok_or_else(|| StoreError::Unknown { what: what() })?;
        let mut run: RunRecord = self.decode(&text, what)?;
        if run.status == status {
            return Ok(());
        }
        run.status = status;
        let text = encode_record(&run).map_err(|source| StoreError::Unstorable { what: what(), source })?;
        self.execute("UPDATE runs SET record = ?2 WHERE id = ?1", (id, text))
    }

    fn interrupt_running(&self) -> Result<(), StoreError> {
        let failed = |source| StoreError::from_database(self.path, source);
        let mut statement = self.connection.prepare("SELECT id, record FROM runs").map_err(failed)?;
        let rows: Vec<(String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(failed)?;
        for (id, text) in rows {
            let run: RunRecord = self.decode(&text, || format!("run `{id}`"))?;
            match run.status {
                RunStatus::Running => self.set_run_status(&id, RunStatus::Interrupted)?,
                RunStatus::Finished | RunStatus::Interrupted => {}
            }
        }
        Ok(())
    }

    fn begin_trajectory(&self, id: &str, key: (&str, &str, u32), text: &str) -> Result<(), StoreError> {
        let (run_id, task_id, sample_index) = key;
        let what = || format!("sample {sample_index} of task `{task_id}` in run `{run_id}`");
        let by_key = self.text(
            "SELECT record FROM trajectories WHERE run_id = ?1 AND task_id = ?2 AND sample_index = ?3",
            key,
        )?;
        let stored = match by_key {
            Some(stored) => Some(stored),
            None => self.trajectory_text(id)?,
        };
        if let Some(stored) = stored {
            let stored: TrajectoryRecord = self.decode(&stored, what)?;
            let begun: TrajectoryRecord = self.decode(text, what)?;
            // How far it has come since does not make it another trajectory.
            return if as_begun(stored) == as_begun(begun) {
                Ok(())
            } else {
                Err(StoreError::Conflict { what: what() })
            };
        }
        if self.run_text(run_id)?.is_none() {
            return Err(StoreError::Unknown { what: format!("run `{run_id}`") });
        }
        self.execute(
            "INSERT INTO trajectories (id, run_id, task_id, sample_index, record) VALUES (?1, ?2, ?3, ?4, ?5)",
            (id, run_id, task_id, sample_index, text),
        )
    }

    fn append_turn(&self, trajectory_id: &str, index: u32, text: &str) -> Result<(), StoreError> {
        let what = || format!("turn {index} of trajectory `{trajectory_id}`");
        let stored = self.text(
            "SELECT record FROM turns WHERE trajectory_id = ?1 AND turn_index = ?2",
            (trajectory_id, index),
        )?;
        if let Some(stored) = stored {
            let stored: TurnRecord = self.decode(&stored, what)?;
            let new: TurnRecord = self.decode(text, what)?;
            return if stored == new { Ok(()) } else { Err(StoreError::Conflict { what: what() }) };
        }
        let trajectory = self.trajectory(trajectory_id)?;
        match trajectory.status {
            TrajectoryStatus::Running => {}
            TrajectoryStatus::Finished => {
                return Err(StoreError::TrajectoryFinished {
                    trajectory_id: trajectory_id.to_owned(),
                    index,
                });
            }
        }
        let turns_stored: u32 = self
            .connection
            .prepare_cached("SELECT coalesce(max(turn_index) + 1, 0) FROM turns WHERE trajectory_id = ?1")
            .and_then(|mut statement| statement.query_row([trajectory_id], |row| row.get(0)))
            .map_err(|source| StoreError::from_database(self.path, source))?;
        if index != turns_stored {
            let trajectory_id = trajectory_id.to_owned();
            return Err(StoreError::TurnGap { trajectory_id, index, stored: turns_stored });
        }
        self.execute(
            "INSERT INTO turns (trajectory_id, turn_index, record) VALUES (?1, ?2, ?3)",
            (trajectory_id, index, text),
        )
    }

    fn finish_trajectory(&self, id: &str, text: &str) -> Result<(), StoreError> {
        let what = || format!("trajectory `{id}`");
        let stored = self.trajectory(id)?;
        let finished: TrajectoryRecord = self.decode(text, what)?;
        match stored.status {
            TrajectoryStatus::Finished if stored == finished => return Ok(()),
            TrajectoryStatus::Running if as_begun(stored.clone()) == as_begun(finished) => {}
            TrajectoryStatus::Finished | TrajectoryStatus::Running => {
                return Err(StoreError::Conflict { what: what() });
            }
        }
        self.execute("UPDATE trajectories SET record = ?2 WHERE id = ?1", (id, text))
    }

    fn put_judgement(
        &self,
        key: (&str, &str, u32),
        fingerprint_id: &str,
        text: &str,
    ) -> Result<(), StoreError> {
        let (run_id, problem_id, sample_index) = key;
        let what = || format!("judgement of sample {sample_index} of `{problem_id}` in run `{run_id}`");
        let stored = self.text(
            "SELECT record FROM judgements WHERE run_id = ?1 AND problem_id = ?2 AND sample_index = ?3",
            key,
        )?;
        if let Some(stored) = stored {
            let stored: JudgementRecord = self.decode(&stored, what)?;
            // What failed for reasons of ours is judged again when the run is resumed.
            if !stored.is_retryable() {
                let new: JudgementRecord = self.decode(text, what)?;
                return if stored == new { Ok(()) } else { Err(StoreError::Conflict { what: what() }) };
            }
        } else if self.run_text(run_id)?.is_none() {
            return Err(StoreError::Unknown { what: format!("run `{run_id}`") });
        }
        self.require_fingerprint(fingerprint_id)?;
        self.execute(
            "INSERT OR REPLACE INTO judgements (run_id, problem_id, sample_index, fingerprint_id, record)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (run_id, problem_id, sample_index, fingerprint_id, text),
        )
    }

    fn trajectory(&self, id: &str) -> Result<TrajectoryRecord, StoreError> {
        let what = || format!("trajectory `{id}`");
        let text = self.trajectory_text(id)?.ok_or_else(|| StoreError::Unknown { what: what() })?;
        self.decode(&text, what)
    }

    fn trajectory_text(&self, id: &str) -> Result<Option<String>, StoreError> {
        self.text("SELECT record FROM trajectories WHERE id = ?1", [id])
    }

    fn run_text(&self, id: &str) -> Result<Option<String>, StoreError> {
        self.text("SELECT record FROM runs WHERE id = ?1", [id])
    }

    fn require_fingerprint(&self, id: &str) -> Result<(), StoreError> {
        match self.text("SELECT record FROM fingerprints WHERE id = ?1", [id])? {
            Some(_) => Ok(()),
            None => Err(StoreError::Unknown { what: format!("fingerprint `{id}`") }),
        }
    }

    fn decode<R: Record>(&self, text: &str, what: impl Fn() -> String) -> Result<R, StoreError> {
        decode_record(text).map_err(|source| StoreError::Unreadable {
            what: what(),
            path: self.path.to_owned(),
            source,
        })
    }

    fn text(&self, sql: &str, key: impl Params) -> Result<Option<String>, StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(key, |row| row.get(0)).optional())
            .map_err(|source| StoreError::from_database(self.path, source))
    }

    fn execute(&self, sql: &str, values: impl Params) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map(|_rows| ())
            .map_err(|source| StoreError::from_database(self.path, source))
    }
}

/// The record as it was when the trajectory began: what identifies it, without what became of it.
fn as_begun(mut record: TrajectoryRecord) -> TrajectoryRecord {
    record.status = TrajectoryStatus::Running;
    record.stop_reason = None;
    record.failure = None;
    record.reward = None;
    record.reward_parts.clear();
    record.judgement = None;
    // A policy may choose the language along the way.
    record.language = None;
    record
}
