//! Launchers and first processes of cages that are killed, at every point of their lives.
//!
//! Where a point is a moment, the call that marks it is held up until the process is dead. A run that this meets is an
//! error of ours, or the truth; a host is dropped without hanging; and nothing of it lives afterwards, though there be no
//! namespace that would die with its init.

use std::cell::Cell;
use std::fs;
use std::thread;
use std::time::Duration;

use rollcage_sandbox::{Cancel, Host, HostConfig, HostError, SandboxError};
use rollcage_types::{ExecOutcome, ExecRequest, IsolationLevel, LimitKind};
use rustix::process::{Pid, Signal, kill_process};

use super::calls::{self, CHILD, STUB, Step, Steps, step};
use super::saboteur::Saboteur;
use crate::harness::{configuration, exceeded, exited, host, python, run, sh, with};
use crate::traces::{Process, descendants, processes, wait_until};

/// Forks into sessions of their own, deaf to signals, and stays.
const STUBBORN: &str = "import os, signal, time\n\
                        for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n\
                        for _ in range(3):\n\
                        \x20 if os.fork() == 0:\n\
                        \x20   os.setsid(); time.sleep(600); os._exit(0)\n\
                        time.sleep(600)";
/// Processes of that program.
const STUBBORN_PROCESSES: usize = 4;

/// A host of one slot, with its launcher under a saboteur.
struct Bench {
    level: IsolationLevel,
    saboteur: Saboteur,
}

impl Bench {
    /// For every level, if this machine can have hosts; the reason has then been printed.
    fn at_every_level(calls: &[Step]) -> Vec<Self> {
        if host().is_none() {
            return Vec::new();
        }
        let mut calls: Vec<u32> = Steps(calls.to_vec()).calls().collect();
        calls.sort_unstable();
        calls.dedup();
        let bench = |level| Self { level, saboteur: Saboteur::of_launcher(&calls) };
        IsolationLevel::ALL.into_iter().map(bench).collect()
    }

    fn start(&self) -> Result<Host, HostError> {
        let launcher = configuration(1).launcher;
        Host::start(&self.saboteur.spoil(HostConfig { slots: 1, launcher, ..HostConfig::at(self.level) }))
    }

    fn has_namespaces(&self) -> bool {
        self.level != IsolationLevel::Process
    }

    /// The launcher that makes cages, not the one that only waits for it.
    fn launcher(&self) -> u32 {
        let root = self.saboteur.root();
        if !self.has_namespaces() {
            return root;
        }
        let children = descendants(root);
        children.iter().find(|child| child.parent == root).expect("a launcher has an init").pid
    }

    /// The first process of the cage that waits; there is one slot. The one before it may not be gone yet.
    fn waiting_stub(&self) -> u32 {
        let waits = |process: &Process| {
            let call = fs::read_to_string(format!("/proc/{}/syscall", process.pid)).unwrap_or_default();
            call.starts_with(&format!("{} ", calls::RECVMSG))
        };
        self.stub_that(waits)
    }

    /// The first process of the cage that `is_it`.
    fn stub_that(&self, is_it: impl Fn(&Process) -> bool) -> u32 {
        let launcher = self.launcher();
        let found = || descendants(launcher).into_iter().find(|p| p.parent == launcher && is_it(p));
        let stub = Cell::new(0);
        wait_until("there is a cage", || found().inspect(|process| stub.set(process.pid)).is_some());
        stub.get()
    }

    /// The launcher and all it started.
    fn family(&self) -> Vec<Process> {
        let root = self.saboteur.root();
        let mut family = descendants(root);
        family.extend(processes().into_iter().filter(|process| process.pid == root));
        family
    }

    /// Without the process that the host started, which is waited for only when the host ends.
    fn but_for_root(&self, family: &[Process]) -> Vec<Process> {
        let root = self.saboteur.root();
        family.iter().filter(|process| process.pid != root).cloned().collect()
    }

    /// Starts a program that does not end by itself, does `kill` to its family, and gives what became of the run.
    fn run_to_be_killed(
        &self,
        host: &Host,
        request: &ExecRequest,
        kill_one: impl FnOnce(),
    ) -> (Result<ExecOutcome, SandboxError>, Vec<Process>) {
        thread::scope(|scope| {
            let running = scope.spawn(|| host.run(request, &Cancel::new()));
            let standing = if self.has_namespaces() { 3 } else { 2 };
            wait_until("the program runs", || self.family().len() == standing + STUBBORN_PROCESSES);
            let family = self.family();
            kill_one();
            (running.join().expect("a run does not panic"), family)
        })
    }
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid is not 0");
    kill_process(pid, Signal::KILL).expect("it is ours and lives");
}

#[track_caller]
fn wait_until_gone(family: &[Process]) {
    assert!(!family.is_empty());
    wait_until("every process is gone", || {
        let alive = processes();
        !family.iter().any(|gone| alive.iter().any(|p| (p.pid, p.started) == (gone.pid, gone.started)))
    });
}

#[track_caller]
fn assert_ours(result: &Result<ExecOutcome, SandboxError>, when: &str) {
    match result {
        Err(error @ (SandboxError::LauncherGone | SandboxError::StubLost)) => assert!(error.is_retryable()),
        other => panic!("{when}: not an error that says who is gone: {other:?}"),
    }
}

/// A host that has lost its launcher says so, again and again, and at once.
fn assert_is_over(host: &Host, when: &str) {
    for _ in 0..3 {
        assert_ours(&host.run(&sh("true"), &Cancel::new()), when);
    }
}

#[test]
fn a_launcher_killed_before_it_answers_is_no_host() {
    let with_namespaces = [step!(UNSHARE), step!(MOUNT), step!(PIVOT_ROOT)];
    // The start clock comes first; a slot's introduction follows.
    let everywhere = [step!(RECVMSG), step!(RECVMSG; 1), step!(EPOLL_CREATE1), step!(SECCOMP), step!(SENDTO)];
    let all = [&with_namespaces[..], &everywhere].concat();
    for bench in Bench::at_every_level(&all) {
        for step in if bench.has_namespaces() { &all[..] } else { &everywhere } {
            bench.saboteur.hold(&Steps(vec![*step]));
            let (started, family) = thread::scope(|scope| {
                let starting = scope.spawn(|| bench.start());
                let held = bench.saboteur.held();
                let family = bench.family();
                kill(held);
                (starting.join().expect("a start does not panic"), family)
            });
            bench.saboteur.release();
            let Err(HostError::Launcher { message }) = &started else { panic!("{step:?}: {started:?}") };
            assert_eq!(message, "it ended without a word");
            wait_until_gone(&family);
        }
        run(&bench.start().expect("nothing is in the way any more"), &sh("true"));
    }
}

#[test]
fn a_launcher_killed_while_its_cage_waits_is_said_to_be_gone() {
    for bench in Bench::at_every_level(&[step!(SECCOMP)]) {
        let host = bench.start().expect("the host starts");
        run(&host, &sh("true"));
        bench.waiting_stub();
        let family = bench.family();
        kill(bench.launcher());
        // On a busy machine the cage may be quicker than the kernel is to end it with its launcher.
        if bench.has_namespaces() {
            wait_until_gone(&bench.but_for_root(&family));
        }
        // The cage that waits at level process is nobody's child any more, and may still serve the run it waits for.
        match host.run(&sh("true"), &Cancel::new()) {
            Ok(outcome) if !bench.has_namespaces() => assert_eq!(outcome.termination, exited(0)),
            result => assert_ours(&result, bench.level.as_str()),
        }
        assert_is_over(&host, bench.level.as_str());
        drop(host);
        wait_until_gone(&family);
    }
}

#[test]
fn a_launcher_killed_while_it_makes_a_cage_is_said_to_be_gone() {
    let points = [vec![STUB], vec![STUB, step!(CLOSE_RANGE)], vec![CHILD], vec![CHILD, step!(FCHDIR)]];
    for bench in Bench::at_every_level(&points.concat()) {
        for point in &points {
            let when = format!("{} {}", bench.level, Steps(point.clone()));
            let host = bench.start().expect("the host starts");
            bench.saboteur.hold(&Steps(point.clone()));
            let (result, family) = thread::scope(|scope| {
                let running = scope.spawn(|| host.run(&sh("true"), &Cancel::new()));
                bench.saboteur.held();
                let family = bench.family();
                kill(bench.launcher());
                if bench.has_namespaces() {
                    wait_until_gone(&bench.but_for_root(&family));
                }
                // Where no namespace takes it along, the cage that is being made goes on to be of use to its run.
                bench.saboteur.release();
                (running.join().expect("a run does not panic"), family)
            });
            match result {
                Ok(outcome) if !bench.has_namespaces() => assert_eq!(outcome.termination, exited(0)),
                result => assert_ours(&result, &when),
            }
            assert_is_over(&host, &when);
            drop(host);
            wait_until_gone(&family);
        }
    }
}

#[test]
fn a_launcher_killed_while_a_program_runs_takes_it_along_or_leaves_it_to_its_stub() {
    for bench in Bench::at_every_level(&[step!(SECCOMP)]) {
        let host = bench.start().expect("the host starts");
        // Only where the program outlives its launcher does it come to its limit.
        let seconds = if bench.has_namespaces() { 60 } else { 5 };
        let request =
            with(python(STUBBORN), |request| request.limits.wall_time = Duration::from_secs(seconds));
        let (result, family) = bench.run_to_be_killed(&host, &request, || kill(bench.launcher()));
        match result {
            // Its stub still holds it to its limits.
            Ok(outcome) if !bench.has_namespaces() => {
                assert_eq!(outcome.termination, exceeded(LimitKind::WallTime));
            }
            result => assert_ours(&result, bench.level.as_str()),
        }
        assert_is_over(&host, bench.level.as_str());
        drop(host);
        wait_until_gone(&family);
    }
}

#[test]
fn a_host_dropped_after_its_launcher_was_killed_leaves_no_program() {
    for bench in Bench::at_every_level(&[step!(SECCOMP)]) {
        let host = bench.start().expect("the host starts");
        let cancel = Cancel::new();
        let family = thread::scope(|scope| {
            let running = scope.spawn(|| host.run(&python(STUBBORN), &cancel));
            let standing = if bench.has_namespaces() { 3 } else { 2 };
            wait_until("the program runs", || bench.family().len() == standing + STUBBORN_PROCESSES);
            let family = bench.family();
            kill(bench.launcher());
            cancel.cancel();
            let _either_is_true = running.join().expect("a run does not panic");
            family
        });
        drop(host);
        wait_until_gone(&family);
    }
}

#[test]
fn a_launcher_killed_while_a_cage_closes_is_said_to_be_gone() {
    let reaping = step!(WAITID);
    for bench in Bench::at_every_level(&[reaping]) {
        let host = bench.start().expect("the host starts");
        run(&host, &sh("true"));
        bench.waiting_stub();
        bench.saboteur.hold(&Steps(vec![reaping]));
        let (result, family) = thread::scope(|scope| {
            let request = with(python(STUBBORN), |request| request.limits.wall_time = Duration::from_secs(1));
            let running = scope.spawn({
                let host = &host;
                move || host.run(&request, &Cancel::new())
            });
            let held = bench.saboteur.held();
            let family = bench.family();
            kill(held);
            (running.join().expect("a run does not panic"), family)
        });
        match result {
            // The tree was seen to be gone before the launcher's word.
            Ok(outcome) => assert_eq!(outcome.termination, exceeded(LimitKind::WallTime)),
            result => assert_ours(&result, bench.level.as_str()),
        }
        bench.saboteur.release();
        assert_is_over(&host, bench.level.as_str());
        drop(host);
        wait_until_gone(&family);
    }
}

#[test]
fn the_process_that_only_waits_for_the_launcher_is_not_missed() {
    for bench in Bench::at_every_level(&[step!(SECCOMP)]).iter().filter(|bench| bench.has_namespaces()) {
        let host = bench.start().expect("the host starts");
        run(&host, &sh("true"));
        let family = bench.family();
        kill(bench.saboteur.root());
        assert_eq!(run(&host, &sh("true")).termination, exited(0));
        drop(host);
        wait_until_gone(&family);
    }
}

#[test]
fn a_stub_killed_while_its_program_runs_is_an_error_and_the_tree_is_dead() {
    for bench in Bench::at_every_level(&[step!(SECCOMP)]) {
        let host = bench.start().expect("the host starts");
        let (result, family) =
            bench.run_to_be_killed(&host, &python(STUBBORN), || kill(bench.stub_that(|_any| true)));
        assert_ours(&result, bench.level.as_str());
        if bench.has_namespaces() {
            for _ in 0..2 {
                assert_eq!(run(&host, &sh("true")).termination, exited(0));
            }
        } else {
            // Nobody can say any more which processes are whose.
            wait_until_gone(&bench.but_for_root(&family));
            assert_is_over(&host, bench.level.as_str());
        }
        drop(host);
        wait_until_gone(&family);
    }
}

#[test]
fn a_stub_killed_while_it_waits_costs_one_run_at_most() {
    for bench in Bench::at_every_level(&[step!(SECCOMP)]).iter().filter(|bench| bench.has_namespaces()) {
        let host = bench.start().expect("the host starts");
        run(&host, &sh("true"));
        kill(bench.waiting_stub());
        if let result @ Err(_) = host.run(&sh("true"), &Cancel::new()) {
            assert_ours(&result, bench.level.as_str());
        }
        assert_eq!(run(&host, &sh("true")).termination, exited(0));
    }
}
