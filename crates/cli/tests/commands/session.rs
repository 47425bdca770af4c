//! `rollcage session`: cells from standard input.

use crate::harness::{Files, can_run, rollcage_reading};

#[test]
fn cells_share_an_interpreter() {
    for (language, cells, expected, needs) in [
        ("python", "x = 41\n%%\nx + 1\n", "42\n", "python3"),
        ("bash", "x=41\n%%\necho $((x + 1))\n", "42\n", "bash"),
        (
            "sqlite",
            "create table t (a)\n%%\ninsert into t values (42); select a from t\n",
            "a\n42\n",
            "python3",
        ),
        (
            "postgresql",
            "create table t (a int)\n%%\ninsert into t values (42); select a, null b from t\n",
            "a|b\n42|\n",
            "psql",
        ),
        (
            "duckdb",
            "create table t (a int)\n%%\ninsert into t values (42); select a, null from t\n",
            "a|NULL\n42|NULL\n",
            "duckdb",
        ),
    ] {
        if !can_run(&[needs]) {
            continue;
        }
        let finished = rollcage_reading(&["session", "-l", language], cells.as_bytes());
        assert_eq!((finished.code, finished.text()), (Some(0), expected), "{language}: {finished:?}");
    }
}

#[test]
fn what_fails_is_told_and_files_come_and_go() {
    if !can_run(&["python3"]) {
        return;
    }
    let files = Files::new(&[("in.csv", "a,b\n")]);
    let cells = "open('in.csv').read()\n%%\n:files\n%%\n1/0\n";
    let finished =
        rollcage_reading(&["session", "-l", "py", "--file", &files.at("in.csv")], cells.as_bytes());
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(finished.text(), "'a,b\\n'\n         4  in.csv\n");
    assert!(finished.stderr.ends_with("ZeroDivisionError: division by zero\n"), "{finished:?}");
}

#[test]
fn json_is_one_object_for_each_cell() {
    if !can_run(&["python3"]) {
        return;
    }
    let cells = b"1 + 1\n%%\nwhile True: pass\n";
    let finished = rollcage_reading(&["session", "-l", "python", "--json", "--cpu", "300ms"], cells);
    let lines: Vec<serde_json::Value> =
        finished.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["stdout"], "2\n");
    assert_eq!(lines[0]["displays"][0]["text/plain"], "2");
    assert_eq!(lines[1]["termination"]["detail"], "cpu_time");
    assert_eq!(lines[1]["kept"], true, "an interrupted cell leaves what it did");
}

#[test]
fn what_cannot_be_opened_is_said() {
    let finished = rollcage_reading(&["session", "-l", "pyton"], b"");
    assert_eq!(finished.code, Some(2), "{finished:?}");
    if can_run(&["gcc", "python3"]) {
        let finished = rollcage_reading(&["session", "-l", "c"], b"");
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains("python, r, ruby, sqlite"), "{finished:?}");
        let finished = rollcage_reading(&["session", "-l", "python", "--preload", "pandsa"], b"");
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains("known here are: numpy, pandas, data"), "{finished:?}");
    }
}
