//! HumanEval-X, where it is at hand: what its authors say is right is accepted, and what returns nothing is not.
//!
//! Judges every eighth row; all of them with ROLLCAGE_LONG=1.

use std::path::{Path, PathBuf};

use rollcage_api::gunzip;
use serde_json::json;

use crate::harness::{Place, can_run};

/// A file of the data set.
struct File {
    name: &'static str,
    programs: &'static [&'static str],
    /// Rows whose own solutions are not accepted, and why.
    exceptions: &'static [(&'static str, &'static str)],
}

const FILES: [File; 6] = [
    File { name: "python", programs: &["python3"], exceptions: &[] },
    File {
        name: "js",
        programs: &["node"],
        exceptions: &[
            ("JavaScript/112", "it returns a boolean where a pair is expected, and its assertions say so"),
            ("JavaScript/155", "it finds no digit in 0, and an assertion says so"),
        ],
    },
    File { name: "java", programs: &["javac", "java"], exceptions: &[] },
    File { name: "cpp", programs: &["g++"], exceptions: &[] },
    File {
        name: "go",
        programs: &["go", "gcc"],
        exceptions: &[("Go/95", "it looks at two keys of a map, in whatever order they come")],
    },
    File {
        name: "rust",
        programs: &["rustc"],
        exceptions: &[("Rust/50", "its test is written for rand before 0.8")],
    },
];

/// One row in so many is judged unless all are.
const STEP: usize = 8;

#[test]
fn canonical_solutions_are_accepted_and_stubs_are_not() {
    let data = std::env::var_os("ROLLCAGE_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    if !data.join("humaneval-x").is_dir() {
        eprintln!("skipped: needs the published data sets (ROLLCAGE_DATA)");
        return;
    }
    if !Path::new("/usr/local/lib/rollcage").is_dir() {
        eprintln!("skipped: needs the libraries of tests given as code (make setup)");
        return;
    }
    let step = if std::env::var_os("ROLLCAGE_LONG").is_some() { 1 } else { STEP };
    for file in FILES.iter().filter(|file| can_run(file.programs)) {
        let bytes =
            std::fs::read(data.join(format!("humaneval-x/humaneval_{}.jsonl.gz", file.name))).unwrap();
        let text = String::from_utf8(gunzip(&bytes).unwrap().into_owned()).unwrap();
        let rows: Vec<_> = text.lines().step_by(step).collect();
        let place = Place::new(&[("rows.jsonl", &rows.join("\n"))]);
        let report = |solutions| {
            place
                .run(&["eval", "rows.jsonl", "--skip-unjudgeable", "--solutions", solutions, "--json"])
                .json()
        };

        let canonical = report("canonical");
        // A row of Rust whose tests are commented out.
        let refused = rows.iter().filter(|row| row.contains("\"Rust/32\"")).count();
        let is_excepted = |id: &str| file.exceptions.iter().any(|(known, _why)| *known == id);
        let failed = canonical["rows"].as_array().unwrap().iter();
        let unexpected: Vec<_> = failed.filter(|row| !is_excepted(row["id"].as_str().unwrap())).collect();
        assert!(unexpected.is_empty(), "{}: {unexpected:?}", file.name);
        assert_eq!(
            (&canonical["total"], &canonical["judge_errors"]),
            (&json!(rows.len() - refused), &json!(0))
        );

        let stubs = report("stub");
        assert_eq!(
            (&stubs["accepted"], &stubs["judge_errors"]),
            (&json!(0), &json!(0)),
            "{}: {}",
            file.name,
            stubs["rows"]
        );
    }
}
