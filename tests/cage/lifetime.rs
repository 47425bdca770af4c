//! When a run is over nothing of it lives, and runs side by side do not meet.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use rollcage_sandbox::{Cancel, Host};
use rollcage_types::{ExecRequest, Termination};

use crate::harness::{configuration, exited, host, own_host, python, run, sh, text};
use crate::traces::Block;

#[test]
fn daemons_are_gone_when_the_run_returns() {
    let Some(host) = own_host(2) else { return };
    let block = Block::of(&host);
    let daemon = "import os, signal, time\n\
                  r, w = os.pipe()\n\
                  for _ in range(5):\n\
                  \x20 if os.fork() == 0:\n\
                  \x20   os.setsid()\n\
                  \x20   if os.fork(): os._exit(0)\n\
                  \x20   signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                  \x20   os.write(w, b'x'); time.sleep(600)\n\
                  for _ in range(5): os.read(r, 1)\n\
                  print('started')";
    for _ in 0..5 {
        let outcome = run(&host, &python(daemon));
        assert_eq!((outcome.termination, text(&outcome.stdout.head)), (exited(0), "started\n".to_owned()));
        // At once: whoever reads the outcome may rely on it.
        assert_eq!(block.processes(), []);
    }
}

#[test]
fn a_main_thread_that_leaves_first_is_waited_for() {
    let program = "import ctypes, os, threading, time\n\
                   def last():\n\
                   \x20 time.sleep(0.1); os.write(1, b'last\\n'); os._exit(5)\n\
                   threading.Thread(target=last).start()\n\
                   ctypes.CDLL(None).syscall(60, 0)";
    let Some(host) = host() else { return };
    let outcome = run(host, &python(program));
    assert_eq!((outcome.termination, text(&outcome.stdout.head)), (exited(5), "last\n".to_owned()));
}

#[test]
fn a_cancelled_run_ends() {
    let Some(host) = own_host(2) else { return };
    let block = Block::of(&host);
    let cancel = Cancel::new();
    let outcome = thread::scope(|scope| {
        let running = scope.spawn(|| host.run(&sh("trap '' TERM; sleep 600"), &cancel));
        crate::traces::wait_until("the program runs", || !block.processes().is_empty());
        cancel.cancel();
        running.join().expect("a run does not panic")
    });
    assert_eq!(outcome.expect("the cage works").termination, Termination::Cancelled);
    assert_eq!(block.processes(), []);
    // The request stands: whatever is given the same handle is over before it begins.
    let outcome = host.run(&sh("sleep 600"), &cancel).expect("the cage works");
    assert_eq!(outcome.termination, Termination::Cancelled);
    assert_eq!(run(&host, &sh("true")).termination, exited(0));
}

#[test]
fn one_handle_cancels_every_run_that_holds_it() {
    let Some(host) = own_host(3) else { return };
    let cancel = Cancel::new();
    let outcomes: Vec<_> = thread::scope(|scope| {
        // More than there are slots: some wait for one.
        let running: Vec<_> = (0..6).map(|_| scope.spawn(|| host.run(&sh("sleep 600"), &cancel))).collect();
        cancel.cancel();
        running.into_iter().map(|run| run.join().expect("a run does not panic")).collect()
    });
    for outcome in outcomes {
        assert_eq!(outcome.expect("the cage works").termination, Termination::Cancelled);
    }
}

#[test]
fn many_threads_share_a_host() {
    let Some(host) = host() else { return };
    thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for round in 0..20 {
                    let words = format!("{thread} {round}\n");
                    let outcome = run(host, &sh(&format!("cat; echo {words:?} >&2; exit {thread}")));
                    assert_eq!(outcome.termination, exited(thread));
                    assert_eq!(text(&outcome.stderr.head).trim(), words.trim());
                }
            });
        }
    });
}

/// Prints the uid and the two ends of a span of the machine's own clock.
const SPAN: &str = "import os, time\n\
                    begun = time.monotonic_ns()\n\
                    while time.monotonic_ns() < begun + 20_000_000: pass\n\
                    print(os.getuid(), begun, time.monotonic_ns())";

/// Runs `SPAN` many times on all hosts at once and checks that no uid was in use twice at a time.
fn check_uids(hosts: &[&Host]) {
    let mut spans: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
    let printed: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = (0..24)
            .map(|index| {
                let host = hosts[index % hosts.len()];
                scope.spawn(move || text(&run(host, &python(SPAN)).stdout.head))
            })
            .collect();
        running.into_iter().map(|run| run.join().expect("a run does not panic")).collect()
    });
    for line in printed {
        let numbers: Vec<u64> =
            line.split_whitespace().map(|word| word.parse().expect("it prints numbers")).collect();
        spans.entry(numbers[0]).or_default().push((numbers[1], numbers[2]));
    }
    for (uid, mut spans) in spans {
        assert_ne!(uid, 0);
        spans.sort_unstable();
        for pair in spans.windows(2) {
            assert!(pair[0].1 < pair[1].0, "uid {uid} was in use twice: {pair:?}");
        }
    }
}

#[test]
fn one_live_cage_has_a_uid() {
    let Some(host) = own_host(3) else { return };
    check_uids(&[&host]);
}

#[test]
fn hosts_share_no_uid_wherever_their_state_lies() {
    let Some(first) = own_host(2) else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let elsewhere =
        rollcage_sandbox::HostConfig { state_dir: Some(directory.path().to_owned()), ..configuration(2) };
    let second = Host::start(&elsewhere).expect("a second host starts");
    assert_ne!(Block::of(&first), Block::of(&second));
    check_uids(&[&first, &second]);
}

#[test]
fn a_slot_is_soon_ready_again_however_its_last_run_ended() {
    let Some(host) = own_host(1) else { return };
    let endings = ["exit 0", "exit 1", "kill -9 $$", "sleep 600 & exit 0", "sleep 600"];
    for _ in 0..4 {
        for ending in endings {
            let mut request = sh(ending);
            request.limits.wall_time = Duration::from_millis(100);
            run(&host, &request);
            assert_eq!(run(&host, &sh("true")).termination, exited(0), "after {ending}");
        }
    }
}

#[test]
fn a_slot_heals_when_a_group_of_its_is_taken_away() {
    let Some(host) = own_host(1) else { return };
    let block = Block::of(&host);
    // Version 1 has a group for each controller; one without processes may be removed by anybody who is root.
    let Some((group, _)) =
        block.groups().into_iter().find(|(path, _)| path.starts_with("/sys/fs/cgroup/pids"))
    else {
        eprintln!("skipped: a slot's group taken away: no version 1 controller for processes");
        return;
    };
    // After a single task the slot keeps its group; after more it makes a new one anyway.
    run(&host, &ExecRequest::new(["true"]));
    std::fs::remove_dir(group.join("0")).expect("nothing is in it");
    let lost = host.run(&sh("true"), &Cancel::new());
    assert!(lost.expect_err("no cage without its group").is_retryable());
    for _ in 0..2 {
        assert_eq!(run(&host, &sh("true; true | true")).termination, exited(0));
    }
}
