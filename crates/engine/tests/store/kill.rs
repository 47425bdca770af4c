//! An acknowledged turn survives `kill -9`.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rollcage_api::RunStatus;
use rollcage_engine::store::{Store, SyncMode};

use crate::records::{assert_sound, begin_run, trajectory, turn};

/// Set in the child: the store it writes to.
const CHILD_VARIABLE: &str = "ROLLCAGE_TEST_KILLED_WRITER";
/// Trajectories the child writes at once, so that commits are shared.
const WRITERS: u32 = 8;

#[test]
fn acknowledged_turns_survive_kill_and_none_is_doubled() {
    if let Some(path) = std::env::var_os(CHILD_VARIABLE) {
        write_until_killed(&PathBuf::from(path));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("runs.db");
    let mut acknowledged: HashMap<String, u32> = HashMap::new();
    // Every round resumes the file the last one left, after ever more or fewer turns.
    for turns_before_kill in [1, 2, 150, 7, 61, 400, 23] {
        kill_a_writer_after(&path, turns_before_kill, &mut acknowledged);

        let reader = Store::open_read_only(&path).unwrap();
        assert_sound(&reader);
        for (trajectory_id, count) in &acknowledged {
            let stored = reader.turns(trajectory_id).unwrap();
            assert!(stored.len() >= *count as usize, "{trajectory_id}: {} of {count}", stored.len());
            let expected: Vec<_> =
                (0..).take(stored.len()).map(|index| written(trajectory_id, index)).collect();
            assert_eq!(stored, expected, "{trajectory_id}");
        }
    }
    assert!(acknowledged.values().sum::<u32>() >= 644, "{acknowledged:?}");
    let store = Store::open(&path, SyncMode::Process).unwrap();
    assert_eq!(store.reader().unwrap().run("r").unwrap().status, RunStatus::Interrupted);
}

/// Starts a writer, reads its acknowledgements, and kills it after some of them.
fn kill_a_writer_after(path: &Path, turns: u32, acknowledged: &mut HashMap<String, u32>) {
    let mut child = Command::new(std::env::current_exe().expect("a test has a file"))
        .args(["--exact", "kill::acknowledged_turns_survive_kill_and_none_is_doubled", "--nocapture"])
        .env(CHILD_VARIABLE, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test can run itself");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut seen = 0;
    for line in output.lines() {
        let line = line.expect("the child writes text");
        // The name of the test may share the first line.
        let Some((_, fact)) = line.split_once("acknowledged ") else { continue };
        let (trajectory_id, index) = fact.split_once(' ').expect("a trajectory and an index");
        let count = index.parse::<u32>().expect("a number") + 1;
        let before = acknowledged.insert(trajectory_id.to_owned(), count);
        // The child resumes from what is stored, which may be ahead of what it could still announce.
        assert!(before.is_none_or(|before| before < count), "{line}");
        seen += 1;
        if seen == turns {
            child.kill().expect("it still runs");
        }
    }
    assert!(seen >= turns, "the writer ended by itself after {seen} turns");
    child.wait().expect("it was killed");
}

/// Writes turns for ever, saying so after each acknowledgement.
fn write_until_killed(path: &Path) -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        let store = Arc::new(Store::open(path, SyncMode::Process).expect("the last writer's lock is gone"));
        let reader = store.reader().expect("it is open");
        if reader.runs().expect("they can be read").is_empty() {
            begin_run(&store).await;
        } else {
            store.reopen_run("r").await.expect("it is stored");
        }
        let mut writers = Vec::new();
        for sample in 0..WRITERS {
            let trajectory = trajectory("t", sample);
            let first = reader.turns(&trajectory.id).expect("they can be read").len();
            let store = Arc::clone(&store);
            writers.push(tokio::spawn(async move {
                store.begin_trajectory(&trajectory).await.expect("it is stored");
                for index in u32::try_from(first).expect("few turns").. {
                    store.append_turn(&written(&trajectory.id, index)).await.expect("it is stored");
                    println!("acknowledged {} {index}", trajectory.id);
                }
            }));
        }
        for writer in writers {
            writer.await.expect("it is killed before it ends");
        }
    });
    unreachable!("the writers never end")
}

fn written(trajectory_id: &str, index: u32) -> rollcage_api::TurnRecord {
    turn(trajectory_id, index, &format!("{trajectory_id} says {index}"))
}
