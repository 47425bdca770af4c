//! InterCode's Python tasks, and the episodes its authors recorded on them.
//!
//! Owns what the keys of the two files mean. Leaves what an action submits, and what it earns, to whoever judges it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::Value;

use crate::rows::{RowError, read_rows};

/// A task: a function that is asked for, the authors' own, and asserts that call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterCodeTask {
    /// What the policy is asked.
    pub query: String,
    /// The authors' solution. The asserts call the first function it defines.
    pub gold: String,
    /// Code run before the asserts; mostly empty.
    pub setup: String,
    /// One assert each. A text may occur twice.
    pub tests: Vec<String>,
}

/// A recorded conversation on a task.
#[derive(Clone, Debug, PartialEq)]
pub struct InterCodeEpisode {
    /// The task's place in the file of tasks, counted from 0.
    pub task_index: usize,
    /// The turns, at least one.
    pub turns: Vec<InterCodeTurn>,
    /// Turns the policy had at most.
    pub turns_max: NonZeroU32,
    /// The highest reward of a turn, as the recording sums it up.
    pub max_reward: f64,
    /// The first turn that earned it, counted from 0.
    pub max_reward_turn: usize,
}

/// A recorded turn.
#[derive(Clone, Debug, PartialEq)]
pub struct InterCodeTurn {
    /// What the policy wrote, after InterCode's own clean-up.
    pub action: String,
    /// What the policy read next.
    pub observation: String,
    /// What the action earned.
    pub reward: f64,
}

#[derive(Debug, Deserialize)]
struct TaskRow {
    query: String,
    gold: String,
    tests: Vec<String>,
    #[serde(default)]
    test_setup_code: String,
}

#[derive(Debug, Deserialize)]
struct EpisodeRow {
    task_id: usize,
    turn_history: HistoryRow,
    summary: SummaryRow,
}

#[derive(Debug, Deserialize)]
struct HistoryRow {
    actions: Vec<String>,
    observations: Vec<String>,
    rewards: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct SummaryRow {
    max_reward: f64,
    max_reward_idx: usize,
    turns_taken: usize,
    turns_max: NonZeroU32,
}

/// Reads a file of tasks, already decompressed. Episodes name a task by its place.
pub fn read_intercode_tasks(bytes: &[u8]) -> Result<Vec<InterCodeTask>, RowError> {
    let task = |(number, row): (usize, TaskRow)| {
        let TaskRow { query, gold, tests, test_setup_code } = row;
        if tests.is_empty() {
            return Err(RowError::new(number, "tests", "there is no test"));
        }
        Ok(InterCodeTask { query, gold, setup: test_setup_code, tests })
    };
    read_rows(bytes)?.into_iter().map(task).collect()
}

/// Reads a file of recorded episodes, already decompressed: one JSON object with an episode under each key. They are
/// returned in the order of their tasks; errors count rows in the order of the keys.
pub fn read_intercode_episodes(bytes: &[u8]) -> Result<Vec<InterCodeEpisode>, RowError> {
    let rows: BTreeMap<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
        RowError::new(error.line(), "", format!("the file is not a JSON object of episodes: {error}"))
    })?;
    let mut episodes = Vec::with_capacity(rows.len());
    for (place, (key, value)) in rows.into_iter().enumerate() {
        let row: EpisodeRow = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let path = if path == "." { key.clone() } else { format!("{key}.{path}") };
            RowError::new(place + 1, path, error.inner().to_string())
        })?;
        let episode = row.into_episode();
        episodes.push(
            episode.map_err(|(path, problem)| RowError::new(place + 1, format!("{key}.{path}"), problem))?,
        );
    }
    episodes.sort_by_key(|episode| episode.task_index);
    Ok(episodes)
}

impl EpisodeRow {
    fn into_episode(self) -> Result<InterCodeEpisode, (&'static str, String)> {
        let Self { task_id, turn_history: HistoryRow { actions, observations, rewards }, summary } = self;
        let turns = actions.len();
        if turns == 0 {
            return Err(("turn_history.actions", "there is no turn".to_owned()));
        }
        for (path, found) in [
            ("turn_history.observations", observations.len()),
            ("turn_history.rewards", rewards.len()),
            ("summary.turns_taken", summary.turns_taken),
        ] {
            if found != turns {
                return Err((path, format!("{found} for {turns} actions")));
            }
        }
        let history = actions.into_iter().zip(observations).zip(rewards);
        Ok(InterCodeEpisode {
            task_index: task_id,
            turns: history
                .map(|((action, observation), reward)| InterCodeTurn { action, observation, reward })
                .collect(),
            turns_max: summary.turns_max,
            max_reward: summary.max_reward,
            max_reward_turn: summary.max_reward_idx,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPISODE: &str = r#"{"0": {"environment": "ic_python", "task_id": 4, "query": "q",
        "turn_history": {"actions": ["def f(): 1", "def f(): 2"], "observations": ["a", "b"],
                         "rewards": [0, 0.5], "valid_action": [null, null]},
        "summary": {"max_reward": 0.5, "max_reward_idx": 1, "turns_taken": 2, "turns_max": 7}}}"#;

    #[test]
    fn an_episode_is_its_turns() {
        let episodes = read_intercode_episodes(EPISODE.as_bytes()).unwrap();
        let turn = |action: &str, observation: &str, reward| InterCodeTurn {
            action: action.to_owned(),
            observation: observation.to_owned(),
            reward,
        };
        assert_eq!(
            episodes,
            [InterCodeEpisode {
                task_index: 4,
                turns: vec![turn("def f(): 1", "a", 0.0), turn("def f(): 2", "b", 0.5)],
                turns_max: NonZeroU32::new(7).unwrap(),
                max_reward: 0.5,
                max_reward_turn: 1,
            }]
        );
    }

    #[test]
    fn mistakes_name_the_key_and_the_field() {
        for (from, to, expected) in [
            ("[0, 0.5]", "[0]", "row 1, `0.turn_history.rewards`: 1 for 2 actions"),
            ("\"turns_taken\": 2", "\"turns_taken\": 3", "row 1, `0.summary.turns_taken`: 3 for 2 actions"),
            (
                "\"turns_max\": 7",
                "\"turns_max\": 0",
                "row 1, `0.summary.turns_max`: invalid value: integer `0`, expected a nonzero u32",
            ),
            ("\"task_id\": 4,", "", "row 1, `0`: missing field `task_id`"),
        ] {
            let error = read_intercode_episodes(EPISODE.replace(from, to).as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        assert!(
            read_intercode_episodes(b"[]").unwrap_err().problem.starts_with("the file is not a JSON object")
        );
    }

    #[test]
    fn a_task_without_a_test_is_refused() {
        let row = r#"[{"query": "q", "gold": "def f(): pass", "tests": ["assert f()"], "task_id": 1}]"#;
        let tasks = read_intercode_tasks(row.as_bytes()).unwrap();
        assert_eq!((tasks[0].gold.as_str(), tasks[0].setup.as_str()), ("def f(): pass", ""));
        let error = read_intercode_tasks(row.replace("\"assert f()\"", "").as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "row 1, `tests`: there is no test");
    }
}
