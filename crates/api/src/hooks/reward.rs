//! What a reward hook is asked of one trajectory, and what it may answer.

use std::collections::BTreeMap;

use rollcage_rollout::{JudgedAnswer, Message, Reward, Task, Trajectory, TurnOutcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{HOOK_VERSION, HookKind, cut};
use crate::problem_row::MessageRow;

/// One finished trajectory for whose end the policy is answerable: what did it earn?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RewardRequest {
    /// The version of the protocol: 1.
    pub v: u32,
    /// Always `reward`.
    #[schemars(extend("const" = "reward"))]
    pub kind: HookKind,
    /// Returned with the answer.
    pub id: u64,
    /// The task's id.
    pub task: String,
    /// The conversation: the task's messages, what the policy wrote and what it was shown.
    pub messages: Vec<MessageRow>,
    /// The last answer that was given, if there was one.
    pub answer: Option<String>,
    /// How the answer that counts was judged, if there was one.
    pub judgement: Option<RewardJudgement>,
    /// The trajectory in a few numbers.
    pub trajectory: RewardTrajectory,
    /// What the task's author keeps with it.
    #[serde(default)]
    pub meta: Map<String, Value>,
}

/// How an answer was judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RewardJudgement {
    /// The verdict.
    pub verdict: String,
    /// What it earned, from 0 to 1.
    pub score: f64,
    /// Why it was not accepted.
    pub reason: Option<String>,
}

/// A trajectory in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RewardTrajectory {
    /// Its id in the store.
    pub id: String,
    /// Which of the samples of its task, counted from 0.
    pub sample: u32,
    /// Why it ended.
    pub stop: String,
    /// Its turns.
    pub turns: usize,
    /// Those that held no action.
    pub void_turns: usize,
    /// Tokens of its completions, where the server counted them.
    pub completion_tokens: Option<u64>,
    /// Time it took, interruptions aside, in milliseconds.
    pub elapsed_ms: u64,
}

impl RewardRequest {
    /// The request about a finished trajectory, kept in the store as `trajectory_id`.
    pub fn new(
        id: u64,
        trajectory_id: &str,
        task: &Task,
        trajectory: &Trajectory,
        meta: &Map<String, Value>,
    ) -> Self {
        let turns = &trajectory.turns;
        let written = turns
            .iter()
            .flat_map(|turn| std::iter::once(turn.completion.to_message()).chain(turn.observation.clone()));
        let conversation: Vec<Message> = task.messages.iter().cloned().chain(written).collect();
        let answer = turns.iter().rev().find_map(|turn| match &turn.outcome {
            TurnOutcome::Answered { answer, .. } => Some(answer.clone()),
            TurnOutcome::Ran { .. }
            | TurnOutcome::Called { .. }
            | TurnOutcome::Void { .. }
            | TurnOutcome::GaveUp => None,
        });
        // Under the rule that the last code is the answer it may have been judged after the last turn.
        let last_code = || {
            turns.iter().rev().find_map(|turn| match &turn.outcome {
                TurnOutcome::Ran { code, .. } => Some(code.clone()),
                TurnOutcome::Answered { .. }
                | TurnOutcome::Called { .. }
                | TurnOutcome::Void { .. }
                | TurnOutcome::GaveUp => None,
            })
        };
        let judgement = trajectory.judged.as_ref().and_then(judgement);
        let answer = answer.or_else(|| judgement.as_ref().and_then(|_| last_code()));
        let tokens: Option<u64> =
            turns.iter().map(|turn| turn.completion.usage.map(|usage| u64::from(usage.completion))).sum();
        Self {
            v: HOOK_VERSION,
            kind: HookKind::Reward,
            id,
            task: task.id.to_string(),
            messages: conversation.iter().map(MessageRow::from).collect(),
            answer,
            judgement,
            trajectory: RewardTrajectory {
                id: trajectory_id.to_owned(),
                sample: trajectory.key.sample,
                stop: trajectory.stop.as_str().to_owned(),
                turns: turns.len(),
                void_turns: turns.iter().filter(|turn| turn.is_void()).count(),
                completion_tokens: tokens,
                elapsed_ms: u64::try_from(trajectory.elapsed.as_millis()).unwrap_or(u64::MAX),
            },
            meta: meta.clone(),
        }
    }
}

fn judgement(judged: &JudgedAnswer) -> Option<RewardJudgement> {
    match judged {
        JudgedAnswer::Scored { verdict, reward, reason } => Some(RewardJudgement {
            verdict: verdict.as_str().to_owned(),
            score: reward.value(),
            reason: reason.clone(),
        }),
        JudgedAnswer::Unscorable(_) => None,
    }
}

/// A reward, or why there can be none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RewardReply {
    /// The request's.
    pub id: u64,
    /// The reward, a finite number; missing only beside `unscorable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
    /// What it is made of, by name. Kept with the trajectory, and never added up here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, f64>,
    /// Why this trajectory cannot be given a reward. There is no number then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscorable: Option<String>,
}

/// What a reward hook gave.
#[derive(Clone, Debug, PartialEq)]
pub struct HookReward {
    /// The reward.
    pub reward: Reward,
    /// What it is made of.
    pub parts: BTreeMap<String, Reward>,
}

/// Parts of one reward; more are data of another kind.
const PARTS_MAX: usize = 64;

impl RewardReply {
    /// The reward. The outer error says what is wrong with the answer, the inner one why there is none.
    pub fn into_reward(self) -> Result<Result<HookReward, String>, String> {
        let Self { id: _, reward, parts, unscorable } = self;
        let reward = match (reward, unscorable) {
            (None, Some(why)) => return Ok(Err(cut(why))),
            (Some(reward), None) => reward,
            (None, None) => return Err("it has neither `reward` nor `unscorable`".to_owned()),
            (Some(_), Some(_)) => return Err("it has both `reward` and `unscorable`".to_owned()),
        };
        if parts.len() > PARTS_MAX {
            return Err(format!("it has {} parts, and at most {PARTS_MAX} are kept", parts.len()));
        }
        let reward = Reward::new(reward).map_err(|error| error.to_string())?;
        let part = |(name, value): (String, f64)| match Reward::new(value) {
            Ok(value) => Ok((cut(name), value)),
            Err(error) => Err(format!("`parts.{}`: {error}", name.escape_default())),
        };
        let parts = parts.into_iter().map(part).collect::<Result<_, _>>()?;
        Ok(Ok(HookReward { reward, parts }))
    }
}
