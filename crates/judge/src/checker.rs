//! The comparison of an output with the expected one, what others decide in its place, and what may be said of both.
//!
//! Works on bytes: a program owes nobody UTF-8. White space is ASCII white space, so that a character of some
//! alphabet never disappears. Every report is bounded, and says no more than its [`Disclosure`] allows.

use std::fmt::Write as _;

use crate::problem::{Checker, FloatTolerance};
use crate::verdict::Score;

/// What is known of an output beside the expected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckReport {
    /// It was compared here. Holds the first difference; `None` when there is none.
    Compared(Option<Difference>),
    /// Somebody else decided.
    Decided(Decision),
}

/// What a checker that is not ours decided of one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the output passes.
    pub passed: bool,
    /// What the case earns.
    pub score: Score,
    /// Its words. They may name the expected output.
    pub message: Option<String>,
}

impl Decision {
    /// A decision whose score, unless given, is everything for an output that passes and nothing for one that does not.
    pub fn new(passed: bool, score: Option<Score>, message: Option<String>) -> Self {
        let score = score.unwrap_or(if passed { Score::ONE } else { Score::ZERO });
        Self { passed, score, message }
    }
}

/// The first place where two outputs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub position: Position,
    /// What was expected there, cut to a bound; `None` when the expected output had ended.
    pub expected: Option<String>,
    /// What was printed there, cut to a bound; `None` when the output had ended.
    pub got: Option<String>,
}

/// A place in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// A line, counted from 1.
    Line(usize),
    /// A token, counted from 1 over the whole output.
    Token(usize),
}

/// How much of a difference its reader may see. Expected outputs of hidden tests are worth money to a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// Where the outputs differ.
    Position,
    /// Also what the program itself printed there.
    OwnOutput,
    /// Also what was expected there.
    Expected,
}

/// Bytes of an output shown on each side of a difference: a terminal line, and few tokens of a model's context.
const EXCERPT_BYTES_MAX: usize = 120;

impl Checker {
    /// Compares `got` with `expected`; `None` where that is for others to decide.
    pub fn check(&self, expected: &[u8], got: &[u8]) -> Option<CheckReport> {
        let difference = match self {
            Self::Exact => exact_difference(trim_end(expected), trim_end(got)),
            Self::Tokens(tolerance) => token_difference(expected, got, tolerance.as_ref()),
            Self::Program(_) | Self::Hook => return None,
        };
        Some(CheckReport::Compared(difference))
    }
}

impl CheckReport {
    /// Whether the checker accepts the output.
    pub const fn is_accepted(&self) -> bool {
        match self {
            Self::Compared(difference) => difference.is_none(),
            Self::Decided(decision) => decision.passed,
        }
    }

    /// Why the output is not accepted, in one sentence for people and models; `None` when it is.
    pub fn explain(&self, disclosure: Disclosure) -> Option<String> {
        match self {
            Self::Compared(difference) => {
                difference.as_ref().map(|difference| difference.explain(disclosure))
            }
            Self::Decided(decision) => (!decision.passed).then(|| decision.explain(disclosure)),
        }
    }
}

impl Decision {
    /// A checker's words may name what was expected, so they are for those who may see that.
    fn explain(&self, disclosure: Disclosure) -> String {
        match (disclosure, &self.message) {
            (Disclosure::Expected, Some(message)) => format!("the checker rejects the output: {message}"),
            (Disclosure::Expected, None) | (Disclosure::Position | Disclosure::OwnOutput, _) => {
                "the checker rejects the output".to_owned()
            }
        }
    }
}

impl Difference {
    fn explain(&self, disclosure: Disclosure) -> String {
        let mut text = match self.position {
            Position::Line(number) => format!("the output differs at line {number}"),
            Position::Token(number) => format!("the output differs at token {number}"),
        };
        let got = self.got.as_deref().map_or("it ends there".to_owned(), |got| format!("it has {got:?}"));
        let expected = self
            .expected
            .as_deref()
            .map_or("nothing more is expected".to_owned(), |expected| format!("{expected:?} is expected"));
        let written = match disclosure {
            Disclosure::Position => Ok(()),
            Disclosure::OwnOutput => write!(text, ": {got}"),
            Disclosure::Expected => write!(text, ": {got}, {expected}"),
        };
        written.expect("writing to a string cannot fail");
        text
    }
}

/// The six characters that C's `isspace` and Python's `bytes.isspace` agree on.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    &bytes[..end]
}

fn exact_difference(expected: &[u8], got: &[u8]) -> Option<Difference> {
    if expected == got {
        return None;
    }
    let mut expected_lines = expected.split(|byte| *byte == b'\n');
    let mut got_lines = got.split(|byte| *byte == b'\n');
    // The outputs differ and lines partition them, so some pair of lines differs before both sides end.
    for number in 1.. {
        let (expected, got) = (expected_lines.next(), got_lines.next());
        if expected != got {
            return Some(difference(Position::Line(number), expected, got));
        }
        if expected.is_none() {
            break;
        }
    }
    None
}

fn token_difference(expected: &[u8], got: &[u8], tolerance: Option<&FloatTolerance>) -> Option<Difference> {
    let mut expected_tokens = tokens(expected);
    let mut got_tokens = tokens(got);
    let mut number = 1;
    loop {
        match (expected_tokens.next(), got_tokens.next()) {
            (None, None) => return None,
            (Some(expected), Some(got)) if tokens_match(expected, got, tolerance) => number += 1,
            (expected, got) => return Some(difference(Position::Token(number), expected, got)),
        }
    }
}

fn tokens(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| is_space(*byte)).filter(|token| !token.is_empty())
}

fn tokens_match(expected: &[u8], got: &[u8], tolerance: Option<&FloatTolerance>) -> bool {
    if expected == got {
        return true;
    }
    let Some(tolerance) = tolerance else { return false };
    // Whole numbers are subtracted exactly: an f64 merges neighbours above 2^53.
    if let (Some(expected), Some(got)) = (integer(expected), integer(got)) {
        return is_within(expected.abs_diff(got) as f64, expected.unsigned_abs() as f64, tolerance);
    }
    let (Some(expected), Some(got)) = (number(expected), number(got)) else { return false };
    // Infinities are equal or not; a tolerance relative to infinity would accept anything.
    if expected.is_infinite() || got.is_infinite() {
        return expected.total_cmp(&got).is_eq();
    }
    is_within((expected - got).abs(), expected.abs(), tolerance)
}

fn is_within(distance: f64, size: f64, tolerance: &FloatTolerance) -> bool {
    distance <= tolerance.absolute || distance <= tolerance.relative * size
}

fn integer(token: &[u8]) -> Option<i128> {
    std::str::from_utf8(token).ok()?.parse().ok()
}

/// A decimal number or an infinity. NaN is text: it matches only its own spelling.
fn number(token: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(token).ok()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

fn difference(position: Position, expected: Option<&[u8]>, got: Option<&[u8]>) -> Difference {
    Difference { position, expected: expected.map(excerpt), got: got.map(excerpt) }
}

fn excerpt(bytes: &[u8]) -> String {
    if bytes.len() <= EXCERPT_BYTES_MAX {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    format!("{}…", String::from_utf8_lossy(&bytes[..EXCERPT_BYTES_MAX]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOOSE: Checker = Checker::Tokens(Some(FloatTolerance { absolute: 1e-6, relative: 1e-6 }));

    const ABSOLUTE: Checker = Checker::Tokens(Some(FloatTolerance { absolute: 1e-6, relative: 0.0 }));

    #[test]
    fn outputs_compare() {
        for (checker, expected, got, accepted) in [
            (Checker::Exact, "a\n", "a", true),
            (Checker::Exact, "a", "a \n\t\n", true),
            (Checker::Exact, "a", " a", false),
            (Checker::Exact, "a\nb", "a \nb", false),
            (Checker::Exact, "", "\n", true),
            (Checker::Tokens(None), "1 2\n3", "1\n2   3\n\n", true),
            (Checker::Tokens(None), "1 2", "1 2 3", false),
            (Checker::Tokens(None), "1 2", "1", false),
            (Checker::Tokens(None), "1.0", "1", false),
            (LOOSE, "1.0", "1", true),
            (LOOSE, "1e300", "1.0000001e300", true),
            (LOOSE, "0", "0.00001", false),
            (ABSOLUTE, "50000000000000000", "50000000000000001", false),
            (ABSOLUTE, "7", "+07", true),
            (LOOSE, "nan", "nan", true),
            (LOOSE, "5", "nan", false),
            (LOOSE, "inf", "1e308", false),
            (LOOSE, "inf", "Infinity", true),
            (LOOSE, "inf", "-inf", false),
            (LOOSE, "x=0.5", "x=0.50", false),
        ] {
            let report = checker.check(expected.as_bytes(), got.as_bytes()).unwrap();
            assert_eq!(report.is_accepted(), accepted, "{checker:?} {expected:?} {got:?}");
        }
    }

    #[test]
    fn a_difference_is_explained_as_far_as_allowed() {
        let report = Checker::Exact.check(b"a\nsecret\nc", b"a\nmine\nc").unwrap();
        let say = |disclosure| report.explain(disclosure).unwrap();
        assert_eq!(say(Disclosure::Position), "the output differs at line 2");
        assert_eq!(say(Disclosure::OwnOutput), "the output differs at line 2: it has \"mine\"");
        assert_eq!(
            say(Disclosure::Expected),
            "the output differs at line 2: it has \"mine\", \"secret\" is expected"
        );
        let ended = Checker::Tokens(None).check(b"1 2", b"1").unwrap();
        assert_eq!(
            ended.explain(Disclosure::Expected).unwrap(),
            "the output differs at token 2: it ends there, \"2\" is expected"
        );
        assert_eq!(Checker::Exact.check(b"a", b"a").unwrap().explain(Disclosure::Expected), None);
    }

    #[test]
    fn a_decision_of_others_is_told_to_those_who_may_see_what_was_expected() {
        let decision = Decision::new(false, None, Some("42 is expected".to_owned()));
        assert_eq!(decision.score, Score::ZERO);
        let report = CheckReport::Decided(decision);
        assert!(!report.is_accepted());
        for (disclosure, told) in
            [(Disclosure::Position, false), (Disclosure::OwnOutput, false), (Disclosure::Expected, true)]
        {
            assert_eq!(report.explain(disclosure).unwrap().contains("42"), told, "{disclosure:?}");
        }
        let passed = CheckReport::Decided(Decision::new(true, None, Some("fine".to_owned())));
        assert_eq!((passed.is_accepted(), passed.explain(Disclosure::Expected)), (true, None));
        assert_eq!(Checker::Hook.check(b"a", b"a"), None);
    }

    #[test]
    fn excerpts_are_bounded() {
        let report = Checker::Exact.check(&[b'x'; 10_000], &[0xff; 10_000]).unwrap();
        assert!(report.explain(Disclosure::Expected).unwrap().len() < 2000);
    }

    proptest! {
        #[test]
        fn exact_is_equality_of_what_is_left_after_trimming(
            expected in prop::collection::vec(prop::sample::select(b"a \n\r".to_vec()), 0..8),
            got in prop::collection::vec(prop::sample::select(b"a \n\r".to_vec()), 0..8),
        ) {
            let equal = expected.trim_ascii_end() == got.trim_ascii_end();
            prop_assert_eq!(Checker::Exact.check(&expected, &got).unwrap().is_accepted(), equal);
        }

        #[test]
        fn checkers_accept_what_is_expected(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for checker in [Checker::Exact, Checker::Tokens(None), LOOSE] {
                prop_assert!(checker.check(&bytes, &bytes).unwrap().is_accepted());
            }
        }
    }
}
