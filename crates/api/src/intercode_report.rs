//! The outcome of replaying InterCode's recorded episodes: which rewards came out again, and why others did not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Recorded episodes replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterCodeReport {
    /// Turns recorded in all episodes together.
    pub turns: usize,
    /// Turns whose reward came out as recorded.
    pub rewards_reproduced: usize,
    /// Episodes in which the recorded turns, and no others, were played and every reward came out as recorded.
    pub episodes_reproduced: usize,
    /// Turns that differ, by cause.
    pub causes: BTreeMap<String, usize>,
    /// Every turn that differs.
    pub differences: Vec<InterCodeDifference>,
    /// Every episode, in the order of their tasks.
    pub episodes: Vec<InterCodeEpisodeRow>,
}

/// A turn whose reward differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterCodeDifference {
    /// The episode, by the place of its task.
    pub task_index: usize,
    /// The turn, counted from 0.
    pub turn: usize,
    /// The reward in the recording.
    pub recorded: f64,
    /// Ours; `null` where the turn was not played or not judged.
    pub replayed: Option<f64>,
    /// Why they differ.
    pub cause: String,
}

/// An episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterCodeEpisodeRow {
    /// The place of its task.
    pub task_index: usize,
    /// Recorded turns.
    pub turns_recorded: usize,
    /// Turns that the replay took.
    pub turns_replayed: usize,
    /// The highest recorded reward.
    pub max_reward_recorded: f64,
    /// The highest reward of the replay; `null` if nothing was judged.
    pub max_reward_replayed: Option<f64>,
    /// Why the replay ended.
    pub stop: String,
    /// Its turns in which the rewards are equal.
    pub rewards_reproduced: usize,
}
