//! The words of a judgement: verdicts and scores.

use std::fmt;

/// What a solution deserves. Says nothing about our own failures: those have no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Every case passed.
    Accepted,
    /// It ended well and printed something else.
    WrongAnswer,
    /// Some cases passed and some did not; only where partial scores were asked for.
    PartiallyCorrect,
    /// It used more processor time or more time on the clock than it was given, or fell silent for too long.
    TimeLimitExceeded,
    /// It used more memory than it was given.
    MemoryLimitExceeded,
    /// It wrote more than it was given room for, to its streams or to files.
    OutputLimitExceeded,
    /// It crashed, exited with a code other than 0, was refused a process, or ended before its tests did.
    RuntimeError,
    /// It did not compile, or its compilation hit a limit.
    CompileError,
    /// It was refused before it ran, by rules on what code may contain.
    PolicyViolation,
}

impl Verdict {
    /// Every verdict, in the order reports print them.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::WrongAnswer,
        Self::PartiallyCorrect,
        Self::TimeLimitExceeded,
        Self::MemoryLimitExceeded,
        Self::OutputLimitExceeded,
        Self::RuntimeError,
        Self::CompileError,
        Self::PolicyViolation,
    ];

    /// The name used in files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::WrongAnswer => "wrong_answer",
            Self::PartiallyCorrect => "partially_correct",
            Self::TimeLimitExceeded => "time_limit_exceeded",
            Self::MemoryLimitExceeded => "memory_limit_exceeded",
            Self::OutputLimitExceeded => "output_limit_exceeded",
            Self::RuntimeError => "runtime_error",
            Self::CompileError => "compile_error",
            Self::PolicyViolation => "policy_violation",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number from 0 to 1. Never NaN, so scores are ordered and can be summed without surprises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score(f64);

impl Score {
    /// Nothing earned.
    pub const ZERO: Self = Self(0.0);
    /// Everything earned.
    pub const ONE: Self = Self(1.0);

    /// `None` unless `value` lies in [0, 1].
    pub fn new(value: f64) -> Option<Self> {
        // NaN lies in no range, and adding 0.0 turns -0.0 into 0.0 so that equal scores print alike.
        (0.0..=1.0).contains(&value).then_some(Self(value + 0.0))
    }

    /// `part` of `whole`, capped at 1. Nothing out of nothing earns nothing.
    pub fn share(part: usize, whole: usize) -> Self {
        if whole == 0 { Self::ZERO } else { Self((part as f64 / whole as f64).min(1.0)) }
    }

    /// The mean of `scores`, of which there are `count`; nothing of nothing.
    pub fn mean(scores: impl Iterator<Item = Self>, count: usize) -> Self {
        if count == 0 {
            Self::ZERO
        } else {
            Self((scores.map(|score| score.0).sum::<f64>() / count as f64).min(1.0))
        }
    }

    /// The number.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_a_number_from_zero_to_one() {
        for (value, accepted) in [
            (0.0, true),
            (1.0, true),
            (0.5, true),
            (-0.1, false),
            (1.1, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
        ] {
            assert_eq!(Score::new(value).is_some(), accepted, "{value}");
        }
        assert!(Score::new(-0.0).unwrap().value().is_sign_positive());
        assert_eq!(Score::share(1, 4), Score::new(0.25).unwrap());
        assert_eq!(Score::share(0, 0), Score::ZERO);
        assert!(Score::ZERO < Score::ONE);
    }

    #[test]
    fn every_verdict_has_its_own_name() {
        let names: std::collections::BTreeSet<_> =
            Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect();
        assert_eq!(names.len(), Verdict::ALL.len());
    }
}
