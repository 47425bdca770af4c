//! Runs that are killed go on as if they had not been.

use std::process::Child;

use rollcage_engine::store::Store;
use serde_json::json;

use crate::harness::{Place, can_run, finish, jsonl};

const TASKS: usize = 6;
const SAMPLES: usize = 2;
/// Turns of each conversation, the answer's included.
const TURNS: usize = 5;

fn place() -> Place {
    let place = Place::new(&[(
        "run.yaml",
        "tasks: {path: tasks.jsonl}\nenvironment: {language: python}\npolicy: {recorded: recorded.jsonl}\n\
         group: {size: 2}\nbudget: {turns: 8, concurrency: 4}\nseed: 3\n",
    )]);
    let ids = || (0..TASKS).map(|task| format!("task-{task}"));
    let task = |id: String| json!({"id": id, "prompt": "p", "cases": [{"expected": "10\n"}]});
    place.write("tasks.jsonl", &jsonl(&ids().map(task).collect::<Vec<_>>()));
    let cell = |code: &str| json!({"content": format!("```python\n{code}\n```")});
    let recorded = ids().flat_map(|id| {
        (0..SAMPLES).map(move |sample| {
            json!({"task_id": id, "sample": sample, "turns": [
                cell("import random\nseen = [random.random()]"),
                cell(&format!("seen.append({sample})\nprint(len(seen), seen[0])")),
                // What ends the interpreter is lost, and what was there before is not.
                cell("seen.append('lost')\nimport os\nos._exit(3)"),
                cell(if sample == 0 { "print(len(seen) * 5)" } else { "print(10)" }),
                json!({"content": "done"}),
            ]})
        })
    });
    place.write("recorded.jsonl", &jsonl(&recorded.collect::<Vec<_>>()));
    place
}

/// Turns in the store, however far it has come into being.
fn turns_stored(place: &Place) -> usize {
    let Ok(reader) = Store::open_read_only(&place.store()) else { return 0 };
    let runs = reader.runs().unwrap_or_default();
    let trajectories = runs.iter().flat_map(|run| reader.trajectories(&run.id).unwrap_or_default());
    trajectories.map(|trajectory| reader.turns(&trajectory.id).map_or(0, |turns| turns.len())).sum()
}

/// Kills the process once `turns` turns are stored, or lets it end. Whether it had work left.
fn kill_at(place: &Place, mut child: Child, turns: usize) -> bool {
    while turns_stored(place) < turns && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    let killed = finish(child).code.is_none();
    killed && turns_stored(place) < TASKS * SAMPLES * TURNS
}

/// Kills a run at each of `moments`, resumes it until it ends, and compares it with one nobody touched. Returns
/// how many of the kills left work to do.
fn check(untouched: &Place, moments: &[usize]) -> usize {
    let (place, mut cut_off) = (place(), 0);
    let mut child = place.start(&["rollout", "run.yaml"]);
    for moment in moments {
        cut_off += usize::from(kill_at(&place, child, *moment));
        let Some(run) =
            Store::open_read_only(&place.store()).ok().and_then(|reader| reader.runs().ok()?.pop())
        else {
            // It died before there was anything to resume.
            child = place.start(&["rollout", "run.yaml"]);
            continue;
        };
        child = place.start(&["rollout", "run.yaml", "--resume", &run.id]);
    }
    let finished = finish(child);
    assert_eq!(finished.code, Some(0), "killed at {moments:?}: {finished:?}");
    let conversations = place.conversations();
    assert_eq!(conversations.len(), TASKS * SAMPLES, "killed at {moments:?}");
    assert_eq!(conversations, untouched.conversations(), "killed at {moments:?}");
    cut_off
}

fn untouched() -> Place {
    let place = place();
    let finished = place.run(&["rollout", "run.yaml"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let conversations = place.conversations();
    assert!(conversations.iter().all(|(_, turns)| turns.len() == TURNS), "{conversations:?}");
    assert!(conversations.iter().all(|(trajectory, _)| trajectory.reward
        == Some(if trajectory.sample_index == 0 {
            // Its code needs what was defined in earlier turns, which no judge gives it.
            0.0
        } else {
            1.0
        })));
    place
}

#[test]
fn a_killed_run_is_resumed_without_losing_or_doubling_a_turn() {
    if !can_run(&["python3"]) {
        return;
    }
    let untouched = untouched();
    let turns = TASKS * SAMPLES * TURNS;
    let moments: [&[usize]; 3] = [&[1], &[turns / 2], &[turns / 4, turns - 3]];
    let cut_off: usize = moments.into_iter().map(|moments| check(&untouched, moments)).sum();
    assert!(cut_off > 0, "every kill came too late to show anything");
}

#[test]
fn killed_at_twenty_moments() {
    if std::env::var_os("ROLLCAGE_LONG").is_none() {
        eprintln!("skipped: needs ROLLCAGE_LONG=1");
        return;
    }
    if !can_run(&["python3"]) {
        return;
    }
    let untouched = untouched();
    let turns = (TASKS * SAMPLES * TURNS) as u64;
    // A linear congruential generator: the moments differ from each other and not from test to test.
    let (mut state, mut cut_off) = (12_345_u64, 0);
    for _ in 0..20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        cut_off += check(&untouched, &[usize::try_from((state >> 33) % turns).unwrap()]);
    }
    eprintln!("{cut_off} of 20 kills left work to do");
    assert!(cut_off > 10, "only {cut_off} of 20 kills left work to do");
}

#[test]
fn a_finished_run_has_nothing_to_resume_and_another_file_is_refused() {
    if !can_run(&["python3"]) {
        return;
    }
    let place = place();
    assert_eq!(place.run(&["rollout", "run.yaml"]).code, Some(0));
    let (run, before) = (place.only_run(), place.conversations());
    let finished = place.run(&["rollout", "run.yaml", "--resume", &run]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(place.conversations(), before);
    let text = std::fs::read_to_string(place.path().join("run.yaml")).unwrap();
    place.write("run.yaml", &text.replace("turns: 8", "turns: 9"));
    let finished = place.run(&["rollout", "run.yaml", "--resume", &run]);
    assert_eq!(finished.code, Some(111), "{finished:?}");
    assert!(finished.stderr.contains("was made with another `budget.turns`"), "{finished:?}");
    place.write("run.yaml", &text);
    let finished = place.run(&["rollout", "run.yaml", "--resume", "ffffffff"]);
    assert_eq!(finished.code, Some(111), "{finished:?}");
}
