//! Disks that are full or cannot be written, for real: a small file system in a mount namespace of the command's own.

use std::path::PathBuf;
use std::process::Command;

use crate::place::{BINARY, Finished, Place, finish};
use crate::traces;

/// Room for the store to begin and not for the run to end: its log alone comes to a quarter of a megabyte.
const SMALL: &str = "200k";
/// Room for not even the schema, and for hardly a lock file.
const TINY: [&str; 2] = ["60k", "4k"];
const LARGE: &str = "8m";

/// Runs `script` with the store's directory, `$STORE`, on a file system of this size. In it, `rollout` makes the run,
/// and what is copied to `$SAVED` outlives the file system. `None` where none can be mounted.
fn on_a_disk(place: &Place, size: &str, script: &str) -> Option<Finished> {
    let arguments = place.arguments(None).join("' '");
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs \"$STORE\" || exit 77\n\
         rollout() {{ '{BINARY}' '{arguments}'; }}\n{script}"
    );
    let mut command: Command = place.prepare("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.env("STORE", place.directory()).env("SAVED", saved(place));
    let finished = finish(&mut command);
    if finished.code == Some(77) {
        eprintln!("skipped: a small file system cannot be mounted");
        return None;
    }
    Some(finished)
}

/// Where [`on_a_disk`] leaves what the small file system held.
fn saved(place: &Place) -> PathBuf {
    place.root().join("saved")
}

#[test]
fn a_full_disk_is_named_and_room_is_all_a_resume_needs() {
    let Some(place) = Place::new() else { return };
    let (expected, mounts) = (place.undisturbed(), traces::mounts());
    for size in [SMALL].into_iter().chain(TINY) {
        place.reset(None);
        let script = "rollout; code=$?; cp -a \"$STORE\" \"$SAVED\"; exit $code";
        let Some(finished) = on_a_disk(&place, size, script) else { return };
        assert_eq!(finished.code, Some(115), "{size}: {finished:?}");
        let error = finished.error().unwrap();
        assert!(error.contains(&place.store().display().to_string()), "{size}: {error}");
        assert!(error.contains("o space left"), "{size}: {error}");
        // What the full disk held, on one with room.
        place.reset(Some(&saved(&place)));
        std::fs::remove_dir_all(saved(&place)).unwrap();
        let told = finished.told();
        match place.newest_run(0) {
            Some(run) => {
                place.check_part(&run, &expected, &told, size);
                assert!(size != SMALL || !told.is_empty(), "the disk was full before a turn was stored");
            }
            None => assert!(told.is_empty() && size != SMALL, "{size}: {told:?}"),
        }
        place.check_recovers(0, &expected, size);
    }
    assert_eq!(traces::mounts(), mounts);
    traces::check_no_group();
}

#[test]
fn a_read_only_disk_is_named_before_anything_is_run() {
    let Some(place) = Place::new() else { return };
    let read_only = "mount -o remount,ro \"$STORE\" || exit 77";
    for (before, also_there) in [("", false), ("rollout || exit 78", true)] {
        place.reset(None);
        let Some(finished) = on_a_disk(&place, LARGE, &format!("{before}\n{read_only}\nrollout")) else {
            return;
        };
        assert_eq!(finished.code, Some(115), "{finished:?}");
        let error = finished.error().unwrap();
        assert!(error.contains(&place.store().display().to_string()), "{error}");
        assert!(error.contains("Read-only file system"), "{error}");
        assert_eq!(!finished.told().is_empty(), also_there, "{finished:?}");
    }
}
