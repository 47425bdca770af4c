//! `rollcage rollout` on recordings: whole conversations from the run file to the store.

use serde_json::{Value, json};

use crate::harness::{Place, can_run, jsonl};

/// A run of two tasks in two languages.
pub(crate) const RUN: &str = "\
tasks: {path: tasks.jsonl}
environment: {language: python, limits: {cpu_time: 2s}}
policy: {recorded: recorded.jsonl}
reward: {parts: {outcome: 1.0, format: 0.5}}
group: {size: 2}
budget: {turns: 4, concurrency: 3}
";

fn fenced(language: &str, code: &str) -> Value {
    json!({"content": format!("```{language}\n{code}\n```")})
}

fn place() -> Place {
    let case = json!([{"stdin": "2\n", "expected": "4\n"}]);
    let place = Place::new(&[("run.yaml", RUN)]);
    place.write(
        "tasks.jsonl",
        &jsonl(&[
            json!({"id": "double", "prompt": "Double it.", "cases": case}),
            json!({"id": "double-lua", "prompt": "Double it.", "language": "lua", "cases": case}),
        ]),
    );
    let done = json!({"content": "That is my answer."});
    let right = "print(int(input()) * 2)";
    place.write(
        "recorded.jsonl",
        &jsonl(&[
            json!({"task_id": "double", "sample": 0, "turns": [
                fenced("python", "x = 21"), fenced("python", "print(x * 2)"), fenced("py", right), done,
            ]}),
            json!({"task_id": "double", "sample": 1, "turns": [
                json!({"content": "no code at all"}), fenced("python", "print(input())"), done,
            ]}),
            json!({"task_id": "double-lua", "turns": [fenced("lua", "print(io.read('n') * 2)"), done]}),
        ]),
    );
    place
}

#[test]
fn conversations_are_carried_judged_and_stored() {
    if !can_run(&["python3", "lua5.4"]) {
        return;
    }
    let place = place();
    let finished = place.run(&["rollout", "run.yaml", "--json"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let report = finished.json();
    assert_eq!((&report["status"], &report["samples"]), (&json!("finished"), &json!(4)));
    assert_eq!(
        report["verdicts"],
        json!({"lua": {"accepted": 2}, "python": {"accepted": 1, "wrong_answer": 1}})
    );
    assert_eq!(report["pass_at_k"][1]["k"], 2);

    let conversations = place.conversations();
    let (first, turns) = &conversations[0];
    assert_eq!((first.task_id.as_str(), first.sample_index, first.reward), ("double", 0, Some(1.5)));
    let seen = String::from_utf8(turns[1].outcome.stdout.head.0.clone()).unwrap();
    assert_eq!(seen, "42\n", "the second cell finds what the first defined");
    let (second, turns) = &conversations[1];
    assert_eq!(second.reward, Some(0.5 * 2.0 / 3.0), "one turn of three held no action");
    assert_eq!(turns[0].outcome.kind, "void");
    assert!(turns[0].observation[0].content.contains("```python"), "{:?}", turns[0].observation);
    let (lua, _) = &conversations[2];
    assert_eq!((lua.language.as_deref(), lua.reward), (Some("lua"), Some(1.5)));
}

#[test]
fn two_runs_of_one_recording_are_the_same_run() {
    if !can_run(&["python3", "lua5.4"]) {
        return;
    }
    let (one, other) = (place(), place());
    other.write("run.yaml", &RUN.replace("concurrency: 3", "concurrency: 1"));
    for place in [&one, &other] {
        assert_eq!(place.run(&["rollout", "run.yaml"]).code, Some(0));
    }
    assert_eq!(one.conversations(), other.conversations());
}

#[test]
fn without_a_session_each_turn_stands_alone() {
    if !can_run(&["python3", "lua5.4"]) {
        return;
    }
    let place = place();
    place.write("run.yaml", &RUN.replace("language: python,", "language: python, session: none,"));
    assert_eq!(place.run(&["rollout", "run.yaml"]).code, Some(0));
    let conversations = place.conversations();
    let stderr = String::from_utf8(conversations[0].1[1].outcome.stderr.head.0.clone()).unwrap();
    assert!(stderr.contains("NameError"), "{stderr}");
}

#[test]
fn a_recording_that_ends_early_ends_its_sample_without_a_number() {
    if !can_run(&["python3", "lua5.4"]) {
        return;
    }
    let place = place();
    let short = json!({"task_id": "double", "turns": [fenced("python", "print(1)")]});
    place.write("recorded.jsonl", &jsonl(&[short]));
    let finished = place.run(&["rollout", "run.yaml", "--json"]);
    assert_eq!(finished.code, Some(114), "{finished:?}");
    assert!(finished.stderr.contains("failed: recording"), "{finished:?}");
    assert!(finished.stderr.contains("\nhint: "), "{finished:?}");
    for (trajectory, _) in place.conversations() {
        assert_eq!((trajectory.stop_reason.as_deref(), trajectory.reward), (Some("policy_failed"), None));
    }
}

#[test]
fn mistakes_in_a_run_file_are_answered_with_their_place() {
    let place = place();
    for (from, to, expected) in [
        ("group:", "grop:", "run.yaml:5:1: unknown key `grop`\n\nhint: did you mean `group`?"),
        ("turns: 4", "turns: 0", "run.yaml:6:10: "),
        ("language: python", "language: pyton", "did you mean `python`?"),
        ("language: python, ", "", "task `double` names no language"),
        ("recorded.jsonl", "nowhere.jsonl", "nowhere.jsonl"),
        ("tasks.jsonl", "recorded.jsonl", "fit no data set format"),
    ] {
        place.write("run.yaml", &RUN.replacen(from, to, 1));
        let finished = place.run(&["rollout", "run.yaml"]);
        assert_eq!(finished.code, Some(111), "{finished:?}");
        assert!(finished.stderr.contains(expected), "{finished:?}");
    }
}
