//! `rollcage eval`: data sets of a few tasks, and the ones that are published where they are at hand.

use std::path::PathBuf;

use serde_json::json;

use crate::harness::{Place, can_run, jsonl};

fn tasks() -> String {
    let task = |id: &str, right: &str| {
        json!({
            "id": id, "prompt": "p", "language": "python", "canonical_solution": format!("def f(): return {right}\n"),
            "test_code": "assert f() == 1\n",
        })
    };
    jsonl(&[task("a", "1"), task("b", "1"), task("c", "2")])
}

#[test]
fn a_report_names_what_was_not_accepted() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = Place::new(&[("tasks.jsonl", &tasks())]);
    let finished = place.run(&["eval", "tasks.jsonl", "--solutions", "canonical", "--json"]);
    let report = finished.json();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    for (field, expected) in [("dataset", json!("tasks.jsonl")), ("total", json!(3)), ("accepted", json!(2))]
    {
        assert_eq!(report[field], expected);
    }
    assert_eq!(report["judge_errors"], 0);
    assert_eq!(report["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&report["rows"][0]["id"], &report["rows"][0]["verdict"]),
        (&json!("c"), &json!("runtime_error"))
    );

    let finished = place.run(&["eval", "tasks.jsonl", "--solutions", "canonical", "--limit", "2", "--json"]);
    assert_eq!((finished.code, &finished.json()["accepted"]), (Some(0), &json!(2)));
    let finished = place.run(&["eval", "tasks.jsonl", "--solutions", "stub", "--json"]);
    assert_eq!((finished.code, &finished.json()["accepted"]), (Some(0), &json!(0)));

    let reader = place.reader();
    let runs = reader.runs().unwrap();
    let judgements: Vec<_> = runs.iter().map(|run| reader.judgements(&run.id).unwrap().len()).collect();
    assert_eq!(judgements, [3, 2, 3]);
    let fingerprint = reader.fingerprint(&runs[0].fingerprint_id).unwrap();
    assert!(fingerprint.toolchains[0].compiler_version.starts_with("Python 3"), "{fingerprint:?}");
}

#[test]
fn samples_of_a_file_are_counted_per_task() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = Place::new(&[("tasks.jsonl", &tasks())]);
    let sample =
        |id: &str, value: u32| json!({"task_id": id, "solution": format!("def f(): return {value}\n")});
    let rows =
        [sample("a", 1), sample("b", 0), sample("a", 0), sample("b", 0), sample("c", 1), sample("c", 1)];
    place.write("samples.jsonl", &jsonl(&rows));
    let report = place.run(&["eval", "tasks.jsonl", "--solutions", "samples.jsonl", "--json"]).json();
    let pass = |at: usize| (report["pass_at_k"][at]["k"].clone(), report["pass_at_k"][at]["mean"].as_f64());
    assert_eq!((pass(0).0, pass(1).0), (json!(1), json!(2)));
    assert!((pass(0).1.unwrap() - 0.5).abs() < 1e-9 && (pass(1).1.unwrap() - 2.0 / 3.0).abs() < 1e-9);
    let failed: Vec<_> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{}{}", row["id"].as_str().unwrap(), row["sample"]))
        .collect();
    assert_eq!(failed, ["a1", "b0", "b1"], "the order is that of the tasks, whatever finished first");

    place.write("one.jsonl", &jsonl(&[sample("a", 1)]));
    let finished = place.run(&["eval", "tasks.jsonl", "--solutions", "one.jsonl"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("2 of 3 tasks have no solution there"), "{finished:?}");
}

#[test]
fn the_published_data_sets_accept_their_own_solutions_and_no_stub() {
    let data = std::env::var_os("ROLLCAGE_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    if !data.join("humaneval").is_dir() {
        eprintln!("skipped: needs the published data sets (ROLLCAGE_DATA)");
        return;
    }
    if !can_run(&["python3"]) {
        return;
    }
    let all = std::env::var_os("ROLLCAGE_LONG").is_some();
    for (name, total) in [("humaneval", 164), ("mbpp", 974), ("cruxeval", 800)] {
        let limit = if all { total } else { 20 };
        let place = Place::new(&[]);
        for (solutions, accepted) in [("canonical", limit), ("stub", 0)] {
            let (data, limit_text) = (data.to_str().unwrap(), limit.to_string());
            let arguments =
                ["eval", name, "--data", data, "--solutions", solutions, "--limit", &limit_text, "--json"];
            let report = place.run(&arguments).json();
            let numbers = ["total", "accepted", "judge_errors"].map(|field| report[field].clone());
            assert_eq!(
                numbers,
                [json!(limit), json!(accepted), json!(0)],
                "{name} {solutions}: {}",
                report["rows"]
            );
        }
    }
}
