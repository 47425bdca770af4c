//! A supervisor that is killed takes its cages along, and the next one cleans up; one that cannot start leaves nothing.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;

use rollcage_sandbox::{Cancel, Host, HostConfig, HostError, LauncherProgram};

use crate::harness::{configuration, exited, host, own_host, python, run, sh};
use crate::traces::{Block, descendants, groups_named, processes, wait_until};

const SLOTS: usize = 4;
/// Processes of each busy cage: PID 1, the program, and seven that it forks.
const EACH: usize = 9;

/// Forks into sessions of their own, deaf to signals, and stays.
const BUSY: &str = "import os, signal, time\n\
                    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n\
                    for _ in range(7):\n\
                    \x20 if os.fork() == 0:\n\
                    \x20   os.setsid(); time.sleep(600); os._exit(0)\n\
                    time.sleep(600)";

#[test]
fn a_killed_supervisor_leaves_no_process_and_the_next_host_no_group() {
    if host().is_none() {
        return;
    }
    let mut supervisor = Command::new(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", "crash::a_supervisor_with_busy_cages", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test starts itself");
    let lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines();
    let uid = lines.map(|line| line.expect("text")).find_map(|line| line.strip_prefix("uid ")?.parse().ok());
    let block = Block::of_uid(uid.expect("the supervisor says which uid its cages have"));
    wait_until("all cages are busy", || block.processes().len() == SLOTS * EACH);
    let family = descendants(supervisor.id());
    assert!(family.len() > SLOTS * EACH, "{family:?}");
    let groups = block.groups();
    assert!(!groups.is_empty());

    supervisor.kill().expect("it is ours");
    supervisor.wait().expect("it is ours");
    wait_until("every process of the killed supervisor is gone", || {
        let alive = processes();
        !family.iter().any(|gone| alive.iter().any(|p| (p.pid, p.started) == (gone.pid, gone.started)))
    });

    let next = own_host(1).expect("a host starts after a crash");
    assert_eq!(run(&next, &sh("true")).termination, exited(0));
    // A host of another test may be the one that cleans up, and not be done yet.
    wait_until("the dead host's groups are gone", || block.groups().is_disjoint(&groups));
}

#[test]
#[ignore = "never returns: `a_killed_supervisor_leaves_no_process…` starts and kills it"]
fn a_supervisor_with_busy_cages() {
    let host = own_host(SLOTS).expect("the parent has checked that a host can start");
    println!("uid {}", String::from_utf8_lossy(&run(&host, &sh("id -u")).stdout.head).trim());
    thread::scope(|scope| {
        for _ in 0..SLOTS {
            scope.spawn(|| host.run(&python(BUSY), &Cancel::new()));
        }
    });
}

#[test]
fn a_host_that_cannot_start_leaves_no_group() {
    /// More than any other host of these tests has, so that the last slot's number is this host's alone.
    const MANY: usize = 97;
    if host().is_none() {
        return;
    }
    let launcher = LauncherProgram::Path("/bin/false".into());
    let started = Host::start(&HostConfig { launcher, ..configuration(MANY) });
    assert!(matches!(started, Err(HostError::Launcher { .. })), "{started:?}");
    // Another run of this very test may be under way beside this one.
    wait_until("its groups are gone", || {
        (0..64).all(|block| groups_named(&format!("rollcage/{block}/{}", MANY - 1)).is_empty())
    });
}
