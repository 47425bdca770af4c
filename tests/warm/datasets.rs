//! The solutions of published data sets end as they do cold, byte for byte.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rollcage_language::LanguageSet;
use rollcage_sandbox::{Cancel, HostConfig};
use rollcage_types::{ExecOutcome, Start};
use rollcage_warm::{Bounds, Pool};
use serde_json::Value;

use crate::harness::{Ended, host_of};

/// Programs at once.
const WORKERS: usize = 2;

/// Makes a program of a row.
type Program = fn(&Value) -> String;

/// Each row's solution with its own tests. Those of CRUXEval print what they compute, so that bytes are compared.
const SETS: [(&str, Program); 3] = [
    ("humaneval/HumanEval.jsonl.gz", |row| {
        let [prompt, solution, test, name] =
            ["prompt", "canonical_solution", "test", "entry_point"].map(|key| text(row, key));
        format!("{prompt}{solution}\n{test}\ncheck({name})\n")
    }),
    ("mbpp/mbpp.jsonl", |row| {
        let [setup, code] = ["test_setup_code", "code"].map(|key| text(row, key));
        let tests: Vec<&str> =
            row["test_list"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        format!("{setup}\n{code}\n{}\n", tests.join("\n"))
    }),
    ("cruxeval/cruxeval.jsonl", |row| {
        let [code, input] = ["code", "input"].map(|key| text(row, key));
        format!("{code}\nprint(repr(f({input})))\n")
    }),
];

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap()
}

fn rows(path: &Path) -> Option<Vec<Value>> {
    let bytes = std::fs::read(path).ok()?;
    // What is not packed comes back as it is.
    let bytes = rollcage_api::gunzip(&bytes).unwrap().into_owned();
    Some(String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn data() -> PathBuf {
    std::env::var_os("ROLLCAGE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), Into::into)
}

#[test]
fn every_solution_does_the_same() {
    let Some(host) = host_of(&HostConfig::default()) else { return };
    let pool = Pool::new(host, Some(Bounds::of_machine()));
    let python = LanguageSet::built_in().find("python").unwrap().clone();
    for preload in [None, Some("numpy")] {
        // Some want numpy; without it they fail alike.
        let _absent = pool.await_ready(&python, preload);
    }
    for (name, program) in SETS {
        let Some(rows) = rows(&data().join(name)) else {
            eprintln!("skipped: needs the published data sets (ROLLCAGE_DATA)");
            return;
        };
        let (next, copies) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let compare = || {
            while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                let source = program(row);
                let request = python.run_request(vec![python.source_file(source.as_bytes())]);
                let cold = pool.host().run(&request, &Cancel::new()).unwrap();
                let warm = pool.run(&python, &request, &Cancel::new()).unwrap();
                copies.fetch_add(usize::from(warm.start == Start::Fork), Ordering::Relaxed);
                assert_eq!(said(warm), said(cold), "{name}, program:\n{source}");
            }
        };
        std::thread::scope(|scope| (0..WORKERS).for_each(|_| drop(scope.spawn(compare))));
        assert_eq!(copies.into_inner(), rows.len(), "{name}: some were run cold");
    }
}

/// What came of a program, but for where objects lie in memory, which differs between any two runs.
fn said(outcome: ExecOutcome) -> (Ended, u64, u64) {
    let (bytes, disk) = (outcome.stdout.bytes_total, outcome.usage.disk.as_u64());
    let Ended { termination, stdout, stderr } = outcome.into();
    let [stdout, stderr] = [stdout, stderr].map(|text| without_addresses(&text));
    (Ended { termination, stdout, stderr }, bytes, disk)
}

fn without_addresses(text: &str) -> String {
    let mut parts = text.split(" at 0x");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        format!("{text} at 0x{}", part.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
    })
}
