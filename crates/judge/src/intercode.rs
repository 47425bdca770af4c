//! The reward InterCode gives for a submitted Python function.

use std::collections::BTreeMap;

use crate::verdict::Score;

/// What evaluating one assert text did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssertOutcome {
    /// It ended, having printed this.
    Output(String),
    /// It raised this.
    Error(String),
}

/// Why there is no reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PythonRewardError {
    /// There is nothing to take a share of.
    #[error("there are no asserts to compare")]
    NoTests,
    /// An outcome is missing on one side.
    #[error("{tests} asserts have {submitted} submitted and {gold} gold outcomes")]
    Lengths {
        /// Assert texts.
        tests: usize,
        /// Outcomes of the submitted function.
        submitted: usize,
        /// Outcomes of the gold function.
        gold: usize,
    },
}

/// The share of distinct assert texts whose outcome equals gold's.
///
/// A text that occurs twice counts once, with its last outcome; the same error as gold's counts as equal.
pub fn python_reward(
    tests: &[impl AsRef<str>],
    submitted: &[AssertOutcome],
    gold: &[AssertOutcome],
) -> Result<Score, PythonRewardError> {
    if tests.len() != submitted.len() || tests.len() != gold.len() {
        return Err(PythonRewardError::Lengths {
            tests: tests.len(),
            submitted: submitted.len(),
            gold: gold.len(),
        });
    }
    if tests.is_empty() {
        return Err(PythonRewardError::NoTests);
    }
    let outcomes: BTreeMap<_, _> = tests.iter().map(AsRef::as_ref).zip(submitted.iter().zip(gold)).collect();
    let equal = outcomes.values().filter(|(submitted, gold)| submitted == gold).count();
    Ok(Score::share(equal, outcomes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_compared_has_no_reward() {
        let outcome = AssertOutcome::Output(String::new());
        assert_eq!(python_reward(&[] as &[&str], &[], &[]), Err(PythonRewardError::NoTests));
        assert_eq!(
            python_reward(&["a"], std::slice::from_ref(&outcome), &[]),
            Err(PythonRewardError::Lengths { tests: 1, submitted: 1, gold: 0 })
        );
        assert_eq!(
            python_reward(&["a"], std::slice::from_ref(&outcome), std::slice::from_ref(&outcome)),
            Ok(Score::ONE)
        );
    }
}
