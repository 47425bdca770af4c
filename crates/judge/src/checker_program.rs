//! What a checker program of a problem's author decided, read from how it ended.
//!
//! A crash must not be a decision, and interpreters exit with code 1 when they crash. So an exit code alone decides
//! nothing: there must be a number, or the words with which testlib's checkers begin.

use rollcage_types::{Captured, ExecOutcome, Termination};

use crate::case::CaseFailure;
use crate::checker::Decision;
use crate::judgement::Unscorable;
use crate::verdict::Score;

/// The files a checker program finds beside itself, in the order of its arguments: what the solution read, what it
/// wrote, and what was expected.
pub const CHECKER_FILES: [&str; 3] = ["input", "output", "expected"];

/// Bytes of a checker's words that are kept.
const MESSAGE_BYTES_MAX: usize = 2048;

/// Exit codes of testlib's checkers: accepted, wrong answer, wrong format.
const TESTLIB: [(u8, &str, bool); 3] =
    [(0, "ok", true), (1, "wrong answer", false), (2, "wrong output format", false)];

/// What the program decided. One that did neither of what it may do, or that could not be waited for, says nothing of
/// the output: its author is to blame, unless it was us who ended it.
pub fn program_decision(outcome: &ExecOutcome) -> Result<Decision, Unscorable> {
    let problem =
        |why: &str| Err(Unscorable::problem(format!("the checker program {why}{}", last_words(outcome))));
    let code = match outcome.termination {
        Termination::Exited { code } => code,
        Termination::Cancelled => {
            return Err(Unscorable::infrastructure("a run was cancelled before it ended", true));
        }
        Termination::Signaled { signal } => {
            return problem(&format!("failed: {}", CaseFailure::Signal(signal).describe()));
        }
        Termination::LimitExceeded(kind) => {
            return problem(&format!("failed: {}", CaseFailure::Limit(kind).describe()));
        }
    };
    let words = text(&outcome.stderr);
    let printed = text(&outcome.stdout);
    let (first, rest) = printed.split_once('\n').unwrap_or((printed.as_str(), ""));
    if code == 0
        && let Ok(value) = first.trim().parse::<f64>()
    {
        let Some(score) = Score::new(value) else {
            return problem(&format!("gave the score {value}, and scores lie from 0 to 1"));
        };
        let message = [rest.trim(), words.trim()].into_iter().find(|text| !text.is_empty());
        return Ok(Decision::new(score == Score::ONE, Some(score), message.map(str::to_owned)));
    }
    let is_testlib =
        |(known, begin, _): &(u8, &str, bool)| *known == code && words.trim_start().starts_with(begin);
    match TESTLIB.iter().find(|entry| is_testlib(entry)) {
        Some((_, _, passed)) => Ok(Decision::new(*passed, None, Some(words.trim().to_owned()))),
        None => problem(&format!("exited with code {code} and decided nothing")),
    }
}

fn text(stream: &Captured) -> String {
    String::from_utf8_lossy(&stream.head[..stream.head.len().min(MESSAGE_BYTES_MAX)]).into_owned()
}

fn last_words(outcome: &ExecOutcome) -> String {
    match outcome.stderr.shortened(0, MESSAGE_BYTES_MAX) {
        Captured { tail, .. } if !tail.is_empty() => {
            format!("; its standard error ends with: {}", String::from_utf8_lossy(&tail).trim())
        }
        Captured { head, .. } if !head.is_empty() => {
            format!("; its standard error: {}", String::from_utf8_lossy(&head).trim())
        }
        Captured { .. } => String::new(),
    }
}
