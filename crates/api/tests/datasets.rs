//! Published data sets become tasks.

#![expect(clippy::disallowed_methods, reason = "the ban is for the crate; its tests read files")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::path::PathBuf;

use rollcage_api::{DatasetItem, DatasetKind, gunzip};
use rollcage_judge::{Tests, assemble_program};

fn data(name: &str) -> Option<Vec<u8>> {
    let directory = std::env::var_os("ROLLCAGE_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let Ok(bytes) = std::fs::read(directory.join(name)) else {
        eprintln!("skipped: the data set {name} is missing");
        return None;
    };
    Some(gunzip(&bytes).unwrap().into_owned())
}

fn read(kind: DatasetKind, text: &str) -> Vec<DatasetItem> {
    assert_eq!(DatasetKind::detect(text.as_bytes()), Some(kind), "{text}");
    kind.read(text.as_bytes()).unwrap()
}

fn program(item: &DatasetItem, solution: &str) -> String {
    assemble_program(&item.task.problem.tests, solution, None)
}

#[test]
fn humaneval_completes_a_prompt() {
    let row = r#"{"task_id":"HumanEval/0","prompt":"def f():\n    \"\"\"One.\"\"\"\n","entry_point":"f",
        "canonical_solution":"    return 1\n","test":"def check(c):\n    assert c() == 1\n"}"#;
    let item = &read(DatasetKind::HumanEval, &row.replace("\n        ", ""))[0];
    assert_eq!(
        program(item, item.canonical_solution.as_deref().unwrap()),
        "def f():\n    \"\"\"One.\"\"\"\n    return 1\ndef check(c):\n    assert c() == 1\n\ncheck(f)\n"
    );
    // A whole program builds on what the prompt gave: its imports and the functions above the one asked for.
    assert_eq!(
        assemble_program(&item.task.problem.for_whole_programs().tests, "def f(): return 1", None),
        "def f():\n    \"\"\"One.\"\"\"\n\ndef f(): return 1\ndef check(c):\n    assert c() == 1\n\ncheck(f)\n"
    );
    assert_eq!(item.stub_solution, "    pass\n");
    assert_eq!(item.task.problem.language.as_deref(), Some("python"));
    assert!(item.task.messages[0].content.contains("```python\ndef f():\n"));
}

#[test]
fn mbpp_runs_code_then_setup_then_asserts() {
    let full = r#"{"task_id":7,"text":"Do it.","code":"def f(x): return x","test_setup_code":"a = 1",
        "test_list":["assert f(a) == 1","assert f(2) == 2"],"challenge_test_list":["assert f(3) == 3"]}"#;
    let item = &read(DatasetKind::Mbpp, &full.replace("\n        ", ""))[0];
    assert_eq!(item.task.id.as_str(), "MBPP/7");
    assert_eq!(
        program(item, item.canonical_solution.as_deref().unwrap()),
        "def f(x): return x\na = 1\nassert f(a) == 1\nassert f(2) == 2\n"
    );
    let sanitized = r#"[{"task_id":8,"prompt":"Do it.","code":"x","test_imports":["import math"],
        "test_list":["assert math.pi"],"source_file":"s"}]"#;
    let item = &read(DatasetKind::Mbpp, sanitized)[0];
    assert_eq!(program(item, &item.stub_solution), "import math\nassert math.pi\n");
}

#[test]
fn cruxeval_asserts_an_output() {
    let row = r#"{"code":"def f(a, b):\n    return a","input":"1, 2","output":"1","id":"sample_0"}"#;
    let item = &read(DatasetKind::CruxEval, row)[0];
    assert_eq!(
        program(item, item.canonical_solution.as_deref().unwrap()),
        "def f(a, b):\n    return a\nassert f(1, 2) == 1\n"
    );
}

#[test]
fn agnostics_rows_are_cases_for_any_language() {
    for (row, id, language, cases) in [
        (
            r#"{"idx":3,"prompt":"p","lang":"lua","test_cases":[{"input":"1","output":"2"}]}"#,
            "3",
            Some("lua"),
            1,
        ),
        (
            r#"{"description":"d","input_format":"i","output_format":"o","original_task_id":11,
               "tests":[{"input":"1","output":"2"},{"input":"3","output":"4"}]}"#,
            "11",
            None,
            2,
        ),
        (
            r#"{"idx":"12","source_id":"1A","prompt":null,"problem_statement":"s","time_limit":1.5,
               "memory_limit":256,"input_format":"i","output_format":"o","problem_notes":"n",
               "examples":[{"input":"1","output":"2"},{"input":"3","output":"4"}]}"#,
            "12",
            None,
            2,
        ),
    ] {
        let item = &read(DatasetKind::Agnostics, &row.replace("\n               ", ""))[0];
        let problem = &item.task.problem;
        assert_eq!((item.task.id.as_str(), problem.language.as_deref()), (id, language));
        let Tests::Cases(found) = &problem.tests else { panic!("{id} has no cases") };
        assert_eq!((found.len(), &*found[0].stdin, &*found[0].expected), (cases, &b"1"[..], &b"2"[..]));
        let ask = &item.task.messages[0].content;
        assert_eq!(ask.contains("Input:\n```\n1\n```\nOutput:\n```\n2\n```"), id != "3", "{ask}");
        assert!(!ask.contains("```\n3\n```"), "the last example is not shown: {ask}");
        if id == "12" {
            assert_eq!(problem.limits.cpu_time.unwrap().as_millis(), 1500);
            assert_eq!(problem.limits.memory.unwrap().to_string(), "256MiB");
        }
    }
}

#[test]
fn rows_that_cannot_be_judged_are_refused() {
    for (kind, row, expected) in [
        (
            DatasetKind::Agnostics,
            r#"{"idx":1,"prompt":"p","test_cases":[]}"#,
            "row 1: the problem has no test cases",
        ),
        (DatasetKind::Agnostics, r#"{"prompt":"p","test_cases":[]}"#, "row 1: expected one of `idx`"),
        (
            DatasetKind::Agnostics,
            r#"{"idx":1,"prompt":"p","time_limit":-1,"test_cases":[]}"#,
            "row 1, `time_limit`: expected seconds",
        ),
        (
            DatasetKind::Mbpp,
            r#"{"task_id":1,"text":"t","code":"","test_list":[]}"#,
            "row 1, `test_list`: there is no",
        ),
        (
            DatasetKind::HumanEval,
            r#"{"task_id":1}"#,
            "row 1, `task_id`: invalid type: integer `1`, expected a string",
        ),
    ] {
        let error = kind.read(row.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn formats_have_names() {
    for kind in DatasetKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    assert_eq!("HumanEval".parse(), Ok(DatasetKind::HumanEval));
    let error = "humanevl".parse::<DatasetKind>().unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `humaneval`?"));
    assert_eq!(DatasetKind::detect(b"not json"), None);
    assert_eq!(DatasetKind::detect(b"{\"a\":1}"), None);
}

#[test]
fn the_selection_of_apps_is_read_whole() {
    let Some(bytes) = data("apps-stdin/apps_selected.json.gz") else { return };
    assert_eq!(DatasetKind::detect(&bytes), Some(DatasetKind::Apps));
    let items = DatasetKind::Apps.read(&bytes).unwrap();
    let cases = |item: &DatasetItem| match &item.task.problem.tests {
        Tests::Cases(cases) => cases.len(),
        Tests::Code { .. } => 0,
    };
    assert_eq!((items.len(), items.iter().map(cases).sum::<usize>()), (150, 3497));
    assert!(items.iter().all(|item| item.canonical_solution.is_none()));
}

#[test]
fn the_published_files_are_read_whole() {
    for (name, kind, count) in [
        ("humaneval/HumanEval.jsonl.gz", DatasetKind::HumanEval, 164),
        ("mbpp/mbpp.jsonl", DatasetKind::Mbpp, 974),
        ("mbpp/sanitized-mbpp.json", DatasetKind::Mbpp, 427),
        ("cruxeval/cruxeval.jsonl", DatasetKind::CruxEval, 800),
    ] {
        let Some(bytes) = data(name) else { continue };
        assert_eq!(DatasetKind::detect(&bytes), Some(kind), "{name}");
        let items = kind.read(&bytes).unwrap();
        assert_eq!(items.len(), count, "{name}");
        assert!(items.iter().all(|item| item.task.problem.validate().is_ok()));
        assert!(items.iter().all(|item| item.canonical_solution.as_ref().unwrap() != &item.stub_solution));
    }
}
