//! Reading a store: lists, single runs, and what is needed to resume one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rollcage_api::{
    FingerprintRecord, JudgementRecord, Record, RunRecord, TrajectoryRecord, TrajectoryStatus, TurnRecord,
    decode_record,
};
use rusqlite::{Connection, Params, Row};

use super::error::StoreError;
use super::schema;

const TRAJECTORIES: &str = "SELECT 'trajectory `' || id || '`', record FROM trajectories WHERE run_id = ?1 ORDER BY task_id, sample_index";
const TURNS: &str = "SELECT 'turn ' || turn_index || ' of trajectory `' || trajectory_id || '`', record
     FROM turns WHERE trajectory_id = ?1 ORDER BY turn_index";
const RUN_TURNS: &str =
    "SELECT 'turn ' || turn_index || ' of trajectory `' || trajectory_id || '`', turns.record
     FROM turns JOIN trajectories ON trajectories.id = trajectory_id
     WHERE run_id = ?1 ORDER BY task_id, sample_index, turn_index";
const TURN_COUNTS: &str =
    "SELECT trajectory_id, count(*) FROM turns JOIN trajectories ON trajectories.id = trajectory_id
     WHERE run_id = ?1 GROUP BY trajectory_id";
const JUDGEMENTS: &str =
    "SELECT 'judgement of sample ' || sample_index || ' of `' || problem_id || '`', record
     FROM judgements WHERE run_id = ?1 ORDER BY problem_id, sample_index";

/// A connection that only reads. Its calls block, and lists are ordered by key, never by time of arrival.
#[derive(Debug)]
pub struct StoreReader {
    connection: Connection,
    path: PathBuf,
}

/// A trajectory that was cut off, with the turns that are safe.
#[derive(Clone, Debug, PartialEq)]
pub struct UnfinishedTrajectory {
    /// The trajectory.
    pub trajectory: TrajectoryRecord,
    /// Its turns, from 0 without gaps.
    pub turns: Vec<TurnRecord>,
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResumeState {
    /// Trajectories that need nothing more.
    pub finished: Vec<TrajectoryRecord>,
    /// Trajectories to go on with.
    pub unfinished: Vec<UnfinishedTrajectory>,
}

impl StoreReader {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: schema::open_reader(path)?, path: path.to_owned() })
    }

    /// All runs, oldest first.
    pub fn runs(&self) -> Result<Vec<RunRecord>, StoreError> {
        self.list("SELECT 'run `' || id || '`', record FROM runs ORDER BY id", [])
    }

    /// The run with this id, or the only one whose id starts with it.
    pub fn run(&self, id_or_prefix: &str) -> Result<RunRecord, StoreError> {
        let mut runs: Vec<RunRecord> = self.list(
            "SELECT 'run `' || id || '`', record FROM runs
             WHERE ?1 <> '' AND substr(id, 1, length(?1)) = ?1 ORDER BY id",
            [id_or_prefix],
        )?;
        if let Some(exact) = runs.iter().position(|run| run.id == id_or_prefix) {
            return Ok(runs.swap_remove(exact));
        }
        match (runs.pop(), runs.is_empty()) {
            (Some(run), true) => Ok(run),
            (Some(last), false) => {
                let ids = runs.into_iter().chain([last]).map(|run| run.id).collect();
                Err(StoreError::AmbiguousRun { prefix: id_or_prefix.to_owned(), ids })
            }
            (None, _) => Err(StoreError::Unknown { what: format!("run `{id_or_prefix}`") }),
        }
    }

    /// The environment with this id.
    pub fn fingerprint(&self, id: &str) -> Result<FingerprintRecord, StoreError> {
        self.list("SELECT 'fingerprint `' || id || '`', record FROM fingerprints WHERE id = ?1", [id])?
            .pop()
            .ok_or_else(|| StoreError::Unknown { what: format!("fingerprint `{id}`") })
    }

    /// The trajectories of a run, by task and sample.
    pub fn trajectories(&self, run_id: &str) -> Result<Vec<TrajectoryRecord>, StoreError> {
        self.list(TRAJECTORIES, [run_id])
    }

    /// The turns of a trajectory, in order.
    pub fn turns(&self, trajectory_id: &str) -> Result<Vec<TurnRecord>, StoreError> {
        self.list(TURNS, [trajectory_id])
    }

    /// How many turns each trajectory of a run has, by the trajectory's id; those without turns are not in it.
    pub fn turn_counts(&self, run_id: &str) -> Result<BTreeMap<String, u32>, StoreError> {
        let failed = |source| self.failed(source);
        let mut statement = self.connection.prepare(TURN_COUNTS).map_err(failed)?;
        let counts = statement.query_map([run_id], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
        counts.collect::<Result<_, _>>().map_err(failed)
    }

    /// The judgements of a run, by problem and sample.
    pub fn judgements(&self, run_id: &str) -> Result<Vec<JudgementRecord>, StoreError> {
        self.list(JUDGEMENTS, [run_id])
    }

    /// What a resumed run starts from, as of one moment.
    pub fn resume_state(&self, run_id: &str) -> Result<ResumeState, StoreError> {
        // Without a transaction a turn written between two queries would belong to neither.
        let _moment = self.connection.unchecked_transaction().map_err(|source| self.failed(source))?;
        let mut state = ResumeState::default();
        for trajectory in self.trajectories(run_id)? {
            match trajectory.status {
                TrajectoryStatus::Finished => state.finished.push(trajectory),
                TrajectoryStatus::Running => {
                    let turns = self.turns(&trajectory.id)?;
                    state.unfinished.push(UnfinishedTrajectory { trajectory, turns });
                }
            }
        }
        Ok(state)
    }

    /// Everything that is wrong with the file, in words; nothing when it is sound.
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        let failed = |source| self.failed(source);
        let mut problems = Vec::new();
        let mut pages = self.connection.prepare("PRAGMA integrity_check").map_err(failed)?;
        for line in pages.query_map([], |row| row.get::<_, String>(0)).map_err(failed)? {
            let line = line.map_err(failed)?;
            if line != "ok" {
                problems.push(line);
            }
        }
        let mut references = self.connection.prepare("PRAGMA foreign_key_check").map_err(failed)?;
        for line in references.query_map([], describe_reference).map_err(failed)? {
            problems.push(line.map_err(failed)?);
        }
        let mut gaps = self
            .connection
            .prepare("SELECT trajectory_id FROM turns GROUP BY 1 HAVING max(turn_index) + 1 <> count(*)")
            .map_err(failed)?;
        for id in gaps.query_map([], |row| row.get::<_, String>(0)).map_err(failed)? {
            problems.push(format!("trajectory `{}` lacks a turn", id.map_err(failed)?));
        }
        self.check_records::<RunRecord>("runs", &mut problems)?;
        self.check_records::<FingerprintRecord>("fingerprints", &mut problems)?;
        self.check_records::<TrajectoryRecord>("trajectories", &mut problems)?;
        self.check_records::<TurnRecord>("turns", &mut problems)?;
        self.check_records::<JudgementRecord>("judgements", &mut problems)?;
        Ok(problems)
    }

    /// Calls `visit` with each trajectory of a run, one at a time.
    pub(crate) fn visit_trajectories<E: From<StoreError>>(
        &self,
        run_id: &str,
        visit: impl FnMut(TrajectoryRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit(TRAJECTORIES, [run_id], visit)
    }

    /// Calls `visit` with each turn of a run, one at a time.
    pub(crate) fn visit_turns<E: From<StoreError>>(
        &self,
        run_id: &str,
        visit: impl FnMut(TurnRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit(RUN_TURNS, [run_id], visit)
    }

    /// Calls `visit` with each judgement of a run, one at a time.
    pub(crate) fn visit_judgements<E: From<StoreError>>(
        &self,
        run_id: &str,
        visit: impl FnMut(JudgementRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit(JUDGEMENTS, [run_id], visit)
    }

    fn list<R: Record>(&self, sql: &str, key: impl Params) -> Result<Vec<R>, StoreError> {
        let mut records = Vec::new();
        self.visit(sql, key, |record| {
            records.push(record);
            Ok::<(), StoreError>(())
        })?;
        Ok(records)
    }

    /// Runs a query that yields what a record is called and its text.
    fn visit<R: Record, E: From<StoreError>>(
        &self,
        sql: &str,
        key: impl Params,
        mut visit: impl FnMut(R) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |source| self.failed(source);
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query(key).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let text = row.get_ref(1).and_then(|value| Ok(value.as_str()?)).map_err(failed)?;
            let record = decode_record(text).map_err(|source| StoreError::Unreadable {
                what: row.get(0).unwrap_or_else(|_error| "a record".to_owned()),
                path: self.path.clone(),
                source,
            })?;
            visit(record)?;
        }
        Ok(())
    }

    fn check_records<R: Record>(&self, table: &str, problems: &mut Vec<String>) -> Result<(), StoreError> {
        let failed = |source| self.failed(source);
        let mut statement =
            self.connection.prepare(&format!("SELECT rowid, record FROM {table}")).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let rowid: i64 = row.get(0).map_err(failed)?;
            let text = row.get_ref(1).and_then(|value| Ok(value.as_str()?)).map_err(failed)?;
            if let Err(error) = decode_record::<R>(text) {
                problems.push(format!("row {rowid} of {table}: {error}"));
            }
        }
        Ok(())
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::from_database(&self.path, source)
    }
}

fn describe_reference(row: &Row<'_>) -> rusqlite::Result<String> {
    let (table, rowid, parent): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(format!("row {rowid} of {table} refers to a missing row of {parent}"))
}
