//! Agreement with released systems, over vectors computed by running them.
//!
//! Where we differ, a table names the pair and the reason; an unnamed difference fails, and so does a named one
//! that no longer differs.

#![expect(clippy::disallowed_methods, reason = "the ban is for the crate; its tests read files")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use rollcage_judge::{
    AssertOutcome, Checker, FloatTolerance, SampleCounts, StatsError, pass_at_k, python_reward,
};
use serde_json::Value;

fn golden(name: &str) -> Option<Vec<Value>> {
    let directory = std::env::var_os("ROLLCAGE_GOLDENS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/goldens")),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read_to_string(directory.join(name)) else {
        eprintln!("skipped: {name} is not in the golden vectors");
        return None;
    };
    let mut file: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = file["cases"].take() else { panic!("{name} has no cases") };
    Some(cases)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// Compares a checker with a released rule over every pair; `differences` maps a pair's place to the reason.
fn compare(checker: &Checker, rule: &str, differences: &[(&str, &[usize])]) {
    let Some(cases) = golden("output_compare.json") else { return };
    assert_eq!(cases.len(), 108);
    let named: BTreeMap<usize, &str> = differences
        .iter()
        .flat_map(|(reason, places)| places.iter().map(move |place| (*place, *reason)))
        .collect();
    let mut found = BTreeMap::new();
    for (place, case) in cases.iter().enumerate() {
        let input = &case["input"];
        let ours = checker
            .check(text(input, "expected").as_bytes(), text(input, "got").as_bytes())
            .unwrap()
            .is_accepted();
        if Some(ours) != case["expected"][rule].as_bool() {
            found.insert(place, named.get(&place).copied().unwrap_or_else(|| text(case, "note")));
        }
    }
    assert_eq!(found, named, "{rule}");
}

const fn tolerance(absolute: f64, relative: f64) -> Checker {
    Checker::Tokens(Some(FloatTolerance { absolute, relative }))
}

// Reasons that several rules share.
const ACROSS_LINES: (&str, &[usize]) = ("tokens may be laid out in other lines", &[14, 15]);
const VERTICAL_TAB: (&str, &[usize]) = ("a vertical tab is white space and not text", &[91]);
const UNDERSCORE: (&str, &[usize]) = ("1_000 is Python's spelling of a number, not a decimal number", &[84]);
const NAN_UNEQUAL: (&str, &[usize]) = ("their nan differs from itself; a token equals itself", &[66]);
const INFINITY_UNEQUAL: (&str, &[usize]) =
    ("their infinity minus infinity is nan, so it differs from itself", &[70, 71]);
const ONE_BLANK: (&str, &[usize]) = ("a blank is no line and no token", &[21]);
const LINE_LAYOUT: (&str, &[usize]) = ("they compare lines, we compare tokens", &[6, 12, 13, 16, 17]);
const UNICODE_SPACE: (&str, &[usize]) = ("a no-break space is text: white space is ASCII", &[89]);
const UNICODE_DIGITS: (&str, &[usize]) = ("digits are ASCII", &[101]);

#[test]
fn exact_is_the_rule_of_agnostics() {
    let carriage_return =
        "they read the output, but not the expected text, with CR turned into LF; bytes are bytes";
    compare(&Checker::Exact, "agnostics", &[(carriage_return, &[4, 6]), UNICODE_SPACE]);
}

#[test]
fn tokens_are_the_standard_checker() {
    compare(&Checker::Tokens(None), "dmoj/standard", &[ACROSS_LINES, VERTICAL_TAB]);
}

#[test]
fn tokens_with_a_tolerance_are_the_float_checkers() {
    let shared = [ACROSS_LINES, VERTICAL_TAB, UNDERSCORE, NAN_UNEQUAL, ONE_BLANK];
    let merged = "they subtract integers as f64, which merges neighbours above 2^53";
    let with = |more: &[(&'static str, &'static [usize])]| [shared.as_slice(), more].concat();
    compare(&tolerance(1e-6, 1e-6), "dmoj/floats", &with(&[INFINITY_UNEQUAL]));
    compare(&tolerance(1e-6, 0.0), "dmoj/floatsabs", &with(&[INFINITY_UNEQUAL, (merged, &[62, 63])]));
    compare(&tolerance(0.0, 1e-6), "dmoj/floatsrel", &shared);
}

#[test]
fn tokens_with_a_tolerance_are_the_line_checkers() {
    let shared = [LINE_LAYOUT, ACROSS_LINES, VERTICAL_TAB, UNDERSCORE, UNICODE_SPACE, UNICODE_DIGITS];
    let with = |more: &[(&'static str, &'static [usize])]| [shared.as_slice(), more].concat();
    let decimal = "they compare decimals; 0.1 and 0.10000000000000001 are one f64";
    compare(&tolerance(0.0, 0.0), "livecodebench", &with(&[(decimal, &[64])]));
    let whole_line = "they apply the tolerance only to an output that is one number";
    let infinity = "their infinity spelled otherwise differs";
    let sandboxfusion = with(&[(whole_line, &[74, 75, 107]), (infinity, &[71])]);
    compare(&tolerance(0.0, 1e-5), "sandboxfusion(lower_cmp=False)", &sandboxfusion);
}

#[test]
fn tokens_with_a_tolerance_are_execevals_checker() {
    compare(
        &tolerance(1e-12, 0.0),
        "execeval",
        &[
            ("they ignore the case of yes, no, true and false", &[25, 26, 27, 29]),
            ("the bound itself: as f64 the distance is 1.00009e-12, in decimal it is 1e-12", &[39]),
            ("their nan equals every number, the original's fault", &[67, 68, 69]),
            ("they read hexadecimal numbers", &[83]),
            ("white space is ASCII", &[88, 89, 92, 98]),
            UNDERSCORE,
        ],
    );
}

#[test]
fn pass_at_k_agrees_wherever_it_is_defined() {
    let Some(cases) = golden("passk_humaneval.json") else { return };
    let mut undefined = 0;
    for case in &cases {
        let input = &case["input"];
        let k = input["k"].as_u64().unwrap();
        let correct = input["num_correct"].as_array().unwrap();
        for (place, correct) in correct.iter().enumerate() {
            let samples = &input["num_samples"];
            let samples = samples.as_u64().or_else(|| samples[place].as_u64()).unwrap();
            let theirs = case["expected"][place].as_f64().unwrap();
            match pass_at_k(SampleCounts { samples, correct: correct.as_u64().unwrap() }, k) {
                Ok(ours) => {
                    assert!((ours - theirs).abs() < 1e-12, "{samples} {correct} {k}: {ours} {theirs}");
                }
                // The original calls a problem solved when more samples are drawn than exist, even with none
                // correct. We refuse to answer.
                Err(StatsError::TooFewSamples { .. }) => {
                    assert!(k > samples && theirs == 1.0);
                    undefined += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(undefined > 0 && cases.len() == 251);
}

#[test]
fn the_python_reward_is_intercodes() {
    let Some(cases) = golden("intercode_python_reward.json") else { return };
    assert_eq!(cases.len(), 24);
    let outcomes = |value: &Value| -> Vec<AssertOutcome> {
        let outcome = |value: &Value| match value.get("output") {
            Some(output) => AssertOutcome::Output(output.as_str().unwrap().to_owned()),
            None => AssertOutcome::Error(text(value, "error").to_owned()),
        };
        value.as_array().unwrap().iter().map(outcome).collect()
    };
    for case in &cases {
        let input = &case["input"];
        let tests: Vec<&str> =
            input["tests"].as_array().unwrap().iter().map(|test| test.as_str().unwrap()).collect();
        let reward = python_reward(&tests, &outcomes(&input["submitted"]), &outcomes(&input["gold"]));
        match case["expected"].as_f64() {
            Some(expected) => assert!((reward.unwrap().value() - expected).abs() < 1e-12, "{case}"),
            None => assert!(reward.is_err(), "{case}"),
        }
    }
}
