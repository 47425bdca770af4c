//! A supervisor that gets no descriptor, no thread, or no uninterrupted call.

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{BINARY, Place, finish, is_long};
use crate::traces;
use crate::tracing::{can_trace, inject};

/// Times the supervisor is stopped and continued. Each interrupts what its threads wait in.
const INTERRUPTIONS: usize = 200;

/// Exit codes of failures that are ours: of the cage, and of the store.
const OURS: [i32; 2] = [113, 115];

#[test]
fn a_run_without_enough_descriptors_says_so_and_invents_nothing() {
    let Some(place) = Place::new() else { return };
    let expected = place.undisturbed();
    // From too few for the store to as many as the run needs. What tokio makes of too few for its own start, which is
    // a panic, is left out.
    let all = (14..=1024).step_by(if is_long() { 5 } else { 90 });
    let (mut refused, mut needed) = (0, None);
    for descriptors in [5, 6].into_iter().chain(all) {
        place.reset(None);
        let mut command = place.prepare("prlimit");
        command.arg(format!("--nofile={descriptors}")).arg(BINARY).args(place.arguments(None));
        let finished = finish(&mut command);
        let context = format!("{descriptors} descriptors");
        if let Some(run) = place.newest_run(0) {
            place.check_part(&run, &expected, &finished.told(), &context);
        }
        if finished.code == Some(0) {
            place.check_whole(&place.newest_run(0).unwrap(), &expected, &context);
            needed = Some(descriptors);
            break;
        }
        assert!(finished.code.is_some_and(|code| OURS.contains(&code)), "{context}: {finished:?}");
        println!("{context}: {:?}", finished.error());
        refused += 1;
        place.check_recovers(0, &expected, &context);
    }
    println!("{refused} limits were too low, {needed:?} is enough");
    assert!(refused > 2 && needed.is_some());
    traces::check_no_group();
}

#[test]
fn a_process_that_gets_no_thread_or_child_leaves_a_run_to_go_on_with() {
    let Some(place) = Place::new() else { return };
    if !can_trace() {
        return;
    }
    let expected = place.undisturbed();
    // The writer's thread, and the launcher. Between them are tokio's workers; tokio panics without them.
    for (number, code, says) in
        [(1, 115, "cannot start the writer of"), (4, 113, "cannot start the launcher process")]
    {
        place.reset(None);
        let what = format!("error=EAGAIN:when={number}");
        let (finished, struck) = inject(&place, &[], "clone3", &what, None);
        assert!(struck.is_some(), "{number}: {finished:?}");
        assert_eq!(finished.code, Some(code), "{number}: {finished:?}");
        let error = finished.error().unwrap();
        assert!(error.starts_with(says) && error.contains("Resource temporarily unavailable"), "{error}");
        assert_eq!(place.newest_run(0), None, "nothing was run");
        place.check_recovers(0, &expected, says);
    }
    traces::check_no_group();
}

#[test]
fn interrupted_calls_are_made_again() {
    let Some(place) = Place::new() else { return };
    if !can_trace() {
        return;
    }
    let expected = place.undisturbed();
    let last = if is_long() { 12 } else { 1 };
    for (call, first) in [
        ("epoll_wait", 1),
        ("sendmsg", 1),
        ("recvfrom", 2),
        ("ppoll", 2),
        ("wait4", 1),
        ("pwrite64", 1),
        // The loader's, before there is anything of ours, are the first.
        ("pread64", 8),
    ] {
        let mut interrupted = 0;
        for number in first..first + last {
            place.reset(None);
            let what = format!("error=EINTR:when={number}");
            let (finished, struck) = inject(&place, &[], call, &what, None);
            let context = format!("{call} {number}");
            assert_eq!(finished.code, Some(0), "{context}: {finished:?}");
            place.check_whole(&place.newest_run(0).unwrap(), &expected, &context);
            interrupted += usize::from(struck.is_some());
        }
        assert!(interrupted > 0, "no {call} was interrupted");
    }
}

#[test]
fn a_supervisor_that_is_stopped_and_continued_carries_on() {
    let Some(place) = Place::new() else { return };
    let expected = place.undisturbed();
    let mut child = place.prepare(BINARY).args(place.arguments(None)).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let mut interruptions = 0;
    while interruptions < INTERRUPTIONS && child.try_wait().unwrap().is_none() {
        kill_process(pid, Signal::STOP).unwrap();
        kill_process(pid, Signal::CONT).unwrap();
        interruptions += 1;
        std::thread::yield_now();
    }
    let output = child.wait_with_output().unwrap();
    traces::check_no_process();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    place.check_whole(&place.newest_run(0).unwrap(), &expected, "stopped and continued");
}
