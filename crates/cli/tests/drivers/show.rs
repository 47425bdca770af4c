//! `rollcage show`: what is in a store, without letting it act on the terminal.

use std::io::Read as _;

use serde_json::json;

use crate::harness::{Place, can_run, finish, jsonl};

/// A run whose program and whose policy both try the terminal.
fn place() -> Place {
    let place = Place::new(&[(
        "run.yaml",
        "tasks: {path: tasks.jsonl}\nenvironment: {language: python}\npolicy: {recorded: recorded.jsonl}\n",
    )]);
    place.write("tasks.jsonl", &jsonl(&[json!({"id": "t", "prompt": "p", "cases": [{"expected": "1"}]})]));
    let code = "```python\nprint('\\x1b[2J\\x1b]0;owned\\x07', chr(0x202e), chr(0x9b))\n```";
    let policy = format!("\u{1b}[31mred\u{1b}[0m\n{code}");
    let turns = json!([{"content": policy}, {"content": "done"}]);
    place.write("recorded.jsonl", &jsonl(&[json!({"task_id": "t", "turns": turns})]));
    let finished = place.run(&["rollout", "run.yaml"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    place
}

#[test]
fn runs_samples_and_turns_are_shown() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = place();
    let run = place.only_run();
    let list = place.run(&["show"]);
    assert!(list.stdout.contains(&run) && list.stdout.contains("finished"), "{list:?}");
    let summary = place.run(&["show", &run[..8]]);
    assert!(summary.stdout.contains("wrong_answer") && summary.stdout.contains("00000-000"), "{summary:?}");
    for word in ["t", "t:0", "00000-000"] {
        let turns = place.run(&["show", "last", word]);
        assert!(turns.stdout.contains("── turn 0 (ordinary)"), "{word}: {turns:?}");
        assert!(turns.stdout.contains("stopped by answered, wrong_answer"), "{word}: {turns:?}");
    }
    assert_eq!(place.run(&["show", "--json"]).json()[0]["run_id"], json!(run));
    assert_eq!(place.run(&["show", "last", "--json"]).json()["samples"], 1);
    assert_eq!(place.run(&["show", "last", "t", "--json"]).json()["turns"].as_array().map(Vec::len), Some(2));
    for (arguments, expected) in [
        (&["show", "last", "nothing"][..], "has no trajectory `nothing`"),
        (&["show", "ffff"], "is not in the store"),
        (&["show", "--store", "nowhere.db"], "no store at"),
    ] {
        let finished = place.run(arguments);
        assert_eq!(finished.code, Some(111), "{finished:?}");
        assert!(finished.stderr.contains(expected), "{finished:?}");
    }
}

#[test]
fn nothing_stored_reaches_the_terminal_as_a_command() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = place();
    for arguments in [&["show"][..], &["show", "last"], &["show", "last", "t"]] {
        let shown = place.run(arguments).stdout;
        let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(acts), "{arguments:?}: {shown:?}");
    }
    let shown = place.run(&["show", "last", "t"]).stdout;
    assert!(shown.contains("␛[31mred") && shown.contains("␛[2J") && shown.contains("<U+202E>"), "{shown}");
}

#[test]
fn a_run_is_exported() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = place();
    let finished = place.run(&["show", "last", "--export", "jsonl", "turns.jsonl", "--table", "turns"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(std::fs::read_to_string(place.path().join("turns.jsonl")).unwrap().lines().count(), 2);
    assert_eq!(place.run(&["show", "last", "--export", "parquet", "run.parquet"]).code, Some(0));
    assert!(std::fs::read(place.path().join("run.parquet")).unwrap().starts_with(b"PAR1"));
    assert_eq!(place.run(&["show", "last", "--export", "csv", "x"]).code, Some(2));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = place();
    for arguments in [&["show"][..], &["show", "last", "t"], &["show", "--json"]] {
        let mut child = place.start(arguments);
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let finished = finish(child);
        assert_eq!((finished.code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
