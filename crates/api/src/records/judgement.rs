//! How one solution was judged.

use serde::{Deserialize, Serialize};

use super::codec::Record;
use super::stream::StreamRecord;
use super::trajectory::{TerminationRecord, UsageRecord};

/// A verdict, or the reason why there is none. A failure of ours has no field a score could be read from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JudgementResult {
    /// The solution was judged.
    Scored {
        /// The verdict, as `rollcage_judge::Verdict` names it.
        verdict: String,
        /// From 0 to 1.
        score: f64,
    },
    /// It could not be.
    Unscorable {
        /// `problem` or `infrastructure`.
        blame: String,
        /// What happened.
        reason: String,
        /// Whether judging again may help.
        retryable: bool,
    },
}

/// One test case of a judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRecord {
    /// Its place in the problem.
    pub index: u32,
    /// The verdict, as `rollcage_judge::Verdict` names it.
    pub verdict: String,
    /// From 0 to 1.
    pub score: f64,
    /// How the program ended, where one ran.
    pub termination: Option<TerminationRecord>,
    /// What it used, where one ran.
    pub usage: Option<UsageRecord>,
    /// Standard output, where it is worth keeping.
    pub stdout: Option<StreamRecord>,
    /// Standard error, where it is worth keeping.
    pub stderr: Option<StreamRecord>,
    /// What a person needs to know besides.
    pub detail: Option<String>,
}

/// The judgement of one solution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgementRecord {
    /// The run it belongs to.
    pub run_id: String,
    /// The problem solved.
    pub problem_id: String,
    /// Which of the solutions to it; unique with the problem within a run.
    pub sample_index: u32,
    /// The language judged in.
    pub language: String,
    /// The verdict, or why there is none.
    pub result: JudgementResult,
    /// The test cases that were run, in the problem's order.
    pub cases: Vec<CaseRecord>,
    /// The environment; the id a store gave to a fingerprint.
    pub fingerprint_id: String,
    /// BLAKE3 of the solution, in hexadecimal.
    pub solution_blake3: String,
    /// The solution as it was judged.
    pub solution: String,
}

impl JudgementRecord {
    /// Whether judging again may give what this record does not have.
    pub fn is_retryable(&self) -> bool {
        match self.result {
            JudgementResult::Scored { .. } => false,
            JudgementResult::Unscorable { retryable, .. } => retryable,
        }
    }
}

impl Record for JudgementRecord {
    const KIND: &'static str = "judgement";
    const VERSION: u32 = 1;
    // A thousand cases with both their excerpts, and a solution of some megabytes.
    const BYTES_MAX: usize = 32 * 1024 * 1024;

    fn flaw(&self) -> Option<&'static str> {
        let score = match &self.result {
            JudgementResult::Scored { score, .. } => Some(*score),
            JudgementResult::Unscorable { .. } => None,
        };
        let mut scores = score.into_iter().chain(self.cases.iter().map(|case| case.score));
        // A NaN lies in no range, so it is refused too.
        scores.any(|score| !(0.0..=1.0).contains(&score)).then_some("a score is not between 0 and 1")
    }
}
