//! The comparison of what a program printed with what was expected.
//!
//! A zero byte parts the two. The exact checker is held against its definition, the others against what must hold of
//! any: equal outputs are accepted, tolerance only adds to what is, and a difference that is shown is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcage_judge::{Checker, Disclosure, FloatTolerance};

/// Two excerpts, escaped, and the words around them.
const EXPLANATION_BYTES_MAX: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (expected, got) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let tolerance = FloatTolerance { absolute: 1e-6, relative: 1e-6 };
    let [exact, tokens, close] = [Checker::Exact, Checker::Tokens(None), Checker::Tokens(Some(tolerance))]
        .map(|checker| {
            assert!(checker.check(expected, expected).is_some_and(|report| report.is_accepted()));
            let report = checker.check(expected, got).expect("these compare");
            for disclosure in [Disclosure::Position, Disclosure::OwnOutput, Disclosure::Expected] {
                let explained = report.explain(disclosure);
                assert_eq!(explained.is_none(), report.is_accepted());
                assert!(explained.is_none_or(|text| text.len() <= EXPLANATION_BYTES_MAX));
            }
            report.is_accepted()
        });
    assert_eq!(exact, trimmed(expected) == trimmed(got));
    assert_eq!(tokens, words(expected).eq(words(got)));
    let turned = Checker::Tokens(None).check(got, expected).expect("tokens compare");
    assert_eq!(tokens, turned.is_accepted(), "order matters");
    assert!(tokens || !exact, "more white space was asked for");
    assert!(close || !tokens, "a tolerance refuses what is equal");
});

fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn trimmed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    while bytes.last().is_some_and(is_space) {
        bytes.pop();
    }
    bytes
}

fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(is_space).filter(|word| !word.is_empty())
}
