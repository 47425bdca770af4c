//! `rollcage eval intercode-python`: InterCode's recorded Python episodes played again, and their rewards compared.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use rollcage_api::{
    ExitCode, InterCodeDifference, InterCodeEpisodeRow, InterCodeReport, RowError, gunzip,
    read_intercode_episodes, read_intercode_tasks,
};
use rollcage_engine::drive::{Difference, InterCodeError, ReplayedEpisode, ReplayedTurn, replay_intercode};
use rollcage_rollout::{Reward, StopReason};

use super::eval::Args;
use crate::engine_host::{OnSignal, read_file, toolchain_failed, with_engine};
use crate::failure::Failure;
use crate::progress::Bar;
use crate::{output, table};

/// The name the data set is asked for by.
pub(super) const DATASET: &str = "intercode-python";

/// Where the authors' tasks and episodes lie below a directory of data.
const TASKS: [&str; 2] = ["intercode/ic_mbpp.json.gz", "ic_mbpp.json.gz"];
const EPISODES: [&str; 2] =
    ["intercode/ic_python_multiturn_gpt-4_7_turns.json.gz", "ic_python_multiturn_gpt-4_7_turns.json.gz"];

/// Runs the command.
pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    if args.solutions.is_some() || !args.policy.policy.is_empty() {
        return Err(Failure::usage(format!(
            "`{DATASET}` replays what was recorded, so it takes no solutions"
        )));
    }
    let data = args.data.as_deref().unwrap_or(Path::new("."));
    let tasks = read_intercode_tasks(&read(data, TASKS)?).map_err(|error| wrong_row(error, TASKS[0]))?;
    let mut episodes =
        read_intercode_episodes(&read(data, EPISODES)?).map_err(|error| wrong_row(error, EPISODES[0]))?;
    if let Some(limit) = args.limit {
        episodes.truncate(limit.get() as usize);
    }
    let set = args.languages.load()?;
    let bar = Bar::new(episodes.len());
    let replayed =
        with_engine(args.reuse.engine_config(&args.cages.host_config(None), set), OnSignal::Drop, |engine| {
            let bar = bar.clone();
            async move {
                let progress = |episode: &ReplayedEpisode| {
                    bar.advance(Some(if is_reproduced(episode) { "reproduced" } else { "different" }));
                };
                replay_intercode(&engine, tasks, episodes, progress).await.map_err(replay_failed)
            }
        });
    bar.finish();
    let replayed = replayed?;
    let report = report(&replayed);
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print_text(&text(&report))?;
    }
    for episode in replayed.iter().filter(|episode| episode.stop == StopReason::Infrastructure) {
        let failure = episode.failure.as_deref().unwrap_or_default();
        output::note(&format!("episode {} was not judged: {failure}", episode.task_index));
    }
    Ok(exit_code(&replayed).number())
}

fn read(data: &Path, names: [&str; 2]) -> Result<Vec<u8>, Failure> {
    let path = names.iter().map(|name| data.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        let error = anyhow::anyhow!("the data set `{DATASET}` is not below `{}`", data.display());
        Failure::bad_input(error)
            .with_hint(format!("--data names a directory that holds {}", names.join(" or ")))
    })?;
    let bytes = read_file(&path)?;
    let plain = gunzip(&bytes)
        .with_context(|| format!("cannot decompress `{}`", path.display()))
        .map_err(Failure::bad_input)?;
    Ok(plain.into_owned())
}

fn wrong_row(error: RowError, name: &str) -> Failure {
    Failure::bad_input(anyhow::Error::new(error).context(format!("`{name}`")))
}

fn replay_failed(error: InterCodeError) -> Failure {
    match error {
        InterCodeError::Toolchain(error) => toolchain_failed(error),
        error @ (InterCodeError::Language(_) | InterCodeError::NoSuchTask { .. }) => {
            Failure::bad_input(error)
        }
    }
}

/// Our failures first; then differences that nothing explains. An explained one is what it should be.
fn exit_code(episodes: &[ReplayedEpisode]) -> ExitCode {
    if episodes.iter().any(|episode| episode.stop == StopReason::Infrastructure) {
        return ExitCode::Infrastructure;
    }
    let is_explained = |turn: &ReplayedTurn| match turn.difference {
        None
        | Some(Difference::GoldLeftBehind | Difference::EarlierAsserts | Difference::GoldAndEarlierAsserts) => {
            true
        }
        Some(Difference::NotPlayed | Difference::NotJudged | Difference::Unexplained) => false,
    };
    let is_all_explained = episodes.iter().flat_map(|episode| &episode.turns).all(is_explained);
    if is_all_explained { ExitCode::Success } else { ExitCode::NotAccepted }
}

/// Whether every turn was played, none was added, and every reward came out again.
fn is_reproduced(episode: &ReplayedEpisode) -> bool {
    episode.turns_played == episode.turns.len() && episode.turns.iter().all(|turn| turn.difference.is_none())
}

fn report(episodes: &[ReplayedEpisode]) -> InterCodeReport {
    let mut causes = BTreeMap::new();
    let mut differences = Vec::new();
    for episode in episodes {
        for (place, turn) in episode.turns.iter().enumerate() {
            let Some(difference) = turn.difference else { continue };
            *causes.entry(difference.as_str().to_owned()).or_default() += 1;
            differences.push(InterCodeDifference {
                task_index: episode.task_index,
                turn: place,
                recorded: turn.recorded,
                replayed: turn.replayed.map(Reward::value),
                cause: difference.as_str().to_owned(),
            });
        }
    }
    let turns = episodes.iter().map(|episode| episode.turns.len()).sum();
    InterCodeReport {
        turns,
        rewards_reproduced: turns - differences.len(),
        episodes_reproduced: episodes.iter().filter(|episode| is_reproduced(episode)).count(),
        causes,
        differences,
        episodes: episodes.iter().map(episode_row).collect(),
    }
}

fn episode_row(episode: &ReplayedEpisode) -> InterCodeEpisodeRow {
    let ReplayedEpisode { task_index, turns, turns_played, best, stop, failure: _ } = episode;
    InterCodeEpisodeRow {
        task_index: *task_index,
        turns_recorded: turns.len(),
        turns_replayed: *turns_played,
        max_reward_recorded: turns.iter().map(|turn| turn.recorded).fold(0.0, f64::max),
        max_reward_replayed: best.map(Reward::value),
        stop: stop.as_str().to_owned(),
        rewards_reproduced: turns.iter().filter(|turn| turn.difference.is_none()).count(),
    }
}

fn text(report: &InterCodeReport) -> String {
    let InterCodeReport { turns, rewards_reproduced, episodes_reproduced, causes, differences, episodes } =
        report;
    let number = |reward: Option<f64>| reward.map_or_else(|| "-".to_owned(), |reward| format!("{reward:.2}"));
    let mut text = table::render(
        ["task", "turns", "replayed", "best", "replayed", "reproduced", "stop"],
        episodes.iter().map(|row| {
            [
                row.task_index.to_string(),
                row.turns_recorded.to_string(),
                row.turns_replayed.to_string(),
                number(Some(row.max_reward_recorded)),
                number(row.max_reward_replayed),
                row.rewards_reproduced.to_string(),
                row.stop.clone(),
            ]
        }),
    );
    if !differences.is_empty() {
        text.push('\n');
        text.push_str(&table::render(
            ["task", "turn", "recorded", "replayed", "cause"],
            differences.iter().map(|row| {
                [
                    row.task_index.to_string(),
                    row.turn.to_string(),
                    number(Some(row.recorded)),
                    number(row.replayed),
                    row.cause.clone(),
                ]
            }),
        ));
    }
    text.push_str(&format!(
        "\n{DATASET}: {rewards_reproduced} of {turns} rewards reproduced, \
         {episodes_reproduced} of {} episodes in full\n",
        episodes.len()
    ));
    for (cause, count) in causes {
        text.push_str(&format!("{count} {cause}\n"));
    }
    text
}
