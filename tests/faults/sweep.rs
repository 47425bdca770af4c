//! Every write point of a store, failed once in each way: killed at it, no space, an I/O error, no quota.
//!
//! The points are those of three undisturbed runs: one that creates its store, one that finds a store with a finished
//! run in it, and one that goes on with what a kill left. `ROLLCAGE_LONG=1` visits all of them with every fault, prints
//! what came of each, and asserts that none was left out; otherwise a few of each kind are visited.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::place::{Conversation, Finished, Place, is_long};
use crate::traces;
use crate::tracing::{Fault, Role, WritePoint, can_trace, list, strike};

const FAULTS: [Fault; 4] = [Fault::Kill, Fault::Error("ENOSPC"), Fault::Error("EIO"), Fault::Error("EDQUOT")];

/// A disk that does not recover.
const LASTING: Fault = Fault::ErrorFromThen("EIO");

/// What follows from a lasting failure does not depend on the exact write, so one of so many will do.
const LASTING_EACH: usize = 8;

/// A run's length may differ by a page from one time to the next, since times have more digits or fewer. A point at
/// the very end that one run does not reach, another does.
const ATTEMPTS: usize = 4;

/// Frames of the log that the killed run of [`Phase::Resume`] wrote: some turns are stored and some are not.
const KILLED_AT: usize = 70;

/// Where a database's header says in which format it is written and read, and what it says of one with a log.
const FORMAT: std::ops::Range<usize> = 18..20;
const LOGGED: [u8; 2] = [2, 2];

/// The writes a run begins with depend on what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Nothing.
    Create,
    /// A finished run.
    Add,
    /// A run that was killed, with turns in the log.
    Resume,
}

/// A phase with what it starts from.
struct Start {
    phase: Phase,
    /// The store's files, copied for each run.
    template: Option<PathBuf>,
    /// Runs in it that are none of this phase's.
    before: usize,
    resume: Option<String>,
}

/// What became of a run with a fault in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    Killed,
    /// It ended with the store's exit code, and said why.
    Refused,
    /// It could do without, and is whole.
    Whole,
}

#[test]
fn a_write_that_fails_loses_nothing_invents_nothing_and_is_named() {
    let Some(place) = Place::new() else { return };
    if !can_trace() {
        return;
    }
    let expected = place.undisturbed();
    let mounts = traces::mounts();
    let mut seen = Vec::new();
    let mut struck: BTreeSet<(Phase, Fault, WritePoint)> = BTreeSet::new();
    for phase in [Phase::Create, Phase::Add, Phase::Resume] {
        let start = Start::prepare(&place, phase);
        place.reset(start.template.as_deref());
        let (finished, points) = list(&place, start.resume.as_deref());
        assert_eq!(finished.code, Some(0), "{finished:?}");
        place.check_recovers(start.before, &expected, "only traced");
        println!("{phase:?}: {} write points", points.len());
        for (point, fault) in visits(phase, &points) {
            if check(&place, &start, &point, fault, &expected) {
                struck.insert((phase, fault, point));
            }
        }
        seen.extend(points.into_iter().map(|point| (phase, point)));
    }
    traces::check_no_group();
    assert_eq!(traces::mounts(), mounts);
    println!("{} visits", struck.len());
    assert!(struck.iter().any(|(_, _, point)| point.role == Role::Writer));
    if is_long() {
        check_complete(&seen, &struck);
    }
}

/// Asserts that every point of every phase was visited with every fault.
fn check_complete(seen: &[(Phase, WritePoint)], struck: &BTreeSet<(Phase, Fault, WritePoint)>) {
    // The same call of the same thread, whatever the run began with: the only way to get at one that another thread
    // makes first.
    let anywhere: BTreeSet<_> = struck.iter().map(|(_, fault, point)| (*fault, point.key())).collect();
    let is_struck = |phase: Phase, fault: Fault, point: &WritePoint| {
        if point.is_shadowed {
            anywhere.contains(&(fault, point.key()))
        } else {
            struck.contains(&(phase, fault, point.clone()))
        }
    };
    for fault in FAULTS {
        let missed: Vec<_> = seen.iter().filter(|(phase, point)| !is_struck(*phase, fault, point)).collect();
        assert!(missed.is_empty(), "{fault}: {missed:?}");
        println!("{fault}: {} of {} write points", seen.len(), seen.len());
    }
}

/// Which points are visited, with which faults.
fn visits(phase: Phase, points: &[WritePoint]) -> Vec<(WritePoint, Fault)> {
    let reachable = points.iter().filter(|point| !point.is_shadowed);
    if is_long() {
        let once = reachable.clone().flat_map(|point| FAULTS.map(|fault| (point.clone(), fault)));
        let lasting = reachable.filter(|point| is_data(point.role, &point.call)).step_by(LASTING_EACH);
        return once.chain(lasting.map(|point| (point.clone(), LASTING))).collect();
    }
    let mut kinds: BTreeMap<_, Vec<&WritePoint>> = BTreeMap::new();
    for point in reachable {
        kinds.entry((point.role, &point.call, point.file)).or_default().push(point);
    }
    let of_kind = |(index, ((role, call, _file), kind)): (usize, ((Role, &String, _), Vec<&WritePoint>))| {
        let (first, middle, last) = (kind[0], kind[kind.len() / 2], kind[kind.len() - 1]);
        // What holds the turns is struck in each way; of the rest, one kind so and the next otherwise.
        let is_data = is_data(role, call);
        let visits = [
            (phase == Phase::Create && (is_data || index % 2 == 0), middle, Fault::Kill),
            (phase == Phase::Create && (is_data || index % 2 == 1), last, Fault::Error("ENOSPC")),
            (phase == Phase::Add && is_data, middle, LASTING),
            (phase == Phase::Resume && index % 3 == 0, first, Fault::Kill),
            (phase == Phase::Resume && is_data, middle, Fault::Error("EDQUOT")),
        ];
        let chosen = visits.into_iter().filter(|(is_chosen, ..)| *is_chosen);
        chosen.map(|(_, point, fault)| (point.clone(), fault)).collect::<Vec<_>>()
    };
    kinds.into_iter().enumerate().flat_map(of_kind).collect()
}

/// Whether a point writes what the run is about.
fn is_data(role: Role, call: &str) -> bool {
    role == Role::Writer && call == "pwrite64"
}

/// Makes the run with one fault and asserts what must hold of it. Whether the fault struck.
fn check(place: &Place, start: &Start, point: &WritePoint, fault: Fault, expected: &[Conversation]) -> bool {
    for _ in 0..ATTEMPTS {
        place.reset(start.template.as_deref());
        let (finished, struck) = strike(place, start.resume.as_deref(), point, fault);
        let context = format!("{:?} {point} {fault}", start.phase);
        if struck != Some(point.role) {
            assert_eq!(finished.code, Some(0), "{context}: it did not strike: {finished:?}");
            continue;
        }
        let came = judge(place, start, fault, &finished, expected, &context);
        let cause =
            finished.error().unwrap_or_default().replace(&format!("{}/", place.directory().display()), "");
        place.check_recovers(start.before, expected, &context);
        println!("{context:<60} {came:?} {cause}");
        return true;
    }
    println!("{:?} {point} {fault}: never reached", start.phase);
    false
}

/// What became of the run; asserts that it is one of the things that may.
fn judge(
    place: &Place,
    start: &Start,
    fault: Fault,
    finished: &Finished,
    expected: &[Conversation],
    context: &str,
) -> Came {
    let told = finished.told();
    let run = place.newest_run(start.before);
    assert!(run.is_some() || told.is_empty(), "{context}: the run is gone, and {told:?} were told");
    if let Some(run) = &run {
        place.check_part(run, expected, &told, context);
    }
    assert!(is_logged(place), "{context}: written without a write-ahead log");
    match (fault, finished.code) {
        (Fault::Kill, None | Some(137)) => Came::Killed,
        (Fault::Error(_) | Fault::ErrorFromThen(_), Some(0)) => {
            place.check_whole(run.as_deref().unwrap(), expected, context);
            Came::Whole
        }
        (Fault::Error(_) | Fault::ErrorFromThen(_), Some(115)) => {
            let error = finished.error().unwrap_or_else(|| panic!("{context}: {finished:?}"));
            let store = place.store().display().to_string();
            let (_, cause) = error.split_once(&store).unwrap_or_else(|| panic!("{context}: {error}"));
            assert!(cause.contains(": "), "{context}: no cause in `{error}`");
            assert!(!is_repeated(cause), "{context}: a cause is told twice in `{error}`");
            Came::Refused
        }
        (Fault::Kill | Fault::Error(_) | Fault::ErrorFromThen(_), _) => panic!("{context}: {finished:?}"),
    }
}

/// Whether the database is empty, or its header says that writes go through the log.
fn is_logged(place: &Place) -> bool {
    let header = std::fs::read(place.store()).unwrap_or_default();
    header.is_empty() || header[FORMAT] == LOGGED
}

/// Whether a chain of causes says something twice.
fn is_repeated(chain: &str) -> bool {
    let parts: Vec<_> = chain.split(": ").collect();
    parts.iter().collect::<BTreeSet<_>>().len() < parts.len()
}

impl Start {
    /// Makes what the phase starts from.
    fn prepare(place: &Place, phase: Phase) -> Self {
        place.reset(None);
        let (before, resume) = match phase {
            Phase::Create => return Self { phase, template: None, before: 0, resume: None },
            Phase::Add => {
                assert_eq!(place.run(None).code, Some(0));
                (1, None)
            }
            Phase::Resume => {
                let point = WritePoint {
                    role: Role::Writer,
                    call: "pwrite64".to_owned(),
                    file: Some("-wal"),
                    number: KILLED_AT,
                    is_shadowed: false,
                };
                let (finished, struck) = strike(place, None, &point, Fault::Kill);
                assert_eq!(struck, Some(Role::Writer), "{finished:?}");
                (0, None)
            }
        };
        let template = place.root().join(format!("{phase:?}"));
        std::fs::rename(place.directory(), &template).unwrap();
        std::fs::create_dir(place.directory()).unwrap();
        // Read from a copy, because reading leaves traces of its own.
        place.reset(Some(&template));
        let resume = match phase {
            Phase::Resume => Some(place.newest_run(0).unwrap()),
            Phase::Create | Phase::Add => resume,
        };
        Self { phase, template: Some(template), before, resume }
    }
}
