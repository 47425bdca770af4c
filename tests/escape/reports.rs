//! What a hostile program says, in the reports that people read: nothing of it may act on their terminal.
//!
//! The control is `rollcage run`, which passes a program's bytes through: there the same words do arrive as they are.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Clears the screen, retitles the window, moves the cursor, turns text around, and is no text in the end.
const WORDS: &str = r"\x1b[2J\x1b]0;owned\x07\r\x08\x7f\u202eABC\u2069\x9b31m";

/// A problem's name is somebody's too.
const TASK: &str = "hostile\u{1b}[31m";

#[test]
fn what_programs_print_acts_on_no_terminal() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: reports of hostile programs: cages need root");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    let program = format!(
        "import os, sys\nwords = '{WORDS}'\nprint(words)\nos.write(1, b'\\xff\\xfe\\n')\nprint(words, file=sys.stderr)\nraise ValueError(words)\n"
    );
    let solution = serde_json::json!({"task_id": TASK, "solution": program});
    let cases = [serde_json::json!({"stdin": "", "expected": "fine
"})];
    let problem = serde_json::json!({"id": TASK, "prompt": "", "language": "python", "cases": cases});
    fs::write(path("program.py"), &program).expect("the directory is ours");
    fs::write(path("\u{1b}[31mname.py"), "print(1)\n").expect("the directory is ours");
    fs::write(path("samples.jsonl"), solution.to_string()).expect("the directory is ours");
    fs::write(path("problems.jsonl"), problem.to_string()).expect("the directory is ours");

    let passed_through = rollcage(directory.path(), &["run", "program.py"]);
    assert!(acts_on_terminals(&passed_through.stdout), "the control prints nothing that acts");
    let judging = ["judge", "samples.jsonl", "--problems", "problems.jsonl", "--lang", "python"];
    let judging_json = [&judging[..], &["--json"]].concat();
    for (arguments, code) in [
        (&["run", "--json", "program.py"][..], 1),
        (&["run", "--lang", "\u{1b}[31m", "program.py"], 2),
        (&["run", "no-such-\u{1b}[31mname.py"], 111),
        (&["run", "\u{1b}[31mname.py", "--wall", "\u{1b}[31m"], 2),
        (&judging, 1),
        (&judging_json, 1),
        (&["judge", "program.py", "--problems", "problems.jsonl", "--lang", "python"], 111),
    ] {
        let report = rollcage(directory.path(), arguments);
        assert_eq!(report.status.code(), Some(code), "{arguments:?}: {report:?}");
        for (stream, bytes) in [("output", &report.stdout), ("errors", &report.stderr)] {
            let shown = String::from_utf8_lossy(bytes);
            assert!(!acts_on_terminals(bytes), "{arguments:?}: the {stream} act on terminals: {shown:?}");
        }
        assert!(!report.stdout.is_empty() || !report.stderr.is_empty(), "{arguments:?} says nothing");
    }
}

fn rollcage(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rollcage"))
        .args(arguments)
        // What a report says does not depend on what keeps its accounts.
        .args(["--accounting", "best"])
        .current_dir(directory)
        .env_remove("ROLLCAGE_LOG")
        .output()
        .expect("the command starts")
}

/// Control characters but line feeds and tabs, marks that turn text around, and what is no text.
fn acts_on_terminals(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Err(_) => true,
        Ok(text) => text.chars().any(|character| {
            let is_layout = matches!(character, '\n' | '\t');
            character.is_control() && !is_layout
                || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        }),
    }
}
