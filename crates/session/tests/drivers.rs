//! The drivers by themselves, without a cage: the cells here are our own and harmless.

mod conversations;

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rollcage_language::LanguageSet;
use rollcage_session::{
    Cell, CellEffect, Ending, LostReason, OpenError, Session, SessionError, SessionSpec, SessionState,
};
use rollcage_types::{
    Captured, Collect, Enforcement, ExecOutcome, ExecRequest, FileEntry, IsolationLevel, LimitKind,
    LimitOverrides, RelativePath, Termination, Usage,
};

/// As in the cage, so that what runs here is what runs there.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Does what a host does, without confining anything.
fn run_unconfined(request: &ExecRequest) -> ExecOutcome {
    let workspace = tempfile::tempdir().expect("a temporary directory");
    for file in &request.files {
        let path = workspace.path().join(file.path.as_str());
        std::fs::create_dir_all(path.parent().expect("below the workspace")).expect("a directory");
        std::fs::write(path, &file.content).expect("a file");
    }
    let mut child = Command::new(&request.argv[0])
        .args(&request.argv[1..])
        .current_dir(workspace.path())
        .env_clear()
        .envs([("PATH", PATH), ("LANG", "C.UTF-8"), ("HOME", "/tmp")])
        .envs(request.env_vars.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A cell that does not read its input is no fault.
    stdin.write_all(&request.stdin).ok();
    drop(stdin);
    let output = child.wait_with_output().expect("the interpreter ends");
    let termination = match output.status.code() {
        Some(code) => Termination::Exited { code: u8::try_from(code).expect("codes are bytes") },
        None => Termination::Signaled { signal: output.status.signal().expect("neither code nor signal") },
    };
    let Collect::Files(paths) = &request.collect else {
        return outcome(termination, &output.stdout, "", Vec::new());
    };
    let read = |path: &RelativePath| {
        let content = std::fs::read(workspace.path().join(path.as_str())).ok()?;
        Some(FileEntry::new(path.clone(), content))
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    outcome(termination, &output.stdout, &stderr, paths.iter().filter_map(read).collect())
}

fn outcome(termination: Termination, stdout: &[u8], stderr: &str, files: Vec<FileEntry>) -> ExecOutcome {
    ExecOutcome {
        termination,
        start: rollcage_types::Start::Cold,
        stdout: Captured::whole(stdout),
        stderr: Captured::whole(stderr),
        usage: Usage {
            cpu_time: Duration::from_secs(1),
            wall_time: Duration::from_secs(2),
            ..Usage::default()
        },
        network: rollcage_types::NetworkLog::default(),
        enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
        files,
        files_omitted: 0,
    }
}

fn open(language: &str, spec: SessionSpec) -> Session {
    let set = LanguageSet::built_in();
    Session::open(Arc::clone(set.find(language).expect("built in")), spec).expect("it opens")
}

/// What a host would return for a run whose driver reported this.
fn reported(termination: Termination, report: &str) -> ExecOutcome {
    let path = RelativePath::new(".rollcage/report").expect("a plain path");
    outcome(termination, b"", "", vec![FileEntry::new(path, report.as_bytes())])
}

const SUCCESS: Termination = Termination::Exited { code: 0 };

#[test]
fn every_conversation_is_held() {
    for (name, language, turns) in conversations::all() {
        let set = LanguageSet::built_in();
        let program = set.find(language).expect("built in").run_command().program().to_owned();
        if !PATH.split(':').any(|directory| std::path::Path::new(directory).join(&program).exists()) {
            eprintln!("skipped: {program} is not installed, so `{name}` is not held");
            continue;
        }
        conversations::hold(name, language, turns, &mut |session, cell| {
            let request = session.request(&cell).expect("the session is ready");
            session.absorb(cell, run_unconfined(&request)).expect("the replay holds")
        });
    }
}

#[test]
fn a_replay_has_room_in_the_limits_of_the_next_cell() {
    let limits = LimitOverrides { processes: Some(8), ..LimitOverrides::default() };
    let mut session = open("bash", SessionSpec { limits, ..SessionSpec::default() });
    let cell = Cell::new("exit 0");
    let first = session.request(&cell).expect("ready");
    session.absorb(cell.clone(), reported(SUCCESS, "1 start\n1 end exited 0\n")).expect("kept");
    let second = session.request(&cell).expect("ready");
    assert_eq!(second.limits.cpu_time, first.limits.cpu_time + Duration::from_millis(2500));
    assert_eq!(second.limits.wall_time, first.limits.wall_time + Duration::from_millis(4500));
    assert_eq!((first.limits.processes, second.limits.processes), (8, 10));
    assert_eq!(second.limits.memory, first.limits.memory);
    let kept = session.absorb(cell, reported(SUCCESS, "1 start\n1 end exited 0\n2 start\n2 end exited 0\n"));
    assert_eq!(kept.expect("kept").own_cpu_time(), Duration::ZERO);
}

#[test]
fn what_a_run_says_decides_what_is_kept() {
    let limit = Termination::LimitExceeded(LimitKind::CpuTime);
    let lost = |reason| Some(CellEffect::Lost(reason));
    let ended = lost(LostReason::InterpreterEnded);
    for (termination, report, effect) in [
        (SUCCESS, "2 start\n2 end returned\n", Some(CellEffect::Kept)),
        (Termination::Exited { code: 1 }, "2 start\n2 end raised E\n", Some(CellEffect::Kept)),
        (Termination::Exited { code: 1 }, "2 start\n2 end returned\n", ended),
        (SUCCESS, "2 start\n", ended),
        (Termination::Signaled { signal: 11 }, "2 start\n2 end returned\n", ended),
        (limit, "2 start\n", lost(LostReason::Limit(LimitKind::CpuTime))),
        (limit, "2 start\n2 end returned\n", lost(LostReason::Limit(LimitKind::CpuTime))),
        (Termination::Cancelled, "", lost(LostReason::Cancelled)),
        (SUCCESS, "", None),
        (limit, "", None),
    ] {
        let mut session = open("python", SessionSpec::default());
        session.absorb(Cell::new("a"), reported(SUCCESS, "1 start\n1 end returned\n")).expect("kept");
        let absorbed =
            session.absorb(Cell::new("b"), reported(termination, &format!("1 end returned\n{report}")));
        assert_eq!(
            absorbed.as_ref().ok().map(|outcome| outcome.effect),
            effect,
            "{termination:?} {report:?}"
        );
        // A replay that ran out of time may be tried again; one that stopped by itself may not.
        let is_poisoned = matches!(session.state(), SessionState::Poisoned(_));
        assert_eq!(
            is_poisoned,
            absorbed.is_err_and(|error| !error.is_retryable()),
            "{termination:?} {report:?}"
        );
        let request = session.request(&Cell::new("c"));
        let cells = |request: ExecRequest| {
            request.files.iter().filter(|file| file.path.as_str().ends_with("/2.py")).count()
        };
        let is_replayed = request.ok().map(cells);
        let expected = match effect {
            Some(CellEffect::Kept) => Some(1),
            Some(CellEffect::Lost(_)) => Some(0),
            Some(CellEffect::Stateless) | None => is_replayed,
        };
        assert_eq!(is_replayed, expected, "{termination:?} {report:?}");
    }
}

#[test]
fn a_cell_that_ends_otherwise_poisons_the_session() {
    let mut session = open("python", SessionSpec::default());
    session.absorb(Cell::new("a"), reported(SUCCESS, "1 start\n1 end returned\n")).expect("kept");
    let report = "1 start\n1 end raised E\n2 start\n2 end returned\n";
    let error = session.absorb(Cell::new("b"), reported(SUCCESS, report)).expect_err("it diverged");
    let expected = (1, Ending::Returned, Ending::Raised("E".to_owned()));
    assert!(matches!(&error, SessionError::Diverged { cell, first, again }
        if (*cell, first.clone(), again.clone()) == expected));
    let message = "cell 1 ended otherwise when it was replayed: it returned, then it raised E";
    assert_eq!(session.state(), &SessionState::Poisoned(message.to_owned()));
    assert!(matches!(session.request(&Cell::new("c")), Err(SessionError::Poisoned { .. })));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let mut session = open("python", SessionSpec::default());
    let long = Cell::new("x".repeat((1 << 20) + 1));
    assert!(matches!(session.request(&long), Err(SessionError::CellTooLong { .. })));
    session.close();
    assert!(matches!(session.request(&Cell::new("a")), Err(SessionError::Closed)));

    let path = RelativePath::new(".rollcage/driver.py").expect("a plain path");
    let spec = SessionSpec { files: vec![FileEntry::new(path.clone(), *b"")], ..SessionSpec::default() };
    let set = LanguageSet::built_in();
    let refused =
        Session::open(Arc::clone(set.find("python").expect("built in")), spec).expect_err("reserved");
    assert_eq!(refused, OpenError::ReservedPath { path });
}

#[test]
fn a_compiled_cell_runs_from_what_its_compiler_left() {
    let session = open("c", SessionSpec::default());
    let cell = Cell { stdin: Arc::from(*b"in"), ..Cell::new("int main(void) {}") };
    let compile = session.request(&cell).expect("ready");
    assert!(session.compiles() && compile.argv[0] == "gcc" && compile.stdin.is_empty());
    let program = FileEntry::new(RelativePath::new("program").expect("a plain path"), *b"ELF");
    let run = session.run_compiled_request(&cell, vec![program.clone()]);
    assert_eq!((run.argv, run.files, &*run.stdin), (vec!["./program".to_owned()], vec![program], &b"in"[..]));
}
