//! The files under `examples`: what they hold parses, belongs together, and shows what it is there to show.
//!
//! Whether the recorded samples end as `expected.json` says is for the test that runs the demo.

#![expect(clippy::disallowed_methods, reason = "the ban is for the crate; its tests read files")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use rollcage_api::{DatasetItem, DatasetKind, RunConfig, join_samples, problem_row_schema, read_samples};
use rollcage_judge::{Checker, Tests, Verdict};
use rollcage_rollout::{Completion, Dialect, Intent, StopReason};
use serde::Deserialize;

const LANGUAGES: [&str; 6] = ["bash", "c", "cpp", "javascript", "lua", "python"];
const GROUP_SIZE: usize = 4;

#[derive(Deserialize)]
struct Transcript {
    task_id: String,
    sample: usize,
    turns: Vec<TurnLine>,
}

#[derive(Deserialize)]
struct TurnLine {
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectations {
    samples: Vec<Expectation>,
}

/// How a sample ends: the verdict on its answer, or the reason why there was none. And what it is there to show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expectation {
    task_id: String,
    sample: usize,
    ends: String,
    shows: Vec<String>,
}

fn example(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    std::fs::read(&path).unwrap_or_else(|error| unreachable!("`{}`: {error}", path.display()))
}

fn demo_items() -> Vec<DatasetItem> {
    DatasetKind::Problems.read(&example("demo/problems.jsonl")).unwrap()
}

fn transcripts() -> Vec<Transcript> {
    let text = String::from_utf8(example("demo/transcripts.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn expectations() -> Vec<Expectation> {
    serde_json::from_slice::<Expectations>(&example("demo/expected.json")).unwrap().samples
}

/// What each turn of a transcript wants done, as the demo's dialect reads it.
fn intents(transcript: &Transcript, language: &str) -> Vec<Intent> {
    let dialect = Dialect::fenced([language]);
    transcript.turns.iter().map(|turn| dialect.read(&Completion::text(turn.content.as_str()))).collect()
}

#[test]
fn problem_files_match_the_schema() {
    let validator = jsonschema::validator_for(&problem_row_schema()).unwrap();
    for (name, rows) in [("demo/problems.jsonl", 24), ("problems/first.jsonl", 3)] {
        let bytes = example(name);
        let lines: Vec<_> = std::str::from_utf8(&bytes).unwrap().lines().collect();
        for line in &lines {
            let row = serde_json::from_str(line).unwrap();
            let mistakes: Vec<_> = validator.iter_errors(&row).map(|error| error.to_string()).collect();
            assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
        }
        let items = DatasetKind::Problems.read(&bytes).unwrap();
        assert_eq!((lines.len(), items.len()), (rows, rows), "{name}");
        assert!(items.iter().all(|item| item.canonical_solution.is_some()), "{name}");
    }
}

#[test]
fn the_first_samples_find_their_problems() {
    let items = DatasetKind::Problems.read(&example("problems/first.jsonl")).unwrap();
    let samples = read_samples(&example("solutions/first.jsonl")).unwrap();
    let joined = join_samples(samples, &items, None).unwrap();
    let tasks: Vec<_> =
        joined.iter().map(|sample| (sample.task_id.as_str(), sample.language.as_ref())).collect();
    assert_eq!(tasks, [("add", "python"), ("is-leap", "python"), ("mean", "c")]);
}

#[test]
fn the_demo_covers_languages_tests_checkers_files_and_limits() {
    let items = demo_items();
    let mut languages: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &items {
        let problem = &item.task.problem;
        *languages.entry(problem.language.as_deref().unwrap()).or_default() += 1;
        // Deliberate endless loops have to stay cheap.
        assert!(problem.limits.cpu_time.is_some_and(|time| time.as_secs() <= 2), "{}", problem.id);
        match &problem.tests {
            Tests::Cases(cases) => assert!((4..=8).contains(&cases.len()), "{}", problem.id),
            Tests::Code { test_code, .. } => assert!(!test_code.is_empty(), "{}", problem.id),
        }
    }
    assert_eq!(languages.into_iter().collect::<Vec<_>>(), LANGUAGES.map(|name| (name, 4)));
    let with = |wanted: &dyn Fn(&DatasetItem) -> bool| items.iter().filter(|item| wanted(item)).count();
    assert!(with(&|item| matches!(item.task.problem.tests, Tests::Code { .. })) >= 4);
    assert!(with(&|item| matches!(item.task.problem.checker, Checker::Tokens(Some(_)))) >= 4);
    assert!(with(&|item| !item.task.problem.files.is_empty()) >= 2);
    assert!(with(&|item| item.task.problem.limits.memory.is_some()) >= 8);
}

#[test]
fn the_run_file_names_the_demo() {
    let text = String::from_utf8(example("demo/run.yaml")).unwrap();
    let run = RunConfig::parse("run.yaml", &text).unwrap();
    assert_eq!(run.tasks.path, "problems.jsonl");
    assert_eq!(run.policy.recorded.as_deref(), Some("transcripts.jsonl"));
    assert_eq!(run.group.size.get() as usize, GROUP_SIZE);
    let turns_max = transcripts().iter().map(|transcript| transcript.turns.len()).max();
    assert!(turns_max < Some(run.budget.turns.get() as usize), "the last turn's code would be judged unseen");
}

#[test]
fn each_task_has_its_group_of_transcripts() {
    let items = demo_items();
    let expected: BTreeSet<(String, usize)> = items
        .iter()
        .flat_map(|item| (0..GROUP_SIZE).map(|sample| (item.task.id.to_string(), sample)))
        .collect();
    let recorded: Vec<_> = transcripts().into_iter().map(|line| (line.task_id, line.sample)).collect();
    let told: Vec<_> = expectations().into_iter().map(|line| (line.task_id, line.sample)).collect();
    assert_eq!((recorded.len(), told.len()), (expected.len(), expected.len()));
    assert_eq!(recorded.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn each_transcript_ends_where_its_trajectory_does() {
    let items = demo_items();
    for (transcript, expectation) in transcripts().iter().zip(expectations()) {
        let name = format!("{} {}", transcript.task_id, transcript.sample);
        assert_eq!((&transcript.task_id, transcript.sample), (&expectation.task_id, expectation.sample));
        let item = items.iter().find(|item| item.task.id.as_str() == transcript.task_id).unwrap();
        let intents = intents(transcript, item.task.problem.language.as_deref().unwrap());
        let ran: Vec<_> = intents.iter().map(|intent| matches!(intent, Intent::Run { .. })).collect();
        let (last, before) = intents.split_last().unwrap();
        assert_eq!(*last, Intent::AnswerLast, "{name}");
        if expectation.ends == StopReason::VoidTurns.as_str() {
            assert_eq!(ran, [false; 3], "{name}");
            continue;
        }
        assert!(Verdict::ALL.iter().any(|verdict| verdict.as_str() == expectation.ends), "{name}");
        let first_code = ran.iter().position(|ran| *ran).unwrap();
        assert!(ran[first_code..before.len()].iter().all(|ran| *ran), "{name} goes on after its answer");
        let shows = |word: &str| expectation.shows.iter().any(|shown| shown == word);
        assert_eq!(shows("void_turn"), first_code > 0, "{name}");
        assert!(!(shows("state") || shows("corrected")) || before.len() >= 2, "{name}");
        assert!(!shows("corrected") || expectation.ends == Verdict::Accepted.as_str(), "{name}");
    }
}

#[test]
fn the_recorded_policy_is_good_and_far_from_perfect() {
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    for expectation in expectations() {
        let count = accepted.entry(expectation.task_id).or_default();
        *count += usize::from(expectation.ends == Verdict::Accepted.as_str());
    }
    let count = |wanted: usize| accepted.values().filter(|passed| **passed == wanted).count();
    assert_eq!((count(GROUP_SIZE), count(0)), (5, 2), "tasks that all samples solve, and that none does");
    assert_eq!(accepted.values().sum::<usize>(), 58);
}

#[test]
fn each_deliberate_behaviour_is_shown() {
    let mut shown: BTreeMap<String, usize> = BTreeMap::new();
    for word in expectations().into_iter().flat_map(|expectation| expectation.shows) {
        *shown.entry(word).or_default() += 1;
    }
    let shown: Vec<_> = shown.iter().map(|(word, count)| (word.as_str(), *count)).collect();
    assert_eq!(
        shown,
        [
            ("compile_error", 2),
            ("compile_error_corrected", 6),
            ("corrected", 17),
            ("crash", 3),
            ("early_exit", 4),
            ("endless_loop", 3),
            ("endless_loop_corrected", 1),
            ("fork_bomb", 1),
            ("gives_up", 2),
            ("host_read", 2),
            ("memory_hog", 2),
            ("output_flood", 1),
            ("state", 6),
            ("too_slow", 2),
            ("void_turn", 4),
            ("wrong", 16),
        ]
    );
}
