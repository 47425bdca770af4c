//! InterCode's recorded Python episodes: each reward comes out again, or is known not to.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rollcage_api::{InterCodeDifference, InterCodeReport, gunzip, read_intercode_episodes};
use serde_json::{Value, json};

const TASKS: &str = "intercode/ic_mbpp.json.gz";
const EPISODES: &str = "intercode/ic_python_multiturn_gpt-4_7_turns.json.gz";

/// The action does not parse, so it defines nothing. InterCode scores by giving the submitted function the name that
/// the asserts call; when that fails, the name still belongs to the gold function, which was run there to score the
/// turn before.
const NOTHING_DEFINED: &str =
    "an action that does not parse was scored as the gold function left by the turn before";

/// The asserts call the gold code's second function, and a submission only takes the place of the first. From the
/// second turn on the one they call is there: left by the turn before, and calling the submission.
const SECOND_FUNCTION: &str = "the asserts call a gold function that only the turn before defined";

/// Every reward that does not come out again: task, turn, as recorded, ours, why.
const DIFFERENT: [(usize, usize, f64, f64, &str); 9] = [
    (55, 1, 2.0 / 3.0, 0.0, SECOND_FUNCTION),
    (55, 2, 2.0 / 3.0, 0.0, SECOND_FUNCTION),
    (55, 3, 2.0 / 3.0, 0.0, SECOND_FUNCTION),
    (55, 4, 2.0 / 3.0, 0.0, SECOND_FUNCTION),
    (55, 5, 2.0 / 3.0, 0.0, SECOND_FUNCTION),
    (55, 6, 2.0 / 3.0, 0.0, SECOND_FUNCTION),
    (70, 1, 1.0, 0.0, NOTHING_DEFINED),
    (109, 6, 1.0, 0.0, NOTHING_DEFINED),
    (118, 4, 1.0, 0.0, NOTHING_DEFINED),
];

fn data() -> PathBuf {
    std::env::var_os("ROLLCAGE_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    )
}

fn eval(data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcage"));
    command.args(["eval", "intercode-python", "--json", "--data"]).arg(data);
    command.env_remove("ROLLCAGE_LANGUAGES").output().unwrap()
}

/// The report, and the code the command ended with; `None` and a note where this host makes no cages.
fn replay(data: &Path) -> Option<(InterCodeReport, i32)> {
    const INFRASTRUCTURE: i32 = 113;
    let output = eval(data);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().unwrap();
    if code == INFRASTRUCTURE && output.stdout.is_empty() {
        eprintln!("skipped: no cages on this host: {}", stderr.trim());
        return None;
    }
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    Some((report, code))
}

#[test]
fn every_recorded_reward_comes_out_again_or_is_known_not_to() {
    let data = data();
    for name in [TASKS, EPISODES] {
        if !data.join(name).is_file() {
            eprintln!("skipped: the data set {name} is missing");
            return;
        }
    }
    let Some((report, code)) = replay(&data) else { return };
    let recorded = read_intercode_episodes(&gunzip(&std::fs::read(data.join(EPISODES)).unwrap()).unwrap());
    let recorded = recorded.unwrap();

    let found: Vec<_> = report
        .differences
        .iter()
        .map(|row| (row.task_index, row.turn, row.recorded, row.replayed.unwrap_or(f64::NAN)))
        .collect();
    assert_eq!(found, DIFFERENT.map(|(task, turn, recorded, ours, _why)| (task, turn, recorded, ours)));
    // Each was explained by putting the gold code back and getting the recorded reward.
    assert_eq!(report.causes, BTreeMap::from([("gold_left_behind".to_owned(), DIFFERENT.len())]));
    assert_eq!((report.turns, report.rewards_reproduced, report.episodes_reproduced), (431, 422, 115));
    assert_eq!(code, 0);

    assert_eq!((recorded.len(), report.episodes.len()), (119, 119));
    for (recorded, replayed) in recorded.iter().zip(&report.episodes) {
        let task = recorded.task_index;
        assert_eq!((replayed.task_index, replayed.turns_recorded), (task, recorded.turns.len()));
        assert_eq!(replayed.turns_replayed, recorded.turns.len(), "turns of episode {task}");
        let rewards: Vec<f64> = recorded.turns.iter().map(|turn| turn.reward).collect();
        assert_eq!(rewards[recorded.max_reward_turn], recorded.max_reward, "summary of episode {task}");
        assert_eq!(replayed.max_reward_recorded, recorded.max_reward, "best of episode {task}");
        let is_different = DIFFERENT.iter().any(|row| row.0 == task);
        let is_equal = replayed.max_reward_replayed == Some(recorded.max_reward);
        assert_eq!(is_equal, !is_different, "best of episode {task}");
    }
}

/// An episode of `turns`: action and recorded reward.
fn episode(task: usize, turns: &[(&str, f64)]) -> Value {
    let rewards: Vec<f64> = turns.iter().map(|turn| turn.1).collect();
    let best = rewards.iter().copied().fold(0.0, f64::max);
    json!({
        "task_id": task,
        "turn_history": {
            "actions": turns.iter().map(|turn| turn.0).collect::<Vec<_>>(),
            "observations": vec![""; turns.len()],
            "rewards": rewards,
        },
        "summary": {
            "max_reward": best,
            "max_reward_idx": rewards.iter().position(|reward| *reward == best),
            "turns_taken": turns.len(),
            "turns_max": 7,
        },
    })
}

fn task(gold: &str, tests: &[&str]) -> Value {
    json!({"query": "Write it.", "gold": gold, "tests": tests, "test_setup_code": ""})
}

/// Replays one episode on one task and returns the turns that differ.
fn differences(gold: &str, tests: &[&str], turns: &[(&str, f64)]) -> Option<(Vec<InterCodeDifference>, i32)> {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, value: Value| {
        std::fs::create_dir_all(directory.path().join("intercode")).unwrap();
        std::fs::write(directory.path().join(name), value.to_string()).unwrap();
    };
    write(TASKS, json!([task(gold, tests)]));
    write(EPISODES, json!({"0": episode(0, turns)}));
    replay(directory.path()).map(|(report, code)| (report.differences, code))
}

#[test]
fn an_action_earns_the_share_of_asserts_that_end_as_for_gold() {
    let identity = "def f(x):\r\n    return x";
    let two: &[&str] = &["assert f(1) == 1", "assert f(2) == 2"];
    for (gold, tests, turns) in [
        (
            identity,
            two,
            &[
                ("def g(x): return 1", 0.5),
                ("f = lambda x: x", 0.0),
                // Neither ending early nor printing what gold does not print is as good as gold.
                ("def g(x):\n    import os\n    os._exit(0)", 0.0),
                ("def g(x): raise SystemExit(0)", 0.0),
                ("def g(x):\n    print(x)\n    return x", 0.0),
                // What is printed while it is defined is nobody's.
                ("def g(x): return x\nprint('defined')", 1.0),
            ][..],
        ),
        // Equal exceptions are equal outcomes, and only their text is compared.
        (
            "def f(x): return x[0]",
            &["assert f([])"],
            &[("def g(x): return True", 0.0), ("def g(x): raise ValueError('list index out of range')", 1.0)],
        ),
        // A text that occurs twice counts once.
        (
            identity,
            &["assert f(1) == 1", "assert f(1) == 1", "assert f(2) == 2"],
            &[("def g(x): return 1", 0.5)],
        ),
    ] {
        let Some(found) = differences(gold, tests, turns) else { return };
        assert_eq!(found, (Vec::new(), 0), "{gold}");
    }
}

#[test]
fn a_difference_is_named_by_what_brings_the_recorded_reward_back() {
    for (gold, tests, turns, expected, code) in [
        (
            "import math\ndef f(x): return math.floor(x)",
            &["assert f(1.5) == 1"][..],
            &[("def g(x): return 0", 0.0), ("def g(x): return math.floor(x)", 1.0)][..],
            &[(1, Some(0.0), "gold_left_behind")][..],
            0,
        ),
        // Nothing is left behind before the first submission.
        (
            "import math\ndef f(x): return math.floor(x)",
            &["assert f(1.5) == 1"],
            &[("def g(x): return math.floor(x)", 1.0)],
            &[(0, Some(0.0), "unexplained")],
            1,
        ),
        (
            "def f(x): return 1",
            &["assert f(1) == 1", "assert f(2) == 1"],
            &[
                ("def g(x, seen=[]):\n    seen.append(x)\n    return len(seen)", 0.5),
                ("def g(x): return 1", 1.0),
            ],
            &[(0, Some(1.0), "earlier_asserts"), (1, None, "not_played")],
            1,
        ),
        // InterCode cannot find this gold function's name, and neither do we guess it.
        (
            "def f (x): return x",
            &["assert f(1) == 1"],
            &[("def g(x): return x", 1.0)],
            &[(0, None, "not_judged")],
            1,
        ),
    ] {
        let Some((found, found_code)) = differences(gold, tests, turns) else { return };
        let found: Vec<_> = found.iter().map(|row| (row.turn, row.replayed, row.cause.as_str())).collect();
        assert_eq!((found.as_slice(), found_code), (expected, code), "{gold}");
    }
}
