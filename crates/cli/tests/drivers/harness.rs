//! Runs the binary in a directory of its own, and reads the store it leaves there.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rollcage_api::{TrajectoryRecord, TurnRecord};
use rollcage_engine::store::{Store, StoreReader};
use serde_json::Value;
use tempfile::TempDir;

/// Where runs are kept unless the command says otherwise.
pub(crate) const STORE: &str = ".rollcage/runs.db";

/// A directory in which the binary runs, gone when dropped.
pub(crate) struct Place(TempDir);

/// A finished command.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Standard output as the one JSON value it must be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard output as JSON lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        self.stdout.lines().map(line).collect()
    }
}

impl Place {
    /// A directory that holds these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for (name, content) in files {
            place.write(name, content);
        }
        place
    }

    /// Writes another file.
    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path().join(name), content).unwrap();
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where its store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.path().join(STORE)
    }

    /// The store, open for reading.
    pub(crate) fn reader(&self) -> StoreReader {
        Store::open_read_only(&self.store()).unwrap()
    }

    /// The command, not yet started, with nothing of this process's own settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollcage"));
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("ROLLCAGE_LANGUAGES")
            .env_remove("ROLLCAGE_LOG")
            .env("NO_PROXY", "127.0.0.1");
        command
    }

    /// Runs the binary and waits for it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.start(arguments))
    }

    /// Runs the binary with this on its standard input.
    pub(crate) fn run_reading(&self, arguments: &[&str], stdin: &str) -> Finished {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let text = stdin.to_owned();
        let writer = std::thread::spawn(move || pipe.write_all(text.as_bytes()));
        let finished = finish(child);
        writer.join().unwrap().unwrap();
        finished
    }

    /// Starts the binary.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// The id of the only run in the store.
    pub(crate) fn only_run(&self) -> String {
        let runs = self.reader().runs().unwrap();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs[0].id.clone()
    }

    /// What the only run comes to, without what is never the same twice: ids, times and what programs used.
    pub(crate) fn conversations(&self) -> Vec<(TrajectoryRecord, Vec<TurnRecord>)> {
        let reader = self.reader();
        let run = self.only_run();
        assert_eq!(reader.integrity_check().unwrap(), [] as [String; 0]);
        let trajectories = reader.trajectories(&run).unwrap().into_iter().map(|trajectory| {
            let turns = reader.turns(&trajectory.id).unwrap().into_iter().map(without_measurements).collect();
            let (id, run_id) = (String::new(), String::new());
            (TrajectoryRecord { id, run_id, ..trajectory }, turns)
        });
        trajectories.collect()
    }
}

fn without_measurements(turn: TurnRecord) -> TurnRecord {
    TurnRecord { trajectory_id: String::new(), usage: None, timings: Default::default(), ..turn }
}

/// Waits for a command that was started.
pub(crate) fn finish(child: Child) -> Finished {
    let output = child.wait_with_output().unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether cages can be made and every one of `programs` is here; says what is missing if not.
pub(crate) fn can_run(programs: &[&str]) -> bool {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: needs root");
        return false;
    }
    let is_here = |program: &&&str| {
        ["/usr/local/bin", "/usr/bin"].iter().any(|directory| Path::new(directory).join(program).exists())
    };
    match programs.iter().find(|program| !is_here(program)) {
        Some(missing) => {
            eprintln!("skipped: needs {missing}");
            false
        }
        None => true,
    }
}

/// One JSON value per line.
pub(crate) fn jsonl(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}
