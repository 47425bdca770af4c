//! `rollcage session`: cells from standard input.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rollcage_api::ExitCode;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Files, can_run, command, rollcage_reading};

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

#[test]
fn a_conversation_goes_on_after_what_a_program_did() {
    if !can_run(&["python3"]) {
        return;
    }
    let cells = "x = 1\n%%\nimport os; os._exit(3)\n%%\nx\n%%\n:restore\n%%\nx\n%%\n:fork 1000000000000000\n";
    let finished = rollcage_reading(&["session", "-l", "python"], cells.as_bytes());
    assert_eq!((finished.code, finished.text()), (Some(1), "1\n"), "{finished:?}");
    for told in [
        "cell 2 ended its interpreter, which exited with code 3",
        "restore it, or close it",
        "1000000000000000 forks at once are more than",
    ] {
        assert!(finished.stderr.contains(told), "{told}: {finished:?}");
    }
    let finished =
        rollcage_reading(&["session", "-l", "python", "--json"], b"import os; os._exit(3)\n%%\n1\n");
    let lines: Vec<serde_json::Value> =
        finished.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), lines[1]["error"].is_string()), (2, true), "{finished:?}");
    let finished = rollcage_reading(&["session", "-l", "python"], b":nope\n%%\nprint(1)\n");
    assert_eq!(
        (finished.code, finished.text()),
        (Some(ExitCode::BadInput.number().into()), ""),
        "{finished:?}"
    );
    // To a shell a colon is a command.
    let finished = rollcage_reading(&["session", "-l", "bash"], b": >file\n%%\n:\n%%\nls\n");
    assert_eq!((finished.code, finished.text()), (Some(0), "file\n"), "{finished:?}");
}

#[test]
fn signals_interrupt_a_cell_and_end_the_command() {
    if !can_run(&["python3"]) {
        return;
    }
    for (signal, code, rest, seconds) in
        [(Signal::INT, 0, "2\n", 3723), (Signal::TERM, ExitCode::Cancelled.number(), "", 3724)]
    {
        // Another run of this test must not be taken for this one.
        let time = format!("{seconds}.{}", std::process::id());
        let mut child = command(&["session", "-l", "python"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let cells = format!("import subprocess; subprocess.run(['sleep', '{time}'])\n%%\n1 + 1\n");
        child.stdin.take().unwrap().write_all(cells.as_bytes()).unwrap();
        let began = Instant::now();
        while !is_running(&["sleep", &time]) {
            assert!(began.elapsed() < Duration::from_secs(60), "the cell does not begin");
            std::thread::yield_now();
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), shown.as_str()), (Some(code.into()), rest), "{signal:?}");
        assert!(!is_running(&["sleep", &time]), "{signal:?}");
    }
}

/// Whether any process of the machine was executed so.
fn is_running(arguments: &[&str]) -> bool {
    let wanted = arguments.iter().flat_map(|word| word.bytes().chain([0])).collect::<Vec<_>>();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .any(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|read| read == wanted))
}

/// Speaks at a terminal: what is expected, and what is then typed.
const TERMINAL: &str = r#"
import os, pty, signal, sys
process, terminal = pty.fork()
if process == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
def expect(text):
    global seen
    while text.encode() not in seen:
        seen += os.read(terminal, 4096)
    seen = seen.partition(text.encode())[2]
def type_in(line):
    os.write(terminal, line.encode() + b"\r")
signal.alarm(60)
expect("1> ")
type_in(r"name = input('\x1b]0;OWNED\x07? ')")
expect("␛]0;OWNED␇?")
type_in("me")
expect("2> ")
type_in("name")
expect("'me'")
expect("3> ")
os.kill(process, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"#;

#[test]
fn a_terminal_is_not_acted_upon_and_the_prompt_ends_when_asked() {
    if !can_run(&["python3"]) {
        return;
    }
    let output = std::process::Command::new("python3")
        .args(["-c", TERMINAL])
        .arg(command(&[]).get_program())
        .args(["session", "-l", "python"])
        .env("TERM", "xterm")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(shown.trim(), ExitCode::Cancelled.number().to_string(), "{output:?}");
}
