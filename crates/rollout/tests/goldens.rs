//! Extraction against what released code did; every difference is named with its reason.

#![expect(clippy::disallowed_methods, reason = "the ban is for the crate; its tests read files")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use rollcage_rollout::{ExtractionRule, Pick, truncate_at_stop};
use serde_json::Value;

/// The cases of a golden file, or `None` with a line for the skip count.
fn golden_cases(name: &str) -> Option<Vec<Value>> {
    let directory = std::env::var_os("ROLLCAGE_GOLDENS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/goldens"),
        PathBuf::from,
    );
    let path = directory.join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: golden vectors {name}");
        return None;
    };
    let file: Value = serde_json::from_str(&text).expect("golden files are JSON");
    Some(file["cases"].as_array().expect("golden files have cases").clone())
}

fn language_tags(language: &str) -> &'static [&'static str] {
    match language {
        "python" => &["python", "python3", "py"],
        "cpp" => &["cpp", "c++"],
        "sql" => &["sql"],
        "bash" => &["bash", "sh"],
        // No tags would make every block count and show as a difference.
        _ => &[],
    }
}

/// Notes of the cases in which `rule` and the released `system` differ; both sides through `normal`.
fn differences(
    cases: &[Value],
    rule: ExtractionRule,
    system: &str,
    normal: impl Fn(Option<&str>) -> String,
) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    for case in cases {
        let input = &case["input"];
        let text_of = |key: &str| input[key].as_str().expect("golden inputs are texts");
        let text = text_of("completion");
        let tags = language_tags(text_of("language"));
        let ours = normal(rule.extract(text, tags, false).ok().as_deref());
        let theirs = normal(case["expected"][system].as_str());
        if ours != theirs {
            found.insert(text_of("note").to_owned(), (ours, theirs));
        }
    }
    found
}

fn check(found: &BTreeMap<String, (String, String)>, expected: &[(&str, &str)]) {
    let expected_notes: Vec<_> = expected.iter().map(|(note, _reason)| *note).collect();
    let mut sorted = expected_notes.clone();
    sorted.sort_unstable();
    let notes: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(notes, sorted, "differences (ours, theirs): {found:#?}");
}

fn exact(code: Option<&str>) -> String {
    format!("{code:?}")
}

/// Two of the systems write "" where they find nothing.
fn nothing_is_empty(code: Option<&str>) -> String {
    code.unwrap_or("").to_owned()
}

#[test]
fn released_rules_are_reproduced() {
    let Some(cases) = golden_cases("code_extraction.json") else { return };
    check(&differences(&cases, ExtractionRule::Agnostics, "agnostics find_final_answer_block", exact), &[]);
    check(&differences(&cases, ExtractionRule::LiveCodeBench, "livecodebench chat", nothing_is_empty), &[]);
    let guesses = "it guesses code in text without fences; we do not";
    check(
        &differences(
            &cases,
            ExtractionRule::SandboxFusion,
            "sandboxfusion default_extract_helper",
            nothing_is_empty,
        ),
        &[
            ("no fence", guesses),
            ("no fence with prose", guesses),
            ("sql heuristics", guesses),
            ("bash heuristic", guesses),
        ],
    );
}

/// Our rule beside the released one nearest to it, up to white space at the ends.
#[test]
fn our_rule_differs_for_named_reasons() {
    let Some(cases) = golden_cases("code_extraction.json") else { return };
    let trimmed = |code: Option<&str>| code.unwrap_or("").replace("\r\n", "\n").trim().to_owned();
    let last = ExtractionRule::Fenced(Pick::Last);
    let guesses = "no fence is no program: prose must not be run";
    check(
        &differences(&cases, last, "sandboxfusion default_extract_helper", trimmed),
        &[
            ("no fence", guesses),
            ("no fence with prose", guesses),
            ("sql heuristics", guesses),
            ("bash heuristic", guesses),
            ("two blocks", "the last block counts: earlier ones are drafts"),
            ("cpp asked, python given", "code of another language is not an answer"),
            ("nested backticks", "the outer block is tagged markdown, another language"),
            ("tilde fence", "tildes are fences too"),
            ("empty block", "an empty block is no program; theirs is the closing fence"),
            ("leading text on fence line", "a fence starts its line; else the backticks are inline code"),
        ],
    );
}

#[test]
fn completions_are_cut_at_the_earliest_stop() {
    let Some(cases) = golden_cases("stop_tokens.json") else { return };
    assert!(!cases.is_empty());
    for case in cases {
        let input = &case["input"];
        let stop: Vec<&str> =
            input["stop_tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
        let cut = truncate_at_stop(input["completion"].as_str().unwrap(), &stop);
        assert_eq!(Some(cut), case["expected"].as_str(), "{input}");
    }
}
