//! What holds at every isolation level and every tier of accounting, as far as root can start it.

use std::time::Duration;

use rollcage_sandbox::{Accounting, Cancel, Host, HostConfig, HostError};
use rollcage_types::{
    ByteSize, Collect, ExecRequest, IsolationLevel, LimitKind, Mechanism, MechanismState, Termination,
};

use crate::harness::{configuration, exceeded, exited, file, host, python, run, sh, signaled, text, with};
use crate::traces::wait_until;

/// Every level with groups and without.
const KINDS: [(IsolationLevel, Accounting); 6] = [
    (IsolationLevel::Full, Accounting::Kernel),
    (IsolationLevel::Full, Accounting::Sampled),
    (IsolationLevel::Rootless, Accounting::Kernel),
    (IsolationLevel::Rootless, Accounting::Sampled),
    (IsolationLevel::Process, Accounting::Kernel),
    (IsolationLevel::Process, Accounting::Sampled),
];

/// A host for the test alone. `None` where this machine cannot have one, which has then been said.
pub(crate) fn host_at(level: IsolationLevel, accounting: Accounting) -> Option<Host> {
    host()?;
    let base = configuration(2);
    let config =
        HostConfig { slots: base.slots, launcher: base.launcher, accounting, ..HostConfig::at(level) };
    match Host::start(&config) {
        // Some kernels and containers have no user namespaces, or no scopes for signals.
        Err(HostError::Launcher { message }) if level != IsolationLevel::Full => {
            eprintln!("skipped: level {level}: {message}");
            None
        }
        started => Some(started.expect("the host starts")),
    }
}

fn at_every_level(check: impl Fn(&Host, &str)) {
    for (level, accounting) in KINDS {
        if let Some(host) = host_at(level, accounting) {
            check(&host, &format!("{level}, {}", accounting.as_str()));
        }
    }
}

/// A time that nobody else sleeps for, another run of these tests included.
fn seconds_of_ours(test: u32) -> u32 {
    // Process numbers are below this.
    test * 10_000_000 + std::process::id()
}

/// Processes on this machine that sleep for just this long.
fn sleepers(seconds: u32) -> usize {
    let wanted = format!("sleep\0{seconds}\0");
    let entries = std::fs::read_dir("/proc").expect("/proc is mounted").flatten();
    entries
        .filter(|entry| {
            std::fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line == wanted)
        })
        .count()
}

#[test]
fn endings_are_told_apart_at_every_level() {
    at_every_level(|host, name| {
        let ends = |request: &ExecRequest| run(host, request).termination;
        assert_eq!(ends(&sh("exit 3")), exited(3), "{name}");
        assert_eq!(ends(&sh("kill -TERM $$")), signaled(15), "{name}");
        assert_eq!(ends(&sh("kill -KILL $$")), signaled(9), "{name}");
        assert_eq!(ends(&python("import os; os.abort()")), signaled(6), "{name}");
        let outcome = run(
            host,
            &with(sh("cat; echo to-stderr >&2"), |request| {
                request.stdin = b"given".as_slice().into();
            }),
        );
        let streams = (text(&outcome.stdout.head), text(&outcome.stderr.head));
        assert_eq!(streams, ("given".to_owned(), "to-stderr\n".to_owned()), "{name}");
    });
}

#[test]
fn limits_hold_at_every_level() {
    let limited = |request, change: fn(&mut rollcage_types::Limits)| {
        with(request, |request: &mut ExecRequest| change(&mut request.limits))
    };
    // Slow, so that without groups it is seen above its limit before the kernel refuses it more.
    let hog = "import time\nkept = []\nwhile True: kept.append(bytearray(2 ** 20)); time.sleep(0.02)";
    // It waits a little when it is refused, as one that gave up at once might not be seen without groups.
    let forks = "import os, time\n\
        try:\n\
        \x20 for _ in range(40):\n\
        \x20   if os.fork() == 0: time.sleep(60)\n\
        finally: time.sleep(3)";
    let cases = [
        (
            limited(sh("sleep 60"), |limits| limits.wall_time = Duration::from_millis(200)),
            LimitKind::WallTime,
        ),
        (limited(sh("yes"), |limits| limits.output = ByteSize::kib(64)), LimitKind::Output),
        (
            limited(python("while True: pass"), |limits| limits.cpu_time = Duration::from_millis(300)),
            LimitKind::CpuTime,
        ),
        (limited(python(hog), |limits| limits.memory = ByteSize::mib(64)), LimitKind::Memory),
        (
            limited(python(forks), |limits| {
                limits.processes = 20;
                limits.wall_time = Duration::from_secs(60);
            }),
            LimitKind::Processes,
        ),
    ];
    at_every_level(|host, name| {
        for (request, limit) in &cases {
            assert_eq!(run(host, request).termination, exceeded(*limit), "{name}");
        }
    });
}

#[test]
fn a_full_workspace_is_a_full_disk_at_every_level() {
    let fill =
        "import time\nwhile True:\n  open(str(time.time()), 'wb').write(bytes(2 ** 20)); time.sleep(0.002)";
    let request = with(python(fill), |request| request.limits.disk = ByteSize::mib(16));
    at_every_level(|host, name| {
        assert_eq!(run(host, &request).termination, exceeded(LimitKind::DiskSpace), "{name}");
    });
}

#[test]
fn what_a_program_leaves_behind_ends_with_it_at_every_level() {
    let seconds = seconds_of_ours(1);
    let daemons = format!(
        "for i in 1 2 3 4 5; do (setsid sh -c 'trap \"\" TERM HUP; sleep {seconds}' &) ; done; exit 0"
    );
    at_every_level(|host, name| {
        assert_eq!(run(host, &sh(&daemons)).termination, exited(0), "{name}");
        wait_until("the daemons are gone", || sleepers(seconds) == 0);
    });
}

#[test]
fn what_is_compiled_in_one_cage_runs_in_another_at_every_level() {
    if !std::path::Path::new("/usr/bin/gcc").exists() {
        eprintln!("skipped: compiling at every level: no gcc");
        return;
    }
    let compile = with(ExecRequest::new(["gcc", "-o", "program", "a.c"]), |request| {
        request.files.push(file("a.c", b"int main(void) { return 7; }"));
        request.collect = Collect::Everything;
    });
    at_every_level(|host, name| {
        let compiled = run(host, &compile);
        assert_eq!(compiled.termination, exited(0), "{name}: {}", text(&compiled.stderr.head));
        let program = with(ExecRequest::new(["./program"]), |request| request.files = compiled.files.clone());
        assert_eq!(run(host, &program).termination, exited(7), "{name}");
    });
}

#[test]
fn files_of_an_earlier_run_are_gone_at_every_level() {
    at_every_level(|host, name| {
        for _ in 0..4 {
            let script = "ls -A . \"$TMPDIR\" | grep -v : | grep -v '^$' | grep -v '^[.]work$'; \
                          mkdir -p d/e && touch d/e/f \"$TMPDIR/g\"; exit 0";
            let outcome = run(host, &sh(script));
            assert_eq!((outcome.termination, text(&outcome.stdout.head).as_str()), (exited(0), ""), "{name}");
        }
    });
}

#[test]
fn a_run_can_be_cancelled_at_every_level() {
    let seconds = seconds_of_ours(2);
    at_every_level(|host, name| {
        let (script, cancel) = (format!("sleep {seconds} & sleep {seconds}"), Cancel::new());
        let outcome = std::thread::scope(|scope| {
            let (script, cancel) = (&script, &cancel);
            let running = scope.spawn(move || host.run(&sh(script), cancel));
            wait_until("the program runs", || sleepers(seconds) == 2);
            cancel.cancel();
            running.join().expect("a run does not panic")
        });
        wait_until("its processes are gone", || sleepers(seconds) == 0);
        assert_eq!(outcome.expect("the cage works").termination, Termination::Cancelled, "{name}");
    });
}

#[test]
fn what_is_required_and_not_in_force_refuses_to_start() {
    if host().is_none() {
        return;
    }
    let refused = |level, accounting, mechanism| {
        let base = configuration(1);
        let config = HostConfig {
            slots: 1,
            launcher: base.launcher,
            accounting,
            requires: vec![Mechanism::Seccomp, mechanism],
            ..HostConfig::at(level)
        };
        matches!(Host::start(&config), Err(HostError::Lacking { mechanism: named, .. }) if named == mechanism)
    };
    assert!(refused(IsolationLevel::Full, Accounting::Sampled, Mechanism::MemoryLimit));
    assert!(refused(IsolationLevel::Process, Accounting::Sampled, Mechanism::PidNamespace));
    assert!(!refused(IsolationLevel::Full, Accounting::Kernel, Mechanism::MemoryLimit));
}

#[test]
fn an_outcome_says_what_confined_it() {
    let Some(host) = host_at(IsolationLevel::Full, Accounting::Sampled) else { return };
    let enforcement = run(&host, &sh("true")).enforcement;
    assert_eq!(enforcement.level, IsolationLevel::Full);
    let MechanismState::Partial(why) = enforcement.state(Mechanism::MemoryLimit) else {
        panic!("{:?}", enforcement.state(Mechanism::MemoryLimit))
    };
    assert!(why.contains("RLIMIT_DATA"), "{why}");
}
