//! Rewards: numbers that exist only where something was scored.

use rollcage_judge::{Disclosure, Judgement, Score, Unscorable, Verdict};

/// A finite number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Reward(f64);

/// A reward that is not a finite number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("reward {value} is not a finite number")]
pub struct RewardError {
    /// What was given.
    pub value: f64,
}

impl Reward {
    /// Nothing earned.
    pub const ZERO: Self = Self(0.0);

    /// Refuses NaN and the infinities: one of them would spoil every mean of its group.
    pub fn new(value: f64) -> Result<Self, RewardError> {
        // Adding 0.0 turns -0.0 into 0.0 so that equal rewards print alike.
        if value.is_finite() { Ok(Self(value + 0.0)) } else { Err(RewardError { value }) }
    }

    /// The number.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl From<Score> for Reward {
    fn from(score: Score) -> Self {
        Self(score.value())
    }
}

/// A judgement as a turn keeps it: small enough to store with every turn.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgedAnswer {
    /// The answer was tried.
    Scored {
        /// What it deserves.
        verdict: Verdict,
        /// What it earns.
        reward: Reward,
        /// Why it was not accepted, in words the policy may read.
        reason: Option<String>,
    },
    /// It was not, and it is not to blame. Holds no number.
    Unscorable(Unscorable),
}

impl JudgedAnswer {
    /// Shortens a judgement; the reason says no more about expected outputs than `disclosure` allows.
    pub fn from_judgement(judgement: &Judgement, disclosure: Disclosure) -> Self {
        match judgement {
            Judgement::Scored(scored) => Self::Scored {
                verdict: scored.verdict,
                reward: scored.score.into(),
                reason: scored.reason(disclosure),
            },
            Judgement::Unscorable(unscorable) => Self::Unscorable(unscorable.clone()),
        }
    }

    /// Whether it was tried and accepted.
    pub fn is_accepted(&self) -> bool {
        match self {
            Self::Scored { verdict, .. } => *verdict == Verdict::Accepted,
            Self::Unscorable(_) => false,
        }
    }

    /// What it earned, if it was tried.
    pub fn reward(&self) -> Option<Reward> {
        match self {
            Self::Scored { reward, .. } => Some(*reward),
            Self::Unscorable(_) => None,
        }
    }
}

/// How the parts of a reward are added up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RewardWeights {
    /// Weight of the judged answer.
    pub outcome: Reward,
    /// Weight of the share of turns that held an action.
    pub format: Reward,
}

impl Default for RewardWeights {
    /// The judge's score and nothing else.
    fn default() -> Self {
        Self { outcome: Reward(1.0), format: Reward::ZERO }
    }
}

/// A reward with what it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RewardParts {
    /// The judged answer's, from 0 to 1, and 0 where the policy gave none; or what others gave in its place.
    pub outcome: Reward,
    /// The share of turns that held an action.
    pub format: Reward,
    /// The weighted sum.
    pub total: Reward,
}

impl RewardParts {
    /// Weighs and adds.
    pub fn new(weights: RewardWeights, outcome: Reward, format: Reward) -> Self {
        let sum = weights.outcome.0 * outcome.0 + weights.format.0 * format.0;
        // Finite factors can overflow only for absurd weights; the nearest finite number keeps the order.
        Self { outcome, format, total: Reward(sum.clamp(f64::MIN, f64::MAX)) }
    }
}

/// What a trajectory earned.
#[derive(Clone, Debug, PartialEq)]
pub enum TrajectoryReward {
    /// The policy is answerable for how it ended.
    Scored(RewardParts),
    /// It is not: there is no number here that a trainer could read.
    Unscorable {
        /// Why not.
        reason: String,
    },
}

impl TrajectoryReward {
    /// The total, if there is one.
    pub fn total(&self) -> Option<Reward> {
        match self {
            Self::Scored(parts) => Some(parts.total),
            Self::Unscorable { .. } => None,
        }
    }

    /// The reward with what others gave for the outcome, or the reason why they gave nothing: that is no number either.
    /// What had no number keeps none.
    #[must_use]
    pub fn with_outcome(self, weights: RewardWeights, outcome: Result<Reward, String>) -> Self {
        match (self, outcome) {
            (Self::Scored(parts), Ok(outcome)) => {
                Self::Scored(RewardParts::new(weights, outcome, parts.format))
            }
            (Self::Scored(_), Err(reason)) => Self::Unscorable { reason },
            (unscorable @ Self::Unscorable { .. }, _) => unscorable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_finite() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Reward::new(value).is_err(), "{value}");
        }
        assert_eq!(Reward::new(-0.5).unwrap().value(), -0.5);
        assert!(Reward::new(-0.0).unwrap().value().is_sign_positive());
    }

    #[test]
    fn parts_add_up_and_stay_finite() {
        let weights = RewardWeights { outcome: Reward(1.0), format: Reward(0.5) };
        assert_eq!(RewardParts::new(weights, Reward(1.0), Reward(0.5)).total, Reward(1.25));
        let absurd = RewardWeights { outcome: Reward(f64::MAX), format: Reward(f64::MAX) };
        assert!(RewardParts::new(absurd, Reward(1.0), Reward(1.0)).total.value().is_finite());
    }

    #[test]
    fn an_outcome_of_others_takes_the_place_of_the_judges() {
        let weights = RewardWeights { outcome: Reward(2.0), format: Reward(0.5) };
        let scored = TrajectoryReward::Scored(RewardParts::new(weights, Reward::ZERO, Reward(1.0)));
        let total = |reward: &TrajectoryReward| reward.total().map(Reward::value);
        assert_eq!(total(&scored.clone().with_outcome(weights, Ok(Reward(-3.0)))), Some(-5.5));
        assert_eq!(total(&scored.with_outcome(weights, Err("NaN".to_owned()))), None);
        let lost = TrajectoryReward::Unscorable { reason: "cancelled".to_owned() };
        assert_eq!(lost.clone().with_outcome(weights, Ok(Reward(1.0))), lost);
    }

    #[test]
    fn our_failures_hold_no_reward() {
        let judgement = Judgement::Unscorable(Unscorable::infrastructure("no cgroup", true));
        let judged = JudgedAnswer::from_judgement(&judgement, Disclosure::Position);
        assert_eq!((judged.reward(), judged.is_accepted()), (None, false));
    }
}
