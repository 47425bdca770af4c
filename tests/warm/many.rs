//! A server that has served many is as it was, and what becomes of its runs when it is gone.

use std::fs;
use std::sync::Arc;

use rollcage_language::LanguageSet;
use rollcage_sandbox::{Cancel, ForkServer, HostConfig, SandboxError};
use rollcage_types::{ByteSize, Termination};
use rollcage_warm::{Bounds, Pool};

use crate::harness::{Ended, Server, host_of, kill_python_below, python, request, tasks_below, wait_until};

/// Programs until a leak of a page or a descriptor each would show.
const PROGRAMS: usize = 3000;
/// Programs before it is looked at.
const BEFORE: usize = 50;
/// A fork server's processes without its cages: the launcher that executed it, that one's init, and the interpreter.
const STANDING: usize = 3;
/// Growth that is no leak: copies that wait may just be writing to their pages, and the kernel holds some back for a while.
/// Half of what a page for each program would come to.
const SLACK_BYTES: u64 = 6 << 20;

#[test]
fn hundreds_of_programs_leave_nothing() {
    let Some(host) = host_of(&HostConfig::default()) else { return };
    let Some(server) = Server::start_on(host, &python()) else { return };
    let run = || assert_eq!(server.say("print(1)"), "1");
    // Once a slot has served, a cage waits in it: its first process, and the copy in that.
    let processes = || tasks_below(server.server.process_id()).len();
    let look = || {
        wait_until("all cages wait", || processes() == STANDING + 2 * server.host.slots());
        server.server.memory().unwrap().as_u64()
    };
    // All slots at once, so that each has served.
    let meet = "import time\ntime.sleep(0.5)\nprint(1)";
    std::thread::scope(|scope| {
        (0..server.host.slots()).for_each(|_| drop(scope.spawn(|| assert_eq!(server.say(meet), "1"))));
    });
    // Pages are in then that were not there yet.
    (0..BEFORE).for_each(|_| run());
    let before = look();
    (0..PROGRAMS).for_each(|_| run());
    let after = look();
    assert!(after <= before + SLACK_BYTES, "{before} {after}");
    assert_eq!(server.server.forks(), (server.host.slots() + BEFORE + PROGRAMS) as u64);
}

/// Through the pool, which renews its interpreter two dozen times meanwhile.
#[test]
fn a_hundred_thousand_programs_leave_nothing() {
    const LONG: usize = 100_000;
    if std::env::var_os("ROLLCAGE_LONG").is_none() {
        eprintln!("skipped: needs ROLLCAGE_LONG=1");
        return;
    }
    let Some(host) = host_of(&HostConfig::default()) else { return };
    let pool = Pool::new(host, Some(Bounds::of_machine()));
    let python = LanguageSet::built_in().find("python").unwrap().clone();
    pool.await_ready(&python, None).unwrap();
    let request = python.run_request(vec![python.source_file(*b"print(1)\n")]);
    let run_some = |count: usize| {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..count / 2 {
                        let outcome = pool.run(&python, &request, &Cancel::new()).unwrap();
                        assert_eq!(outcome.stdout.to_text(), "1\n");
                    }
                });
            }
        });
    };
    let look = || {
        let kept = pool.kept();
        let interpreters = kept.iter().filter_map(|kept| kept.memory).map(ByteSize::as_u64).sum::<u64>();
        (tasks_below(std::process::id()).len(), own_memory(), interpreters)
    };
    run_some(LONG / 20);
    let before = look();
    run_some(LONG);
    let after = look();
    println!("processes, own bytes, interpreters' bytes: {before:?}, then {after:?}; {:?}", pool.counts());
    // One interpreter may be going and another coming.
    assert!(after.0 <= before.0 + 12, "{before:?} {after:?}");
    assert!(after.1 <= before.1 + 3 * SLACK_BYTES, "{before:?} {after:?}");
    assert!(after.2 <= 2 * before.2 + 3 * SLACK_BYTES, "{before:?} {after:?}");
}

/// This process's resident memory, in bytes.
fn own_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn many_at_once_in_their_own_places() {
    let Some(server) = Server::start(&python()) else { return };
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for turn in 0..25 {
                    let word = format!("{worker}-{turn}");
                    let program = "import sys, os\nopen('mine', 'x').write(sys.stdin.read())\nprint(open('mine').read(), os.getpid())";
                    let ended = server.warm(program, &word);
                    assert_eq!(ended.stdout, format!("{word} 2\n"), "{}", ended.stderr);
                }
            });
        }
    });
}

/// One slot is used by a cage of either kind in turn, with one user and one group.
#[test]
fn copies_and_executed_programs_take_turns_in_the_slots() {
    let Some(server) = Server::start(&python()) else { return };
    let program = "import os\nprint(os.listdir('.'), os.listdir('/tmp'))\nopen('left', 'w'); open('/tmp/left', 'w')\n\
                   if os.fork() == 0:\n    os.setsid()\n    os.closerange(0, 3)\n    os.execv('/bin/sleep', ['sleep', '60'])\n";
    for _ in 0..10 {
        for ended in [server.warm(program, ""), server.cold(program, "")] {
            // `.work` is the workspace by another way.
            assert_eq!(ended.stdout, "['snippet.py'] ['.work']\n", "{}", ended.stderr);
        }
    }
}

#[test]
fn a_server_that_is_dropped_leaves_no_process_and_no_group() {
    let Some(server) = Server::start(&python()) else { return };
    server.say("print(1)");
    let below = || tasks_below(server.server.process_id());
    wait_until("a cage waits", || below().len() > STANDING);
    let processes = below();
    let host = Arc::clone(&server.host);
    drop(server);
    for pid in processes {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        assert!(!name.contains("python"), "{pid} is left");
    }
    // Its slots serve as ever.
    let outcome = host.run(&request(&python(), "print(2)", ""), &Cancel::new()).unwrap();
    assert_eq!(Ended::from(outcome).stdout, "2\n");
}

/// A run whose server is killed is an error that may be tried again, and never an outcome.
#[test]
fn a_killed_server_is_no_verdict() {
    let Some(server) = Server::start(&python()) else { return };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let request = request(&python(), "print(1, flush=True)\nimport time; time.sleep(60)", "");
            server.server.run(&request, &Cancel::new())
        });
        while server.server.forks() == 0 || tasks_below(server.server.process_id()).len() < 5 {
            std::thread::yield_now();
        }
        kill_python_below(server.server.process_id());
        let error = running.join().unwrap().err().unwrap();
        assert!(matches!(error, SandboxError::LauncherGone), "{error:?}");
        assert!(error.is_retryable());
    });
    let gone = server.server.run(&request(&python(), "print(1)", ""), &Cancel::new()).err().unwrap();
    assert!(matches!(gone, SandboxError::LauncherGone), "{gone:?}");
    let Some(again) = Server::start_on(Arc::clone(&server.host), &python()) else { return };
    assert_eq!(again.say("print('again')"), "again");
}

#[test]
fn a_cancelled_program_ends_and_its_server_goes_on() {
    let Some(server) = Server::start(&python()) else { return };
    let cancel = Cancel::new();
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| server.server.run(&request(&python(), "while True: pass", ""), &cancel));
        while server.server.forks() == 0 {
            std::thread::yield_now();
        }
        cancel.cancel();
        running.join().unwrap().unwrap()
    });
    assert_eq!(outcome.termination, Termination::Cancelled);
    assert_eq!(server.say("print(1)"), "1");
}

#[test]
fn two_servers_of_one_host_do_not_meet() {
    let Some(first) = Server::start(&python()) else { return };
    let second = ForkServer::start(&first.host, python(), &Cancel::new()).unwrap();
    let second = Server { host: Arc::clone(&first.host), server: second };
    for _ in 0..8 {
        assert_eq!(first.say("print(1)"), "1");
        assert_eq!(second.say("print(2)"), "2");
    }
    drop(first);
    assert_eq!(second.say("print(3)"), "3");
}
