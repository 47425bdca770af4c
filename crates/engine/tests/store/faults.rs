//! Files that are not what they should be, writers that meet, and disks that are full.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use rollcage_engine::store::{Store, StoreError, SyncMode};
use rusqlite::Connection;

use crate::records::{assert_sound, begin_run, trajectory, turn};

/// Set in the child: a directory on a file system of a few megabytes.
const CHILD_VARIABLE: &str = "ROLLCAGE_TEST_SMALL_DISK";

#[tokio::test]
async fn a_second_writer_is_told_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let store = Store::open(&path, SyncMode::Process).unwrap();
    let link = directory.path().join("other-name.db");
    symlink(&path, &link).unwrap();
    for name in [&path, &link] {
        let error = Store::open(name, SyncMode::Process).unwrap_err();
        let StoreError::Locked { holder, .. } = &error else { panic!("{error}") };
        assert_eq!(*holder, Some(std::process::id()));
        assert!(
            error
                .to_string()
                .ends_with(&format!("is locked by another writer, process {}", std::process::id()))
        );
        assert!(error.hint().is_some());
    }
    // Readers are welcome, and the first writer is not disturbed.
    begin_run(&store).await;
    assert_eq!(Store::open_read_only(&link).unwrap().runs().unwrap().len(), 1);
    drop(store);
    Store::open(&path, SyncMode::Process).unwrap();
}

#[tokio::test]
async fn a_write_that_another_program_blocks_is_refused_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let store = Store::open(&path, SyncMode::Process).unwrap();
    begin_run(&store).await;
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.begin_trajectory(&trajectory("a", 0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { holder: None, .. }), "{error}");
    shell.execute_batch("ROLLBACK").unwrap();
    store.begin_trajectory(&trajectory("a", 0)).await.unwrap();
    assert_eq!(store.reader().unwrap().trajectories("r").unwrap().len(), 1);
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("text"), "not a database, but long enough to have a header\n".repeat(100)).unwrap();
    let foreign = Connection::open(path("foreign")).unwrap();
    foreign.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    drop(foreign);
    for name in ["text", "foreign"] {
        let before = fs::read(path(name)).unwrap();
        for result in [
            Store::open(&path(name), SyncMode::Process).map(|_store| ()),
            Store::open_read_only(&path(name)).map(|_reader| ()),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, StoreError::NotAStore { .. }), "{name}: {error}");
        }
        assert_eq!(fs::read(path(name)).unwrap(), before, "{name}");
    }
    let missing = Store::open_read_only(&path("missing")).unwrap_err();
    assert!(matches!(missing, StoreError::Missing { .. }), "{missing}");
    let nowhere = Store::open(&path("no/such/directory.db"), SyncMode::Process).unwrap_err();
    assert!(matches!(nowhere, StoreError::Io { .. }), "{nowhere}");
}

#[test]
fn an_empty_file_becomes_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    fs::write(&path, "").unwrap();
    let unread = Store::open_read_only(&path).unwrap_err();
    assert!(matches!(unread, StoreError::NotAStore { .. }), "{unread}");
    assert_sound(&Store::open(&path, SyncMode::Process).unwrap().reader().unwrap());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    drop(Store::open(&path, SyncMode::Process).unwrap());
    let raw = Connection::open(&path).unwrap();
    raw.pragma_update(None, "user_version", 7).unwrap();
    drop(raw);
    let expected = format!("store `{}` has schema version 7, this release knows 1", path.display());
    assert_eq!(Store::open(&path, SyncMode::Process).unwrap_err().to_string(), expected);
    assert_eq!(Store::open_read_only(&path).unwrap_err().to_string(), expected);
    let raw = Connection::open(&path).unwrap();
    let version: i64 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 7);
}

#[tokio::test]
async fn damage_is_found_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let store = Store::open(&path, SyncMode::Process).unwrap();
    begin_run(&store).await;
    store.begin_trajectory(&trajectory("a", 0)).await.unwrap();
    for index in 0..3 {
        store.append_turn(&turn("a-0", index, "x")).await.unwrap();
    }
    drop(store);
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch(
        "PRAGMA foreign_keys = OFF;
         DELETE FROM turns WHERE turn_index = 1;
         DELETE FROM fingerprints;
         UPDATE turns SET record = '{}' WHERE turn_index = 2",
    )
    .unwrap();
    drop(raw);
    let reader = Store::open_read_only(&path).unwrap();
    assert_eq!(
        reader.integrity_check().unwrap(),
        [
            "row 1 of runs refers to a missing row of fingerprints",
            "trajectory `a-0` lacks a turn",
            "row 3 of turns: turn record is malformed",
        ]
    );
    let error = reader.turns("a-0").unwrap_err().to_string();
    assert!(error.starts_with("turn 2 of trajectory `a-0` in store `"), "{error}");
    drop(reader);

    // A page overwritten from outside.
    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() - 4096;
    bytes[page..].fill(0xa5);
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..8].fill(0xa5);
    }
    fs::write(&path, bytes).unwrap();
    let error = Store::open_read_only(&path).unwrap().runs().unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[test]
fn a_full_disk_is_named_and_costs_no_finished_turn() {
    if let Some(directory) = std::env::var_os(CHILD_VARIABLE) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(fill_the_disk(&PathBuf::from(directory)));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // In a mount namespace of its own, so that nothing stays mounted whatever happens.
    let mount = "mount -t tmpfs -o size=3m tmpfs \"$1\" || exit 77; shift; exec \"$@\"";
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", mount, "sh"])
        .arg(directory.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "faults::a_full_disk_is_named_and_costs_no_finished_turn"])
        .env(CHILD_VARIABLE, directory.path())
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) if status.code() == Some(101) => panic!("the store failed on the small disk"),
        Ok(status) => eprintln!("skipped: a small file system cannot be mounted ({status})"),
        Err(error) => eprintln!("skipped: `unshare` cannot be run ({error})"),
    }
}

async fn fill_the_disk(directory: &Path) {
    let path = directory.join("runs.db");
    let ballast = directory.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).expect("there is room for it");
    let store = Store::open(&path, SyncMode::Process).expect("there is room for it");
    begin_run(&store).await;
    for task in ["a", "b", "c"] {
        store.begin_trajectory(&trajectory(task, 0)).await.expect("there is room for it");
    }
    let text = "x".repeat(50_000);
    let mut stored = 0;
    let error = loop {
        match store.append_turn(&turn("a-0", stored, &text)).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100, "the disk never filled up");
    };
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(error.to_string().ends_with("runs.db`"), "{error}");
    assert!(stored > 3, "{stored}");

    // Small writes that share a commit with one that does not fit arrive without it. While another program holds
    // the file, the three gather; they are sent before it lets go.
    let shell = Connection::open(&path).expect("it is open");
    shell.execute_batch("BEGIN IMMEDIATE").expect("nobody writes");
    let large = turn("b-0", 0, &"x".repeat(2 << 20));
    let small = [turn("c-0", 0, "x"), turn("c-0", 1, "x")];
    let (first, error, second, released) = tokio::join!(
        store.append_turn(&small[0]),
        store.append_turn(&large),
        store.append_turn(&small[1]),
        async { shell.execute_batch("ROLLBACK") },
    );
    released.expect("it was held");
    first.expect("it fits");
    second.expect("it fits");
    let error = error.expect_err("it does not fit");
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    drop(shell);

    // Room again: the store goes on where it stopped, in the same process.
    fs::remove_file(&ballast).expect("it is there");
    store.append_turn(&turn("a-0", stored, &text)).await.expect("there is room again");
    let reader = store.reader().expect("it is open");
    assert_eq!(reader.turns("c-0").expect("they can be read"), small);
    let turns = reader.turns("a-0").expect("they can be read");
    assert_eq!(turns, (0..=stored).map(|index| turn("a-0", index, &text)).collect::<Vec<_>>());
    assert_sound(&reader);
}
