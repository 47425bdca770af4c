//! The examples carried out by the command: each sample of the demo ends as `examples/demo/expected.json` says, and
//! problems, solutions and the example language are what they claim to be.

#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rollcage_api::{JudgedRecord, TrajectoryRecord};
use rollcage_engine::store::Store;
use rollcage_language::Language;
use serde_json::Value;

/// Where `rollcage rollout` keeps its runs unless it is told otherwise, from the current directory.
const STORE: &str = ".rollcage/runs.db";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").canonicalize().unwrap()
}

fn rollcage(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcage"));
    command.args(arguments).current_dir(directory).output().unwrap()
}

/// Whether this host makes cages at all; a note to standard error where it does not.
fn host_works(directory: &Path) -> bool {
    std::fs::write(directory.join("probe.py"), "print(1)\n").unwrap();
    let output = rollcage(directory, &["run", "probe.py"]);
    if output.status.success() {
        return true;
    }
    eprintln!("skipped: no cages on this host: {}", String::from_utf8_lossy(&output.stderr).trim());
    false
}

/// The verdict on the answer, or the reason why there was none.
fn ending(trajectory: &TrajectoryRecord) -> String {
    match trajectory.judgement.as_ref().and_then(JudgedRecord::from_value) {
        Some(JudgedRecord::Scored { verdict, .. }) => verdict,
        Some(JudgedRecord::Unscorable { reason, .. }) => format!("unscorable: {reason}"),
        None => trajectory.stop_reason.clone().unwrap_or_default(),
    }
}

fn expected() -> BTreeMap<(String, u64), String> {
    let text = std::fs::read_to_string(examples().join("demo/expected.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let row = |row: &Value| {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        ((text("task_id"), row["sample"].as_u64().unwrap()), text("ends"))
    };
    value["samples"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn each_sample_of_the_demo_ends_as_recorded() {
    let directory = tempfile::tempdir().unwrap();
    if !host_works(directory.path()) {
        return;
    }
    let run_file = examples().join("demo/run.yaml");
    let output = rollcage(directory.path(), &["rollout", run_file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let store = Store::open_read_only(&directory.path().join(STORE)).unwrap();
    let runs = store.runs().unwrap();
    assert_eq!(runs.len(), 1);
    let found: BTreeMap<_, _> = store
        .trajectories(&runs[0].id)
        .unwrap()
        .iter()
        .map(|it| ((it.task_id.clone(), u64::from(it.sample_index)), ending(it)))
        .collect();
    assert_eq!(found, expected());
}

/// The verdicts that `rollcage judge` prints for `samples`, in their order.
fn judged(directory: &Path, problems: &Path, samples: &Path) -> Vec<String> {
    let (problems, samples) = (problems.to_str().unwrap(), samples.to_str().unwrap());
    let output = rollcage(directory, &["judge", "--json", samples, "--problems", problems]);
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict = |line: &str| serde_json::from_str::<Value>(line).unwrap()["verdict"].to_string();
    text.lines().map(verdict).map(|text| text.trim_matches('"').to_owned()).collect()
}

#[test]
fn the_first_samples_show_three_verdicts() {
    let directory = tempfile::tempdir().unwrap();
    if !host_works(directory.path()) {
        return;
    }
    let (problems, samples) =
        (examples().join("problems/first.jsonl"), examples().join("solutions/first.jsonl"));
    let verdicts = judged(directory.path(), &problems, &samples);
    assert_eq!(verdicts, ["accepted", "runtime_error", "time_limit_exceeded"]);
}

#[test]
fn canonical_solutions_are_accepted() {
    let directory = tempfile::tempdir().unwrap();
    if !host_works(directory.path()) {
        return;
    }
    for (name, count) in [("problems/first.jsonl", 3), ("demo/problems.jsonl", 24)] {
        let problems = examples().join(name);
        let rows = std::fs::read_to_string(&problems).unwrap();
        let sample = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            serde_json::json!({"task_id": row["id"], "solution": row["canonical_solution"]}).to_string()
                + "\n"
        };
        let samples = directory.path().join("samples.jsonl");
        std::fs::write(&samples, rows.lines().map(sample).collect::<String>()).unwrap();
        assert_eq!(judged(directory.path(), &problems, &samples), vec!["accepted"; count], "{name}");
    }
}

#[test]
fn the_example_language_passes_its_own_tests() {
    let directory = examples().join("languages");
    let path = directory.join("perl.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(Language::parse("perl.yaml", &text).unwrap().tests.len(), 6);
    let scratch = tempfile::tempdir().unwrap();
    if !host_works(scratch.path()) {
        return;
    }
    let arguments = ["languages", "test", "perl", "--languages", directory.to_str().unwrap()];
    let output = rollcage(scratch.path(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
