//! A store whose files are not what they were: removed or replaced under the run, locked by another, damaged.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use rollcage_engine::store::{Store, SyncMode};
use rustix::process::{Pid, Signal, kill_process};

use crate::place::{BINARY, Finished, Place, finish};
use crate::traces;

/// Times a run is made that may be over before it is disturbed.
const ATTEMPTS: usize = 4;
/// Bytes of a page, and of the database's header at the start of the first.
const PAGE: usize = 4096;
const HEADER: usize = 100;

#[test]
fn a_store_that_is_removed_or_replaced_under_a_run_ends_it() {
    let Some(place) = Place::new() else { return };
    let expected = place.undisturbed();
    let store = place.store();
    let with = |ending: &str| format!("{}{ending}", store.display());
    let (removed, replaced) = ("it was removed while in use", "another file is in its place");
    let replace = || {
        let another = place.root().join("another.db");
        drop(Store::open(&another, SyncMode::Process).unwrap());
        fs::rename(&another, with("")).unwrap();
    };
    let disturb: [(&str, &str, &dyn Fn()); 5] = [
        ("", removed, &|| fs::remove_dir_all(place.directory()).unwrap()),
        ("", removed, &|| fs::remove_file(with("")).unwrap()),
        ("-wal", removed, &|| fs::remove_file(with("-wal")).unwrap()),
        ("-shm", removed, &|| fs::remove_file(with("-shm")).unwrap()),
        ("", replaced, &replace),
    ];
    for (ending, why, disturb) in disturb {
        let finished = disturbed(&place, disturb);
        assert_eq!(finished.code, Some(115), "{ending} {why}: {finished:?}");
        let expected = format!("cannot go on writing to `{}`: {why}", with(ending));
        assert_eq!(finished.error(), Some(expected.as_str()));
        fs::create_dir_all(place.directory()).unwrap();
    }
    // What is put in its place is as good as any other.
    place.reset(None);
    place.check_recovers(0, &expected, "a new store");
    traces::check_no_group();
}

/// Makes the run, and lets `disturb` change what it writes to after its first turn.
fn disturbed(place: &Place, disturb: &dyn Fn()) -> Finished {
    for _ in 0..ATTEMPTS {
        place.reset(None);
        let mut child = place.prepare(BINARY).args(place.arguments(None)).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let mut told = Vec::new();
        let mut byte = [0];
        while !String::from_utf8_lossy(&told).contains("turn stored") {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&told));
            told.push(byte[0]);
        }
        let pid = Pid::from_child(&child);
        kill_process(pid, Signal::STOP).unwrap();
        disturb();
        kill_process(pid, Signal::CONT).unwrap();
        stderr.read_to_end(&mut told).unwrap();
        let code = child.wait().unwrap().code();
        traces::check_no_process();
        let finished = Finished { code, stderr: String::from_utf8_lossy(&told).into_owned() };
        // Eleven turns were left when it was stopped, unless this process was kept from running for so long.
        if code != Some(0) {
            return finished;
        }
        fs::create_dir_all(place.directory()).unwrap();
    }
    panic!("the run was over each time before anything could be done to it")
}

#[test]
fn a_store_that_another_process_holds_is_left_to_it() {
    let Some(place) = Place::new() else { return };
    let lock = format!("{}.lock", place.store().display());
    // `cat` ends when its input does.
    let mut holder = Command::new("flock")
        .arg(&lock)
        .arg("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"held").unwrap();
    let mut answer = [0; 4];
    holder.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    let output = place.prepare(BINARY).args(place.arguments(None)).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(115), "{stderr}");
    let expected = format!("store `{}` is locked by another writer", place.store().display());
    assert!(stderr.contains(&expected), "{stderr}");
    assert!(!place.store().exists());
    drop(input);
    holder.wait().unwrap();
    assert_eq!(place.run(None).code, Some(0));
}

#[test]
fn a_damaged_store_is_named_and_left_as_it_is() {
    let Some(place) = Place::new() else { return };
    place.undisturbed();
    assert_eq!(place.run(None).code, Some(0));
    let whole = fs::read(place.store()).unwrap();
    let run = place.newest_run(0).unwrap();
    let (corrupt, foreign) = ("is corrupt: database disk image is malformed", "is not a rollcage store");
    let scratch = |range: std::ops::Range<usize>| {
        let mut bytes = whole.clone();
        bytes[range].fill(0xa5);
        bytes
    };
    let mut pages = whole.clone();
    // The head of each page but the first, which says what the page is.
    pages.chunks_mut(PAGE).skip(1).for_each(|page| page[..8].fill(0xa5));
    for (what, bytes, why) in [
        ("header", scratch(0..HEADER), foreign),
        ("schema", scratch(HEADER..PAGE), corrupt),
        ("every page but the first", pages, corrupt),
        ("second half gone", whole[..whole.len() / 2].to_vec(), corrupt),
        ("zeros", vec![0; whole.len()], foreign),
    ] {
        for command in [
            place.arguments(None),
            place.arguments(Some(&run)),
            ["show", &run, "--store", &place.store().display().to_string()].map(str::to_owned).to_vec(),
        ] {
            place.reset(None);
            fs::write(place.store(), &bytes).unwrap();
            let finished = finish(place.prepare(BINARY).args(&command));
            assert_eq!(finished.code, Some(115), "{what}: {command:?}: {finished:?}");
            let error = finished.error().unwrap_or_default();
            assert!(error.contains(why), "{what}: {command:?}: {error}");
            assert!(error.contains(&place.store().display().to_string()), "{what}: {error}");
            assert!(finished.told().is_empty(), "{what}: {finished:?}");
            assert!(fs::read(place.store()).unwrap() == bytes, "{what}: {command:?}: the file was changed");
        }
    }
}
