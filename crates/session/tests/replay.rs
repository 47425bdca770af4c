//! Sessions in real cages. Needs root and cgroups; without them it says what is missing and passes.

mod conversations;

use std::sync::Arc;
use std::time::Duration;

use rollcage_language::LanguageSet;
use rollcage_sandbox::{Cancel, Host, HostConfig};
use rollcage_session::{Cell, CellEffect, CellOutcome, CellStage, LostReason, Session, SessionSpec};
use rollcage_types::{ByteSize, FileEntry, LimitKind, LimitOverrides, RelativePath, Termination};

fn main() {
    rollcage_sandbox::launcher_main_if_asked();
    let host = match Host::start(&HostConfig { slots: 1, ..HostConfig::default() }) {
        Ok(host) => host,
        Err(error) => {
            eprintln!("skipped: sessions in cages, because the host cannot start: {error}");
            return;
        }
    };
    every_conversation_is_held(&host);
    a_cell_that_hits_a_limit_is_lost_and_the_session_goes_on(&host);
    a_replay_is_not_charged_to_the_new_cell(&host);
    a_cancelled_cell_is_lost(&host);
    files_are_read_back_without_our_own(&host);
    compiled_cells_run_alone(&host);
    println!("sessions in cages: all held");
}

fn open(language: &str, limits: LimitOverrides) -> Session {
    let set = LanguageSet::built_in();
    let spec = SessionSpec { seed: 7, limits, ..SessionSpec::default() };
    Session::open(Arc::clone(set.find(language).expect("built in")), spec).expect("it opens")
}

fn run(session: &mut Session, host: &Host, source: &str) -> CellOutcome {
    session.run(host, Cell::new(source), &Cancel::new()).expect("the session goes on")
}

/// Whether the host has the language's toolchain where cages see it.
fn is_installed(language: &str) -> bool {
    let set = LanguageSet::built_in();
    let toolchain = &set.find(language).expect("built in").toolchain;
    let missing = toolchain.iter().find(|program| {
        !["/usr/local/bin", "/usr/bin"].iter().any(|at| std::path::Path::new(at).join(program).exists())
    });
    if let Some(program) = missing {
        eprintln!("skipped: what needs {language}, because {program} is not installed");
    }
    missing.is_none()
}

fn every_conversation_is_held(host: &Host) {
    for (name, language, turns) in conversations::all() {
        if is_installed(language) {
            conversations::hold(name, language, turns, &mut |session, cell| {
                session.run(host, cell, &Cancel::new()).expect("the replay holds")
            });
        }
    }
}

fn a_cell_that_hits_a_limit_is_lost_and_the_session_goes_on(host: &Host) {
    let limits = LimitOverrides {
        cpu_time: Some(Duration::from_secs(1)),
        memory: Some(ByteSize::mib(64)),
        ..LimitOverrides::default()
    };
    for (language, spin, hoard, set, show) in [
        ("python", "a = 2\nwhile True: pass", "a = 3\nb = b'x' * 2**28", "a = 1", "print(a)"),
        (
            "bash",
            "a=2; while :; do :; done",
            "a=3; b=0123456789abcdef; while :; do b+=$b; done",
            "a=1",
            "echo $a",
        ),
    ] {
        let mut session = open(language, limits.clone());
        assert_eq!(run(&mut session, host, set).effect, CellEffect::Kept, "{language}");
        for (source, kind) in [(spin, LimitKind::CpuTime), (hoard, LimitKind::Memory)] {
            let outcome = run(&mut session, host, source);
            assert_eq!(outcome.run.termination, Termination::LimitExceeded(kind), "{language}");
            assert_eq!(outcome.effect, CellEffect::Lost(LostReason::Limit(kind)), "{language}");
        }
        assert_eq!(run(&mut session, host, show).run.stdout.to_text(), "1\n", "{language}");
    }
}

fn a_replay_is_not_charged_to_the_new_cell(host: &Host) {
    let limits = LimitOverrides { cpu_time: Some(Duration::from_secs(1)), ..LimitOverrides::default() };
    let mut session = open("python", limits);
    let burn = "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass";
    for turn in 1..=3 {
        let outcome = run(&mut session, host, burn);
        assert_eq!(outcome.effect, CellEffect::Kept, "turn {turn}: {:?}", outcome.run.termination);
    }
}

fn a_cancelled_cell_is_lost(host: &Host) {
    let mut session = open("python", LimitOverrides::default());
    run(&mut session, host, "a = 1");
    let cancel = Cancel::new();
    cancel.cancel();
    let outcome = session.run(host, Cell::new("a = 2"), &cancel).expect("cancelling is an outcome");
    assert_eq!(outcome.effect, CellEffect::Lost(LostReason::Cancelled));
    assert_eq!(run(&mut session, host, "a").run.stdout.to_text(), "1\n");
}

fn files_are_read_back_without_our_own(host: &Host) {
    let set = LanguageSet::built_in();
    let path = RelativePath::new("result.txt").expect("a plain path");
    let spec = SessionSpec { collect: vec![path.clone()], ..SessionSpec::default() };
    let mut session = Session::open(Arc::clone(set.find("bash").expect("built in")), spec).expect("it opens");
    assert_eq!(run(&mut session, host, "echo one >result.txt").run.files.len(), 1);
    let outcome = run(&mut session, host, "echo two >>result.txt");
    assert_eq!(outcome.run.files, [FileEntry::new(path, *b"one\ntwo\n")]);
}

fn compiled_cells_run_alone(host: &Host) {
    if !is_installed("c") {
        return;
    }
    let mut session = open("c", LimitOverrides::default());
    let outcome = run(&mut session, host, "#include <stdio.h>\nint main(void) { puts(\"ran\"); }");
    assert_eq!((outcome.stage, outcome.effect), (CellStage::Run, CellEffect::Stateless));
    assert_eq!(outcome.run.stdout.to_text(), "ran\n");
    let outcome = run(&mut session, host, "int main(void) { return x; }");
    assert_eq!((outcome.stage, outcome.number), (CellStage::Compile, 2));
    assert!(outcome.run.stderr.to_text().contains("undeclared"));
}
