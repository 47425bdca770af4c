//! After any number of runs there is as much of everything as before.
//!
//! In a process of its own, because descriptors are counted and other tests open some. `ROLLCAGE_LONG=1` makes it
//! ten thousand runs.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rollcage_sandbox::Cancel;
use rollcage_types::{Collect, ExecRequest};

use crate::harness::{file, own_host, python, run, sh, with};
use crate::traces::{Block, descendants, mounts, wait_until};

const SLOTS: usize = 3;
const RUNS: usize = 500;
const RUNS_LONG: usize = 10_000;
/// Runs before counting, so that what is made once is not taken for a leak.
const WARM_UP: usize = 30;

#[test]
fn nothing_leaks() {
    let output = Command::new(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", "leaks::nothing_leaks_in_a_process_of_its_own", "--ignored", "--nocapture"])
        .output()
        .expect("this test starts itself");
    let printed = String::from_utf8_lossy(&output.stderr);
    for line in printed.lines().filter(|line| line.starts_with("skipped:")) {
        eprintln!("{line}");
    }
    assert!(output.status.success(), "{}\n{printed}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the inner test did not run");
}

/// What could leak in this process and on this machine.
#[derive(Debug, PartialEq, Eq)]
struct Inventory {
    descriptors: usize,
    threads: usize,
    mounts: Vec<String>,
    state: BTreeSet<String>,
    temporary: BTreeSet<String>,
}

impl Inventory {
    fn take() -> Self {
        let count = |path: &str| fs::read_dir(path).expect("/proc is mounted").count();
        let names = |path: &str| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<BTreeSet<_>>()
        };
        let ours = |name: &String| name.contains("rollcage");
        Self {
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            mounts: mounts(),
            // Locks of other hosts come and go with them.
            state: names("/run/rollcage").into_iter().filter(|name| !name.ends_with(".lock")).collect(),
            temporary: names("/tmp").into_iter().filter(ours).collect(),
        }
    }
}

/// Every way a run can go.
fn kinds() -> Vec<ExecRequest> {
    let short = |script: &str, limit: fn(&mut ExecRequest)| with(sh(script), limit);
    vec![
        sh("true"),
        sh("exit 3"),
        sh("kill -SEGV $$"),
        sh("(setsid sleep 600 &) ; (setsid sleep 600 &); exit 0"),
        short("sleep 600", |request| request.limits.wall_time = Duration::from_millis(20)),
        short("yes", |request| request.limits.output = rollcage_types::ByteSize::kib(8)),
        python("import os\nfor _ in range(10): os.fork() or os._exit(0)"),
        with(sh("mkdir d; echo x > d/f; mkfifo p; ln -s / l"), |request| {
            request.collect = Collect::Everything;
            request.files.push(file("given", b"x"));
        }),
        ExecRequest::new(["no-such-program"]),
        ExecRequest::new(["x"; 5000]),
        with(sh("true"), |request| {
            request.limits.disk = rollcage_types::ByteSize::kib(64);
            request.files.push(file("large", &[0; 1 << 20]));
        }),
    ]
}

#[test]
#[ignore = "counts descriptors, so it needs a process to itself; `nothing_leaks` starts it in one"]
fn nothing_leaks_in_a_process_of_its_own() {
    let before_host = Inventory::take();
    let Some(host) = own_host(SLOTS) else { return };
    let block = Block::of(&host);
    let kinds = kinds();
    let rounds = |count: usize| {
        thread::scope(|scope| {
            for worker in 0..SLOTS {
                let (host, kinds) = (&host, &kinds);
                scope.spawn(move || {
                    for index in (worker..count).step_by(SLOTS) {
                        // Refusals are among them.
                        let _outcome = host.run(&kinds[index % kinds.len()], &Cancel::new());
                    }
                });
            }
        });
    };
    rounds(WARM_UP);
    let own = std::process::id();
    // A launcher, its init, and a cage waiting in each slot.
    let standing = 2 + SLOTS;
    let settle = || {
        // Slots take turns, so each of them gets one of these, and with it its next cage.
        for _ in 0..SLOTS {
            run(&host, &sh("true"));
        }
        wait_until("only waiting cages are left", || {
            descendants(own).len() == standing && block.processes().is_empty()
        });
    };
    settle();
    let (before, groups) = (Inventory::take(), block.groups());
    rounds(if std::env::var_os("ROLLCAGE_LONG").is_some() { RUNS_LONG } else { RUNS });
    settle();
    assert_eq!(Inventory::take(), before);
    assert_eq!(block.groups(), groups);
    assert!(run(&host, &sh("true")).termination.is_success());

    drop(host);
    assert_eq!(descendants(own), []);
    assert!(block.groups().intersection(&groups).next().is_none(), "groups are left: {:?}", block.groups());
    let after = Inventory { state: before_host.state.clone(), ..Inventory::take() };
    assert_eq!(after, before_host);
}
