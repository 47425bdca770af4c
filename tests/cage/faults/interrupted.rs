//! A signal at the wrong moment is no failure: whatever waits, waits again.

use std::thread;

use rollcage_sandbox::{Cancel, Host, HostConfig};
use rollcage_types::IsolationLevel;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::calls::{Step, Steps, step};
use super::saboteur::Saboteur;
use crate::harness::{configuration, exited, host, run, sh};
use crate::traces::{descendants, wait_until};

/// A run makes fewer calls of this kind.
const CALLS_MAX: u32 = 100;

/// What the launcher and its stubs wait in.
fn wait(skip: u32) -> Step {
    step!(RECVMSG | EPOLL_WAIT | EPOLL_PWAIT | WAITID | WAIT4 | POLL | PPOLL; skip)
}

fn start(saboteur: &Saboteur, level: IsolationLevel) -> Host {
    let launcher = configuration(1).launcher;
    Host::start(&saboteur.spoil(HostConfig { slots: 1, launcher, ..HostConfig::at(level) }))
        .expect("the host starts")
}

#[test]
fn an_interrupted_wait_in_a_cage_is_waited_again() {
    if host().is_none() {
        return;
    }
    for level in IsolationLevel::ALL {
        let saboteur = Saboteur::of_launcher(&Steps(vec![wait(0)]).calls().collect::<Vec<_>>());
        let host = start(&saboteur, level);
        run(&host, &sh("true"));
        for skip in 0..CALLS_MAX {
            let failed = saboteur.failed();
            saboteur.arm(Errno::INTR, &Steps(vec![wait(skip)]));
            // The second is the next cage's, which may be what was interrupted.
            for _ in 0..2 {
                assert_eq!(run(&host, &sh("true & wait; exit 3")).termination, exited(3), "{level} {skip}");
            }
            if saboteur.failed() == failed {
                break;
            }
            assert!(skip + 1 < CALLS_MAX, "two runs make fewer calls");
        }
    }
}

#[test]
fn whoever_is_stopped_and_continued_goes_on() {
    if host().is_none() {
        return;
    }
    for level in IsolationLevel::ALL {
        let saboteur = Saboteur::of_launcher(&Steps(vec![step!(SECCOMP)]).calls().collect::<Vec<_>>());
        let host = start(&saboteur, level);
        let outcome = thread::scope(|scope| {
            let running = scope.spawn(|| host.run(&sh("read line; sleep 0.3; exit 3"), &Cancel::new()));
            let standing = if level == IsolationLevel::Process { 1 } else { 2 };
            wait_until("the program runs", || descendants(saboteur.root()).len() > standing);
            let family = descendants(saboteur.root()).into_iter().map(|process| process.pid);
            for pid in family.chain([saboteur.root()]) {
                let pid = Pid::from_raw(pid.cast_signed()).expect("a pid is not 0");
                for signal in [Signal::STOP, Signal::CONT] {
                    // It may have ended.
                    let _sent = kill_process(pid, signal);
                }
            }
            running.join().expect("a run does not panic")
        });
        assert_eq!(outcome.expect("the cage works").termination, exited(3), "{level}");
    }
}
