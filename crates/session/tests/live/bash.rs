//! What a bash session does, for well-meaning cells and others.

use std::sync::Arc;
use std::time::Duration;

use rollcage_session::Ending;
use rollcage_session::live::{CellLimits, LiveCell, LiveSpec, LiveState};
use rollcage_types::{LimitKind, Limits, Termination};

use crate::{Ground, check, open, run, slowly, text};

pub(crate) fn all(ground: &Ground) {
    what_one_cell_defines_the_next_finds(ground);
    an_exit_ends_the_cell_and_not_the_session(ground);
    an_interrupt_ends_the_cell_and_not_the_session(ground);
    input_is_the_cells_own(ground);
    it_is_put_aside_and_comes_back(ground);
}

fn what_one_cell_defines_the_next_finds(ground: &Ground) {
    let session = open(&ground.roomy(), "bash", LiveSpec::default());
    for (source, stdout) in [
        ("x=41", ""),
        ("echo $((x + 1))", "42\n"),
        ("f() { echo \"f $1 $x\"; }; declare -A map=([a]=1)", ""),
        ("f y; echo ${map[a]}", "f y 41\n1\n"),
        ("mkdir d; cd d; pwd", "/ws/work/d\n"),
        ("pwd; echo hi >file; ls", "/ws/work/d\nfile\n"),
        ("echo no newline | tr -d '\\n'", "no newline"),
        ("set -u; alias a=b; export Y=z", ""),
        ("env | grep ^Y=; (echo sub; exit 3); echo $?", "Y=z\nsub\n3\n"),
        ("cat <<END\n$x\nEND", "41\n"),
        ("", ""),
        ("printf 'ä%s' ü", "äü"),
    ] {
        check(&session, source, stdout);
    }
    assert_eq!(run(&session, "false").ending, Some(Ending::Status(1)));
    assert_eq!(run(&session, "( exit 7 )").termination, Termination::Exited { code: 7 });
    assert_eq!(run(&session, "if then fi").ending, Some(Ending::Status(2)));
}

fn an_exit_ends_the_cell_and_not_the_session(ground: &Ground) {
    let session = open(&ground.roomy(), "bash", LiveSpec::default());
    run(&session, "x=1; f() { echo f; }");
    let outcome = run(&session, "x=2; exit 3; x=4");
    assert_eq!(
        (outcome.ending, outcome.termination),
        (Some(Ending::Exited(3)), Termination::Exited { code: 3 })
    );
    check(&session, "echo $x; f", "2\nf\n");
    assert_eq!(run(&session, "set -e; false; x=5").ending, Some(Ending::Exited(1)));
    assert_eq!(run(&session, "set +e; set -u; echo $missing; x=5").ending, Some(Ending::Exited(1)));
    check(&session, "echo $x", "2\n");
    run(&session, "trap 'echo bye' EXIT");
    check(&session, "echo before; exit", "before\nbye\n");
    check(&session, "echo $x", "2\n");
    session.evict().expect("the shells that wait are no obstacle");
    check(&session, "echo $x; f", "2\nf\n");
}

fn an_interrupt_ends_the_cell_and_not_the_session(ground: &Ground) {
    let session = open(&ground.roomy(), "bash", LiveSpec::default());
    run(&session, "x=kept");
    // With one short limit, so that a busy machine has it meet no other.
    let run_briefly = |cell: &str, limit: LimitKind| {
        let mut limits = CellLimits::from(&Limits::default());
        if limit == LimitKind::CpuTime {
            limits.cpu_time = slowly(Duration::from_millis(300));
        } else {
            limits.wall_time = slowly(Duration::from_millis(900));
        }
        session.execute(&LiveCell { limits: Some(limits), ..LiveCell::new(cell) }, &mut |_| None).unwrap()
    };
    for (cell, limit) in [
        ("while :; do :; done", LimitKind::CpuTime),
        ("sleep 60; echo no", LimitKind::WallTime),
        ("while :; do sleep 0.3; done", LimitKind::WallTime),
        ("sleep 60 | cat; echo no", LimitKind::WallTime),
    ] {
        let outcome = run_briefly(cell, limit);
        assert_eq!(outcome.termination, Termination::LimitExceeded(limit), "{cell}");
        assert_eq!(session.state(), LiveState::Ready, "{cell}");
        check(&session, "echo $x", "kept\n");
    }
    // A background job goes on, and is there for the next cell.
    check(&session, "sleep 60 & echo started", "started\n");
    check(&session, "jobs %1 >/dev/null && kill %1 && echo killed", "killed\n");
    let outcome = run_briefly("trap '' INT; while :; do :; done", LimitKind::CpuTime);
    assert_eq!(outcome.termination, Termination::LimitExceeded(LimitKind::CpuTime));
    assert!(matches!(session.state(), LiveState::Poisoned(_)));
}

fn input_is_the_cells_own(ground: &Ground) {
    let session = open(&ground.roomy(), "bash", LiveSpec::default());
    let cell = |source: &str, stdin: &str| {
        let cell = LiveCell { stdin: Arc::from(stdin.as_bytes()), ..LiveCell::new(source) };
        text(&session.execute(&cell, &mut |_| None).unwrap().stdout)
    };
    assert_eq!(cell("read a; cat", "one\ntwo\nthree"), "two\nthree");
    assert_eq!(cell("echo $a; read b || echo end", ""), "one\nend\n");
    check(&session, "ls -A /tmp | grep -v work", "");
    // Whatever it is, and whatever its tools are called by then.
    assert_eq!(cell("od -An -tx1", "a\0b\0"), " 61 00 62 00\n");
    assert_eq!(cell("wc -c", &"\0x".repeat(1 << 19)), "1048576\n");
    run(
        &session,
        "printf() { echo mine; }; rm() { echo mine; }; trap 'echo trapped' CHLD; PATH=/nowhere; set -eu",
    );
    assert_eq!(cell("read -r -d '' a; read -r -d '' b; echo $a $b", "a\0b\0"), "a b\n");
    check(&session, "PATH=/usr/bin; trap - CHLD", "");
    assert_eq!(cell("cat", "\\n \\\\ \\0101 %d\n"), "\\n \\\\ \\0101 %d\n");
    // A shell leaves them out of its scripts.
    check(&session, "echo a\0b", "ab\n");
}

fn it_is_put_aside_and_comes_back(ground: &Ground) {
    let session = open(&ground.roomy(), "bash", LiveSpec { seed: 5, ..LiveSpec::default() });
    run(&session, "x=1; f() { echo f $x; }; mkdir d; cd d; echo hi >file");
    let drawn = text(&run(&session, "echo $RANDOM").stdout);
    run(&session, "exit 2");
    session.evict().unwrap();
    let outcome = run(&session, "f; pwd; cat file");
    assert_eq!(text(&outcome.stdout), "f 1\n/ws/work/d\nhi\n");
    let rehydrated = outcome.rehydrated.unwrap();
    assert_eq!((rehydrated.cells, rehydrated.diverged), (3, vec![]), "drew {drawn}");
}
