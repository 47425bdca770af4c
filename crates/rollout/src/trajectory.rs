//! What is kept of a conversation: turns, and what they came to.

use std::sync::Arc;
use std::time::Duration;

use rollcage_types::TaskId;
use serde_json::{Map, Value};

use crate::budget::StopReason;
use crate::completion::Completion;
use crate::extract::VoidReason;
use crate::message::Message;
use crate::observation::{CellResult, ToolResult};
use crate::reward::{JudgedAnswer, Reward, RewardParts, RewardWeights, TrajectoryReward};

/// What may follow a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TurnStage {
    /// Another turn.
    Ordinary,
    /// No more code: the budget ends here, but for an extra turn where one is granted.
    Last,
    /// Nothing, and nothing is run in it either: it is the extra turn, for the final answer alone.
    FinalAnswer,
}

/// What a turn asked for and what came of it, in one value so that the two cannot disagree.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnOutcome {
    /// A cell was run.
    Ran {
        /// The code.
        code: String,
        /// Its standard input, where the dialect has a place for it.
        stdin: Option<String>,
        /// How it ended.
        cell: CellResult,
    },
    /// A tool was called that others carry out.
    Called {
        /// The function.
        name: String,
        /// Its arguments.
        arguments: Map<String, Value>,
        /// What it returned.
        result: ToolResult,
    },
    /// An answer was judged.
    Answered {
        /// The answer.
        answer: String,
        /// What it came to.
        judged: JudgedAnswer,
    },
    /// There was nothing that could be done.
    Void {
        /// Why.
        why: VoidReason,
    },
    /// The policy gave up.
    GaveUp,
}

/// One turn: a completion and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Counted from 0.
    pub index: u32,
    /// What could follow it.
    pub stage: TurnStage,
    /// What the policy wrote.
    pub completion: Completion,
    /// What was done.
    pub outcome: TurnOutcome,
    /// What the policy reads next; empty where the trajectory ends.
    pub observation: Vec<Message>,
    /// Time the trajectory had spent when the turn was complete.
    pub elapsed: Duration,
}

impl Turn {
    /// Whether it held no action.
    pub fn is_void(&self) -> bool {
        match self.outcome {
            TurnOutcome::Void { .. } => true,
            TurnOutcome::Ran { .. }
            | TurnOutcome::Called { .. }
            | TurnOutcome::Answered { .. }
            | TurnOutcome::GaveUp => false,
        }
    }
}

/// Which trajectory of a run this is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrajectoryKey {
    /// The task.
    pub task: TaskId,
    /// The group: the task's place in the run.
    pub group: u64,
    /// Its place in the group.
    pub sample: u32,
}

/// A finished conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Trajectory {
    /// Which one it is.
    pub key: TrajectoryKey,
    /// What its samples were seeded from.
    pub seed: u64,
    /// Its turns, in order; every one of them is stored.
    pub turns: Vec<Arc<Turn>>,
    /// Why it ended.
    pub stop: StopReason,
    /// What failed, for reasons that are failures.
    pub failure: Option<String>,
    /// The judged answer that counts.
    pub judged: Option<JudgedAnswer>,
    /// What it earned.
    pub reward: TrajectoryReward,
    /// Time it took, interruptions aside.
    pub elapsed: Duration,
}

impl Trajectory {
    /// Whether any turn held no action; such trajectories are often left out of the loss.
    pub fn has_void_turn(&self) -> bool {
        self.turns.iter().any(|turn| turn.is_void())
    }
}

/// The reward of a trajectory that ended for `stop` with `judged` as the answer that counts.
///
/// A policy that ended by its own doing without an answer earns 0. One that we or a server stopped earns
/// nothing at all: there is no number. The clock also counts waiting for servers, so running out of it is
/// held against nobody.
pub fn trajectory_reward(
    stop: StopReason,
    failure: Option<&str>,
    judged: Option<&JudgedAnswer>,
    turns: &[Arc<Turn>],
    weights: RewardWeights,
) -> TrajectoryReward {
    let unscorable = |reason: &str| TrajectoryReward::Unscorable { reason: reason.to_owned() };
    let scored = |outcome| TrajectoryReward::Scored(RewardParts::new(weights, outcome, format_reward(turns)));
    match stop {
        StopReason::PolicyFailed | StopReason::Infrastructure | StopReason::Cancelled => {
            return unscorable(failure.unwrap_or(stop.as_str()));
        }
        StopReason::WallTime if judged.is_none() => {
            return unscorable("the wall time limit ended it before an answer was judged");
        }
        StopReason::WallTime
        | StopReason::Answered
        | StopReason::TurnLimit
        | StopReason::TokenLimit
        | StopReason::ContextLimit
        | StopReason::PolicyStopped
        | StopReason::VoidTurns => {}
    }
    match judged {
        Some(JudgedAnswer::Scored { reward, .. }) => scored(*reward),
        Some(JudgedAnswer::Unscorable(why)) => unscorable(&why.reason),
        None => scored(Reward::ZERO),
    }
}

/// The share of turns that held an action; a trajectory without turns has shown nothing.
fn format_reward(turns: &[Arc<Turn>]) -> Reward {
    if turns.is_empty() {
        return Reward::ZERO;
    }
    let good = turns.iter().filter(|turn| !turn.is_void()).count();
    Reward::new(good as f64 / turns.len() as f64).expect("a quotient by a positive count is finite")
}

#[cfg(test)]
mod tests {
    use rollcage_judge::{Unscorable, Verdict};

    use super::*;

    #[test]
    fn only_what_the_policy_did_earns_a_number() {
        let scored = JudgedAnswer::Scored {
            verdict: Verdict::Accepted,
            reward: Reward::new(1.0).unwrap(),
            reason: None,
        };
        let lost = JudgedAnswer::Unscorable(Unscorable::problem("no tests"));
        let check = |stop, judged: Option<&JudgedAnswer>, expected: Option<f64>| {
            let reward = trajectory_reward(stop, None, judged, &[], RewardWeights::default());
            assert_eq!(reward.total().map(Reward::value), expected, "{stop:?} {judged:?}");
        };
        for stop in StopReason::ALL {
            let expected = match stop {
                StopReason::PolicyFailed | StopReason::Infrastructure | StopReason::Cancelled => (None, None),
                StopReason::WallTime => (None, Some(1.0)),
                StopReason::Answered
                | StopReason::TurnLimit
                | StopReason::TokenLimit
                | StopReason::ContextLimit
                | StopReason::PolicyStopped
                | StopReason::VoidTurns => (Some(0.0), Some(1.0)),
            };
            check(stop, None, expected.0);
            check(stop, Some(&scored), expected.1);
            check(stop, Some(&lost), None);
        }
    }
}
