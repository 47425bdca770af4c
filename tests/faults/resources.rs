//! A supervisor that gets no descriptor, no thread, or no uninterrupted call.

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{BINARY, Conversation, Place, finish, is_long};
use crate::traces;
use crate::tracing::{can_trace, inject};

/// Times the supervisor is stopped and continued. Each interrupts what its threads wait in.
const INTERRUPTIONS: usize = 200;

/// Too few for a host, and enough for one of many processors. What tokio makes of fewer than it needs for itself, which
/// is a panic, is left out.
const DESCRIPTORS: (usize, usize) = (24, 4096);
const LONG_STEP: usize = 3;

/// Exit codes of failures that are ours: of the cage, and of the store.
const OURS: [i32; 2] = [113, 115];

#[test]
fn a_run_without_enough_descriptors_says_so_and_invents_nothing() {
    let Some(place) = Place::new() else { return };
    let expected = place.undisturbed();
    // Every sample at once, so that a limit may be enough to start with and not to go on.
    place.set_concurrency(expected.len());
    assert!(!is_enough(&place, "5", &expected), "not enough for the store");
    let (mut too_few, mut enough) = DESCRIPTORS;
    assert!(!is_enough(&place, &soft(too_few), &expected), "not enough for a host");
    if !is_enough(&place, &soft(enough), &expected) {
        eprintln!("skipped: {enough} descriptors are not enough for a host of this many processors");
        return;
    }
    if is_long() {
        for descriptors in (too_few..=enough).step_by(LONG_STEP) {
            if is_enough(&place, &soft(descriptors), &expected) {
                break;
            }
        }
    }
    while enough - too_few > 1 {
        let middle = too_few.midpoint(enough);
        if is_enough(&place, &soft(middle), &expected) { enough = middle } else { too_few = middle }
    }
    println!("{enough} descriptors are enough");
    traces::check_no_group();
}

/// A limit that a process may raise for what it starts: cages have limits of their own.
fn soft(descriptors: usize) -> String {
    format!("{descriptors}:{}", DESCRIPTORS.1)
}

/// Whether a run with this limit ends well. If not, asserts that it says why, holds nothing that did not happen, and
/// can be gone on with.
fn is_enough(place: &Place, limit: &str, expected: &[Conversation]) -> bool {
    place.reset(None);
    let mut command = place.prepare("prlimit");
    command.arg(format!("--nofile={limit}")).arg(BINARY).args(place.arguments(None));
    let finished = finish(&mut command);
    let context = format!("descriptors {limit}");
    if let Some(run) = place.newest_run(0) {
        place.check_part(&run, expected, &finished.told(), &context);
    }
    if finished.code == Some(0) {
        place.check_whole(&place.newest_run(0).unwrap(), expected, &context);
        return true;
    }
    assert!(finished.code.is_some_and(|code| OURS.contains(&code)), "{context}: {finished:?}");
    let why =
        finished.stderr.lines().find(|line| line.starts_with("error: ") || line.starts_with("failed: "));
    println!("{context}: {why:?}");
    assert!(why.is_some_and(|why| why.contains("Too many open files")), "{context}: {finished:?}");
    place.check_recovers(0, expected, &context);
    false
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
