//! What judging comes to: a scored solution, or the reason why there is no score.

use crate::case::{CaseResult, CompileReport};
use crate::checker::Disclosure;
use crate::problem::ProblemError;
use crate::verdict::{Score, Verdict};

/// The end of judging one solution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The solution was tried.
    Scored(Scored),
    /// It was not, and it is not to blame. There is no number in here to mistake for a score.
    Unscorable(Unscorable),
}

/// A solution that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scored {
    /// What it deserves.
    pub verdict: Verdict,
    /// What it earns.
    pub score: Score,
    /// Why it was refused before it ran; only for [`Verdict::PolicyViolation`].
    pub refusal: Option<String>,
    /// What the compiler did, where there was one.
    pub compile: Option<Box<CompileReport>>,
    /// The cases that decided, by index: all of them, or those up to the first failure.
    pub cases: Vec<CaseResult>,
}

impl Scored {
    /// The failing case with the lowest index.
    pub fn first_failure(&self) -> Option<&CaseResult> {
        self.cases.iter().find(|case| !case.is_passed())
    }

    /// Why the solution was not accepted, saying no more about outputs than `disclosure` allows.
    pub fn reason(&self, disclosure: Disclosure) -> Option<String> {
        if let Some(refusal) = &self.refusal {
            return Some(refusal.clone());
        }
        if let Some(failure) = self.compile.as_ref().and_then(|report| report.failure()) {
            return Some(format!("compiling: {}", failure.describe()));
        }
        let case = self.first_failure()?;
        let reason = case.reason(disclosure)?;
        Some(if self.cases.len() == 1 { reason } else { format!("case {}: {reason}", case.index + 1) })
    }
}

/// Whose fault it is that there is no score. Never the solution's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The problem cannot judge anything.
    Problem,
    /// We failed.
    Infrastructure,
}

impl Blame {
    /// The name used in files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Infrastructure => "infrastructure",
        }
    }
}

/// Why there is no score.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unscorable {
    /// Whose fault it is.
    pub blame: Blame,
    /// What went wrong, causes included.
    pub reason: String,
    /// Whether judging again may give a score.
    pub retryable: bool,
}

impl Unscorable {
    /// A failure of ours.
    pub fn infrastructure(reason: impl Into<String>, retryable: bool) -> Self {
        Self { blame: Blame::Infrastructure, reason: reason.into(), retryable }
    }

    /// A problem that cannot judge anything; trying again cannot help.
    pub fn problem(reason: impl Into<String>) -> Self {
        Self { blame: Blame::Problem, reason: reason.into(), retryable: false }
    }
}

impl From<ProblemError> for Unscorable {
    fn from(error: ProblemError) -> Self {
        Self::problem(error.to_string())
    }
}

impl Judgement {
    /// A solution refused before it ran.
    pub fn policy_violation(reason: impl Into<String>) -> Self {
        Self::Scored(Scored {
            verdict: Verdict::PolicyViolation,
            score: Score::ZERO,
            refusal: Some(reason.into()),
            compile: None,
            cases: Vec::new(),
        })
    }

    /// Whether the solution was tried and accepted.
    pub fn is_accepted(&self) -> bool {
        match self {
            Self::Scored(scored) => scored.verdict == Verdict::Accepted,
            Self::Unscorable(_) => false,
        }
    }
}
