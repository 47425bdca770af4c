//! Data sets as others keep them, judged and rolled out by the real binary.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Finished, Place, can_run, jsonl};

const VERL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/datasets/verl.snappy.parquet");

fn verdicts(finished: &Finished) -> Vec<(String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    finished.lines().iter().map(|row| (text(row, "task_id"), text(row, "verdict"))).collect()
}

#[test]
fn verl_rows_are_judged_as_verl_judges_them() {
    if !can_run(&["python3"]) {
        return;
    }
    let tries = [
        ("0", "a, b = map(int, input().split())\nprint(a + b)", "accepted"),
        ("0", "print(3)", "wrong_answer"),
        ("1", "def add(xs, x): return xs + [x]", "accepted"),
        // What verl imports is there, a method of `Solution` counts whatever was imported under its name, and a tuple is a
        // list in JSON.
        ("1", "class Solution:\n    def add(self, xs: List[int], x): return (*chain(xs), x)", "accepted"),
        ("1", "def add(xs, x): return str(xs + [x])", "accepted"),
        ("1", "def add(xs, x): return xs + [x == 3 or x]", "runtime_error"),
        ("1", "def add(xs, x): return xs", "runtime_error"),
        ("1", "import os\nos._exit(0)", "runtime_error"),
        ("1", "def other(xs, x): return xs + [x]", "runtime_error"),
        ("2", "def add(xs, x): return xs + [x]", "accepted"),
        ("2", "def add(xs, x): return x", "runtime_error"),
    ];
    let place = Place::new(&[]);
    let row = |(task, code, _): &(&str, &str, &str)| json!({"task_id": format!("codecontests/train/{task}"), "solution": code});
    place.write("samples.jsonl", &jsonl(&tries.iter().map(row).collect::<Vec<_>>()));
    let finished = place.run(&["judge", "samples.jsonl", "--problems", VERL, "--json", "--skip-unjudgeable"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let expected = tries.map(|(task, _, verdict)| (format!("codecontests/train/{task}"), verdict.to_owned()));
    let mut found = verdicts(&finished);
    found.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(found, expected, "{finished:?}");
    assert!(finished.stderr.contains("2 rows were left out"), "{finished:?}");

    let finished = place.run(&["judge", "samples.jsonl", "--problems", VERL]);
    assert_eq!(finished.code, Some(111), "{finished:?}");
    assert!(finished.stderr.contains("hint: `--skip-unjudgeable`"), "{finished:?}");
}

#[test]
fn columns_are_taken_wherever_a_file_of_problems_is_named() {
    if !can_run(&["python3"]) {
        return;
    }
    let task = |name: &str, plus: u32| {
        json!({
            "task": name, "question": {"text": "Add."}, "solution": format!("print(int(input()) + {plus})"),
            "tests": json!([{"in": "1", "out": (1 + plus).to_string()}, {"in": "2", "out": (2 + plus).to_string()}]).to_string(),
        })
    };
    let place = Place::new(&[("own.jsonl", &jsonl(&[task("one", 1), task("two", 2)]))]);
    let mapping = "id=task,prompt=question.text,cases.stdin=tests.in,cases.expected=tests.out,canonical_solution=solution";
    let finished = place.run(&[
        "eval",
        "own.jsonl",
        "--columns",
        mapping,
        "--solutions",
        "canonical",
        "-l",
        "python",
        "--json",
    ]);
    assert_eq!((finished.code, &finished.json()["accepted"]), (Some(0), &json!(2)), "{finished:?}");

    place.write("samples.jsonl", &jsonl(&[json!({"task_id": "two", "code": "print(int(input()) + 2)"})]));
    let finished = place.run(&[
        "judge",
        "samples.jsonl",
        "--problems",
        "own.jsonl",
        "--columns",
        mapping,
        "-l",
        "python",
        "--json",
    ]);
    assert_eq!(verdicts(&finished), [("two".to_owned(), "accepted".to_owned())], "{finished:?}");

    place.write(
        "run.yaml",
        "tasks: {path: own.jsonl, columns: {id: task, prompt: question.text, cases.stdin: tests.in, cases.expected: \
         tests.out}}\nenvironment: {language: python, code: answer}\npolicy: {recorded: recorded.jsonl}\n\
         budget: {turns: 1}\n",
    );
    let turn = |task: &str, plus: u32| {
        let content = format!("```python\nprint(int(input()) + {plus})\n```");
        json!({"task_id": task, "turns": [{"content": content}]})
    };
    place.write("recorded.jsonl", &jsonl(&[turn("one", 1), turn("two", 1)]));
    let finished = place.run(&["rollout", "run.yaml", "--store", "rollout.db", "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.json()["verdicts"], json!({"python": {"accepted": 1, "wrong_answer": 1}}));
}

#[test]
fn mistakes_in_a_mapping_say_what_would_be_right() {
    let place = Place::new(&[("own.jsonl", "{\"question\": \"q\"}\n")]);
    for (mapping, code, facts) in [
        ("promt=question", 2, ["--columns: `promt` is not a field", "hint: did you mean `prompt`?"]),
        ("prompt=question", 2, ["a problem needs one of `cases`", "hint: as in `id=task,"]),
        (
            "prompt=qestion,test_code=question",
            111,
            [
                "row 1, `prompt`: there is no such column; there are `question`",
                "hint: did you mean `question`?",
            ],
        ),
    ] {
        let finished =
            place.run(&["eval", "own.jsonl", "--columns", mapping, "--solutions", "stub", "-l", "python"]);
        assert_eq!(finished.code, Some(code), "{finished:?}");
        for fact in facts {
            assert!(finished.stderr.contains(fact), "{fact}: {finished:?}");
        }
    }
    let both =
        ["eval", "own.jsonl", "--columns", "prompt=question", "--format", "apps", "--solutions", "stub"];
    assert_ne!(place.run(&both).code, Some(0));
}

/// Problems of the selection that expect different outputs of one input: many answers are right, and only a judge of
/// their own could tell.
const CONTRADICTORY: [u64; 8] = [2038, 2404, 3796, 3839, 4030, 4034, 4233, 4433];

/// A program that knows the answers shows that the cases and the checker fit each other. `ROLLCAGE_LONG=1` tries all 150
/// problems with their 3497 cases.
#[test]
fn the_selection_of_apps_accepts_its_own_outputs() {
    let data = std::env::var_os("ROLLCAGE_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), Into::into);
    let Ok(bytes) = std::fs::read(data.join("apps-stdin/apps_selected.json.gz")) else {
        return eprintln!("skipped: the data set apps-stdin is missing");
    };
    if !can_run(&["python3"]) {
        return;
    }
    let step = if std::env::var_os("ROLLCAGE_LONG").is_some() { 1 } else { 25 };
    let rows: Vec<Value> = serde_json::from_slice(&rollcage_api::gunzip(&bytes).unwrap()).unwrap();
    let known = |row: &Value| {
        let lists = ["public_tests", "private_tests"]
            .map(|column| json!([row[column]["input"], row[column]["output"]]));
        let text = json!(json!(lists).to_string());
        let code = format!(
            "import json, sys\nknown = {{}}\nfor inputs, outputs in json.loads({text}):\n    \
             known.update(zip(inputs, outputs))\nprint(known[sys.stdin.read()])\n"
        );
        json!({"task_id": format!("APPS/{}", row["name"]), "solution": code})
    };
    let samples: Vec<Value> = rows.iter().step_by(step).map(known).collect();
    let place = Place::new(&[("samples.jsonl", &jsonl(&samples))]);
    let data = data.display().to_string();
    let finished = place.run(&[
        "judge",
        "samples.jsonl",
        "--dataset",
        "apps-stdin",
        "--data",
        &data,
        "-l",
        "python",
        "--json",
    ]);
    let verdicts = verdicts(&finished);
    assert_eq!(verdicts.len(), samples.len());
    for (task, verdict) in verdicts {
        let is_contradictory = CONTRADICTORY.iter().any(|name| task == format!("APPS/{name}"));
        assert_eq!(verdict == "accepted", !is_contradictory, "{task}");
    }
}
