//! A tiny run that is the same every time, the command that makes it, and what its store must hold afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rollcage_api::{RunStatus, TrajectoryRecord, TrajectoryStatus, TurnRecord};
use rollcage_engine::store::{Store, StoreReader};
use serde_json::json;
use tempfile::TempDir;

use crate::traces;

/// One at a time and in order, so that a run makes the same writes each time.
const RUN: &str = "\
tasks: {path: tasks.jsonl}
environment: {language: python}
policy: {recorded: recorded.jsonl}
group: {size: 2}
budget: {turns: 4, concurrency: 1}
seed: 3
";
const TASKS: usize = 2;
const SAMPLES: usize = 2;
/// Turns of each conversation, the answer's included.
const TURNS: usize = 3;

/// The command line of the run, but for its store.
const ROLLOUT: [&str; 2] = ["rollout", "run.yaml"];

/// A conversation without what is never the same twice: ids, times and what programs used.
pub(crate) type Conversation = (TrajectoryRecord, Vec<TurnRecord>);

/// The run file and its data, a store beside them, and the machine to itself: one command runs at a time in this
/// process, so that what is left behind is known to be its.
pub(crate) struct Place {
    directory: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// A command that has ended, by itself or not.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

impl Place {
    /// `None` where cages cannot be made; says what is missing.
    pub(crate) fn new() -> Option<Self> {
        if !can_run() {
            return None;
        }
        static ALONE: Mutex<()> = Mutex::new(());
        // A test that failed has told so; the others have their own stores.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        traces::adopt_orphans();
        let place = Self { directory: tempfile::tempdir().unwrap(), _alone: alone };
        fs::create_dir(place.directory()).unwrap();
        fs::write(place.root().join("run.yaml"), RUN).unwrap();
        let ids = || (0..TASKS).map(|task| format!("task-{task}"));
        let task = |id| json!({"id": id, "prompt": "p", "cases": [{"expected": "10\n"}]});
        fs::write(place.root().join("tasks.jsonl"), jsonl(ids().map(task))).unwrap();
        let cell = |code: &str| json!({"content": format!("```python\n{code}\n```")});
        let recorded = ids().flat_map(|id| {
            (0..SAMPLES).map(move |sample| {
                json!({"task_id": id, "sample": sample, "turns": [
                    cell("x = 5"),
                    cell(&format!("print({})", 9 + sample)),
                    json!({"content": "done"}),
                ]})
            })
        });
        fs::write(place.root().join("recorded.jsonl"), jsonl(recorded)).unwrap();
        Some(place)
    }

    /// Lets so many samples be made at once, which changes nothing in what they come to.
    pub(crate) fn set_concurrency(&self, concurrency: usize) {
        let run = RUN.replace("concurrency: 1", &format!("concurrency: {concurrency}"));
        fs::write(self.root().join("run.yaml"), run).unwrap();
    }

    /// Where the commands run.
    pub(crate) fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The store's directory, which holds nothing else. Its path has no links in it, as traces show it.
    pub(crate) fn directory(&self) -> PathBuf {
        self.root().canonicalize().unwrap().join("store")
    }

    /// The store.
    pub(crate) fn store(&self) -> PathBuf {
        self.directory().join("runs.db")
    }

    /// The arguments that make the run, or go on with it.
    pub(crate) fn arguments(&self, resume: Option<&str>) -> Vec<String> {
        let mut arguments = ROLLOUT.map(str::to_owned).to_vec();
        arguments.extend(["--store".to_owned(), self.store().display().to_string()]);
        arguments.extend(resume.into_iter().flat_map(|id| ["--resume".to_owned(), id.to_owned()]));
        arguments
    }

    /// `program`, set up to run the command here.
    pub(crate) fn prepare(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_remove("ROLLCAGE_LANGUAGES")
            // The same threads on any machine, so that they are made by the same calls.
            .env("TOKIO_WORKER_THREADS", "2")
            .env("ROLLCAGE_LOG", "rollcage::commands=debug");
        command
    }

    /// Makes the run, or goes on with it.
    pub(crate) fn run(&self, resume: Option<&str>) -> Finished {
        finish(self.prepare(BINARY).args(self.arguments(resume)))
    }

    /// Replaces the store's directory with a copy of `template`, or with an empty one.
    pub(crate) fn reset(&self, template: Option<&Path>) {
        fs::remove_dir_all(self.directory()).unwrap();
        fs::create_dir(self.directory()).unwrap();
        for entry in template.into_iter().flat_map(|template| fs::read_dir(template).unwrap()) {
            let entry = entry.unwrap();
            fs::copy(entry.path(), self.directory().join(entry.file_name())).unwrap();
        }
    }

    /// The store, if it has come so far.
    pub(crate) fn reader(&self) -> Option<StoreReader> {
        Store::open_read_only(&self.store()).ok()
    }

    /// The newest run, if there is one besides `before`.
    pub(crate) fn newest_run(&self, before: usize) -> Option<String> {
        let runs = self.reader()?.runs().unwrap();
        (runs.len() > before).then(|| runs.last().unwrap().id.clone())
    }

    /// Asserts that the run is whole: finished, and turn by turn what `expected` says.
    #[track_caller]
    pub(crate) fn check_whole(&self, run: &str, expected: &[Conversation], context: &str) {
        let reader = self.reader().unwrap();
        assert_eq!(reader.integrity_check().unwrap(), [] as [String; 0], "{context}");
        assert_eq!(reader.run(run).unwrap().status, RunStatus::Finished, "{context}");
        assert_eq!(conversations(&reader, run), expected, "{context}");
    }

    /// Asserts that a run that was cut off holds nothing that did not happen, and everything that `told` says of it:
    /// for each trajectory, how many of its turns were said to be stored.
    #[track_caller]
    pub(crate) fn check_part(
        &self,
        run: &str,
        expected: &[Conversation],
        told: &BTreeMap<String, usize>,
        context: &str,
    ) {
        let reader = self.reader().unwrap();
        assert_eq!(reader.integrity_check().unwrap(), [] as [String; 0], "{context}");
        assert!(reader.judgements(run).unwrap().is_empty(), "{context}");
        for trajectory in reader.trajectories(run).unwrap() {
            let turns = reader.turns(&trajectory.id).unwrap();
            let told = told.get(&trajectory.id).copied().unwrap_or_default();
            assert!(turns.len() >= told, "{context}: {told} turns were told, {} are stored", turns.len());
            let key = |record: &TrajectoryRecord| (record.task_id.clone(), record.sample_index);
            let whole = expected.iter().find(|(other, _)| key(other) == key(&trajectory)).unwrap();
            let part: Vec<_> = turns.into_iter().map(without_measurements).collect();
            assert_eq!(Some(&part[..]), whole.1.get(..part.len()), "{context}: {trajectory:?}");
            match trajectory.status {
                TrajectoryStatus::Finished if is_given_up(&trajectory) => {
                    assert_eq!((&trajectory.reward, &trajectory.judgement), (&None, &None), "{context}");
                }
                TrajectoryStatus::Finished => assert_eq!(anonymous(trajectory), whole.0, "{context}"),
                TrajectoryStatus::Running => {
                    let invented = (&trajectory.reward, &trajectory.judgement, &trajectory.stop_reason);
                    assert_eq!(invented, (&None, &None, &None), "{context}");
                }
            }
        }
        let stored: Vec<_> = reader.trajectories(run).unwrap().into_iter().map(|one| one.id).collect();
        assert!(told.keys().all(|id| stored.contains(id)), "{context}: {told:?} were told, not {stored:?}");
    }

    /// Makes the run undisturbed, and returns what it comes to.
    pub(crate) fn undisturbed(&self) -> Vec<Conversation> {
        let finished = self.run(None);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let conversations = conversations(&self.reader().unwrap(), &self.newest_run(0).unwrap());
        assert_eq!(conversations.len(), TASKS * SAMPLES);
        assert!(conversations.iter().all(|(_, turns)| turns.len() == TURNS), "{conversations:?}");
        let rewards: Vec<_> = conversations.iter().map(|(trajectory, _)| trajectory.reward).collect();
        assert_eq!(rewards, [Some(0.0), Some(1.0), Some(0.0), Some(1.0)]);
        self.reset(None);
        conversations
    }

    /// The failures of ours that ended samples of this run for good, so that a resume does not come back to them.
    pub(crate) fn given_up(&self, run: &str) -> Vec<String> {
        let trajectories = self.reader().unwrap().trajectories(run).unwrap();
        trajectories.into_iter().filter(is_given_up).filter_map(|trajectory| trajectory.failure).collect()
    }

    /// Goes on with what a fault left, the fault gone, and asserts that it becomes what it would have been. `before` is
    /// how many runs the store held to begin with.
    #[track_caller]
    pub(crate) fn check_recovers(&self, before: usize, expected: &[Conversation], context: &str) {
        let left = self.newest_run(before);
        let given_up = left.as_ref().map(|run| self.given_up(run)).unwrap_or_default();
        assert_eq!(given_up, [] as [String; 0], "{context}");
        let finished = self.run(left.as_deref());
        assert_eq!(finished.code, Some(0), "{context}: {finished:?}");
        assert_eq!(self.reader().unwrap().runs().unwrap().len(), before + 1, "{context}");
        self.check_whole(&self.newest_run(before).unwrap(), expected, context);
    }
}

impl Finished {
    /// For each trajectory, how many turns were said to be stored.
    pub(crate) fn told(&self) -> BTreeMap<String, usize> {
        let mut told = BTreeMap::new();
        for line in self.stderr.lines() {
            let Some((_, fact)) = line.split_once("turn stored trajectory=\"") else { continue };
            let (trajectory, turn) = fact.split_once("\" turn=").unwrap();
            told.insert(trajectory.to_owned(), turn.parse::<usize>().unwrap() + 1);
        }
        told
    }

    /// The line that says why it failed, without its first word.
    pub(crate) fn error(&self) -> Option<&str> {
        self.stderr.lines().find_map(|line| line.strip_prefix("error: "))
    }
}

/// The command under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_rollcage");

/// Runs a command to its end, and asserts that nothing of it is left.
#[track_caller]
pub(crate) fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    traces::check_no_process();
    Finished { code: output.status.code(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// Whether the long form of the tests was asked for.
pub(crate) fn is_long() -> bool {
    std::env::var_os("ROLLCAGE_LONG").is_some()
}

fn conversations(reader: &StoreReader, run: &str) -> Vec<Conversation> {
    let trajectories = reader.trajectories(run).unwrap().into_iter().map(|trajectory| {
        let turns = reader.turns(&trajectory.id).unwrap().into_iter().map(without_measurements).collect();
        (anonymous(trajectory), turns)
    });
    trajectories.collect()
}

fn is_given_up(trajectory: &TrajectoryRecord) -> bool {
    trajectory.stop_reason.as_deref() == Some("infrastructure")
}

fn anonymous(trajectory: TrajectoryRecord) -> TrajectoryRecord {
    TrajectoryRecord { id: String::new(), run_id: String::new(), ..trajectory }
}

fn without_measurements(turn: TurnRecord) -> TurnRecord {
    TurnRecord { trajectory_id: String::new(), usage: None, timings: Default::default(), ..turn }
}

fn jsonl(rows: impl Iterator<Item = serde_json::Value>) -> String {
    rows.map(|row| format!("{row}\n")).collect()
}

fn can_run() -> bool {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: needs root");
        return false;
    }
    if !Path::new("/usr/bin/python3").exists() {
        eprintln!("skipped: needs python3");
        return false;
    }
    true
}
