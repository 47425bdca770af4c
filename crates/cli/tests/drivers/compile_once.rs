//! Compiled languages: the same source is compiled once for all who ask, and what a source was made into is its own
//! doing, in a cell as under the judge.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Place, can_run, jsonl};

/// Its compiler never makes the same program twice: it writes down when it ran, and the program prints that.
const STAMP: &str = "\
prompt: p
filename: source.txt
compile: date +%s%N >program
execute: cat program
artefacts: [program]
";

/// Its compiler makes a program that no kernel executes.
const JUNK: &str = "\
prompt: p
filename: source.txt
compile: echo junk >program && chmod +x program
execute: ./program
artefacts: [program]
";

fn place(language: &str, run: &str) -> Place {
    let place = Place::new(&[("run.yaml", run)]);
    std::fs::create_dir(place.path().join("languages")).unwrap();
    place.write("languages/made.yaml", language);
    place
        .write("tasks.jsonl", &jsonl(&[json!({"id": "t", "prompt": "p", "cases": [{"expected": "never"}]})]));
    place
}

fn cell(code: &str) -> Value {
    json!({"content": format!("```made\n{code}\n```")})
}

/// What the compiler wrote down, as the judge's reason quotes it.
fn stamp(reason: &Value) -> String {
    reason.as_str().unwrap().chars().skip_while(|c| *c != '"').filter(char::is_ascii_digit).take(19).collect()
}

#[test]
fn samples_that_are_alike_share_one_compilation() {
    if !can_run(&["date"]) {
        return;
    }
    let place = place(STAMP, "");
    let solutions = ["a", "a", "b", "a", "b", "a", "a", "a", "a", "a"];
    place.write(
        "samples.jsonl",
        &jsonl(&solutions.map(|code| json!({"id": "t", "code": code, "language": "made"}))),
    );
    let finished = place.run(&[
        "judge",
        "samples.jsonl",
        "--problems",
        "tasks.jsonl",
        "--languages",
        "languages",
        "--json",
    ]);
    let rows = finished.lines();
    let stamps: Vec<_> = rows.iter().map(|row| stamp(&row["reason"])).collect();
    assert_eq!(stamps.len(), solutions.len(), "{finished:?}");
    for (solution, stamp) in solutions.iter().zip(&stamps) {
        assert_eq!(*solution == "a", *stamp == stamps[0], "{stamps:?}");
    }
    assert_eq!(stamps.iter().collect::<BTreeSet<_>>().len(), 2, "{stamps:?}");
}

#[test]
fn a_cell_and_the_answer_it_becomes_share_one_compilation() {
    if !can_run(&["date"]) {
        return;
    }
    let run =
        "tasks: {path: tasks.jsonl}\nenvironment: {language: made}\npolicy: {recorded: recorded.jsonl}\n";
    let place = place(STAMP, run);
    let turns = json!([cell("a"), cell("b"), cell("a"), {"content": "That is my answer."}]);
    place.write("recorded.jsonl", &jsonl(&[json!({"task_id": "t", "turns": turns})]));
    let finished = place.run(&["rollout", "run.yaml", "--languages", "languages"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let (_, turns) = place.conversations().remove(0);
    let printed: Vec<_> = turns[..3].iter().map(|turn| turn.outcome.stdout.to_captured().to_text()).collect();
    assert_eq!(printed[0], printed[2]);
    assert_ne!(printed[0], printed[1]);
    let judged = turns[3].outcome.judged.as_ref().unwrap().to_string();
    assert!(judged.contains(printed[2].trim()), "{judged}, {printed:?}");
}

#[test]
fn a_cell_that_cannot_be_executed_is_the_policys_own_doing() {
    if !can_run(&["chmod"]) {
        return;
    }
    let run =
        "tasks: {path: tasks.jsonl}\nenvironment: {language: made}\npolicy: {recorded: recorded.jsonl}\n";
    let place = place(JUNK, run);
    let turns = json!([cell("a"), {"content": "That is my answer."}]);
    place.write("recorded.jsonl", &jsonl(&[json!({"task_id": "t", "turns": turns})]));
    let finished = place.run(&["rollout", "run.yaml", "--languages", "languages", "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.json()["verdicts"], json!({"made": {"runtime_error": 1}}));
    let (trajectory, turns) = place.conversations().remove(0);
    assert_eq!((trajectory.reward, trajectory.failure), (Some(0.0), None));
    assert_eq!(turns.len(), 2);
    let stderr = turns[0].outcome.stderr.to_captured().to_text();
    assert!(stderr.contains("cannot execute `./program`"), "{stderr}");
}
