//! The replay: a [`RolloutLoop`] for each episode, whose policy says what was recorded.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use rollcage_api::{InterCodeEpisode, InterCodeTask};
use rollcage_judge::{Checker, Problem, Tests};
use rollcage_language::{Language, UnknownLanguage};
use rollcage_rollout::{
    Action, ActionForm, AnswerRule, Budget, CellFailure, CodeMeans, Completion, CountedAnswer, Dialect,
    EnvironmentConfig, Event, FinishReason, JudgedAnswer, Message, PolicyFailure, PolicyFailureKind, Retries,
    Reward, RewardWeights, Role, RolloutLoop, RolloutSpec, SampleRequest, StopReason, Task, ToolCall,
    ToolFailure, ToolForm, Trajectory, TurnOutcome,
};
use rollcage_types::{LimitOverrides, ProblemId, TaskId};
use serde_json::json;
use tokio::task::JoinSet;

use super::super::engine::Engine;
use super::super::toolchain::ToolchainError;
use super::difference::{Difference, explain};
use super::judge::InterCodeJudge;

/// The language of every task.
const LANGUAGE: &str = "python";

/// The word that submits a function by its name.
const SUBMIT: &str = "submit";

/// An episode played again.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedEpisode {
    /// The place of its task.
    pub task_index: usize,
    /// Each recorded turn.
    pub turns: Vec<ReplayedTurn>,
    /// Turns that the replay took.
    pub turns_played: usize,
    /// The highest reward of the replay; `None` if nothing was judged.
    pub best: Option<Reward>,
    /// Why the replay ended. A replay that goes on beyond the recording ends for want of a policy.
    pub stop: StopReason,
    /// What failed, for reasons that are failures.
    pub failure: Option<String>,
}

/// A recorded turn, and what came of it now.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedTurn {
    /// The recorded reward.
    pub recorded: f64,
    /// Ours; `None` where the turn was not played or not judged.
    pub replayed: Option<Reward>,
    /// Why the two differ; `None` where they are equal.
    pub difference: Option<Difference>,
}

/// Why episodes cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum InterCodeError {
    /// Nobody defines Python.
    #[error(transparent)]
    Language(Box<UnknownLanguage>),
    /// Python cannot be used here.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// An episode is on a task that is not there.
    #[error("an episode is on task {task_index}, and there are {tasks} tasks")]
    NoSuchTask {
        /// The task's place, counted from 0.
        task_index: usize,
        /// How many there are.
        tasks: usize,
    },
}

/// Plays every episode again, as many at once as the host has cages. Results are in the order of `episodes`.
pub async fn replay_intercode(
    engine: &Engine,
    tasks: Vec<InterCodeTask>,
    episodes: Vec<InterCodeEpisode>,
    progress: impl Fn(&ReplayedEpisode),
) -> Result<Vec<ReplayedEpisode>, InterCodeError> {
    let language =
        engine.languages().find(LANGUAGE).map_err(|error| InterCodeError::Language(Box::new(error)))?;
    engine.toolchain(language).await?;
    let tasks: Vec<Arc<InterCodeTask>> = tasks.into_iter().map(Arc::new).collect();
    if let Some(episode) = episodes.iter().find(|episode| episode.task_index >= tasks.len()) {
        let task_index = episode.task_index;
        return Err(InterCodeError::NoSuchTask { task_index, tasks: tasks.len() });
    }
    let mut results: Vec<Option<ReplayedEpisode>> = episodes.iter().map(|_| None).collect();
    let mut waiting = episodes.into_iter().enumerate();
    let mut in_work = JoinSet::new();
    loop {
        // An episode has one assert in work at a time.
        while in_work.len() < engine.host().slots() {
            let Some((place, episode)) = waiting.next() else { break };
            let task = Arc::clone(&tasks[episode.task_index]);
            let (engine, language) = (engine.clone(), Arc::clone(language));
            in_work.spawn(async move { (place, replay_episode(engine, language, task, &episode).await) });
        }
        match in_work.join_next().await {
            None => break,
            Some(Ok((place, replayed))) => {
                progress(&replayed);
                results[place] = Some(replayed);
            }
            Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
        }
    }
    Ok(results.into_iter().map(|result| result.expect("every episode was replayed")).collect())
}

async fn replay_episode(
    engine: Engine,
    language: Arc<Language>,
    task: Arc<InterCodeTask>,
    episode: &InterCodeEpisode,
) -> ReplayedEpisode {
    let spec = spec(&task, episode);
    let mut judge = InterCodeJudge::new(engine, language, task);
    let trajectory = play(spec, episode, &mut judge).await;
    let earned: Vec<Option<Reward>> = trajectory
        .turns
        .iter()
        .map(|turn| match &turn.outcome {
            TurnOutcome::Answered { judged, .. } => judged.reward(),
            // A turn without an action earns nothing, as it does in InterCode.
            TurnOutcome::Void { .. } => Some(Reward::ZERO),
            TurnOutcome::Ran { .. } | TurnOutcome::Called { .. } | TurnOutcome::GaveUp => None,
        })
        .collect();
    let mut turns = Vec::with_capacity(episode.turns.len());
    for (place, recorded) in episode.turns.iter().enumerate() {
        let (replayed, difference) = match earned.get(place) {
            None if place == earned.len() && trajectory.stop == StopReason::Infrastructure => {
                (None, Some(Difference::NotJudged))
            }
            None => (None, Some(Difference::NotPlayed)),
            Some(None) => (None, Some(Difference::NotJudged)),
            Some(Some(reward)) if reward.value() == recorded.reward => (Some(*reward), None),
            Some(Some(reward)) => {
                let difference = explain(&mut judge, episode, place).await;
                (Some(*reward), Some(difference.unwrap_or(Difference::Unexplained)))
            }
        };
        turns.push(ReplayedTurn { recorded: recorded.reward, replayed, difference });
    }
    ReplayedEpisode {
        task_index: episode.task_index,
        turns,
        turns_played: earned.len(),
        best: trajectory.judged.as_ref().and_then(JudgedAnswer::reward),
        stop: trajectory.stop,
        failure: trajectory.failure,
    }
}

/// Carries the loop to its end.
async fn play(spec: RolloutSpec, episode: &InterCodeEpisode, judge: &mut InterCodeJudge) -> Trajectory {
    let started = Instant::now();
    let mut machine = RolloutLoop::new(spec);
    let mut events = VecDeque::from([Event::Started]);
    while let Some(event) = events.pop_front() {
        for action in machine.on_event(started.elapsed(), event) {
            match action {
                Action::Sample(request) => events.push_back(recorded(episode, &request)),
                Action::Judge(request) => {
                    let judged = judge.judge(&request.answer).await;
                    events.push_back(Event::Judged { ticket: request.ticket, judged });
                }
                Action::Persist(turn) => events.push_back(Event::Persisted { turn: turn.index }),
                Action::RunCell(request) => {
                    let reason = "every action is an answer here".to_owned();
                    let result = Err(CellFailure { reason });
                    events.push_back(Event::CellFinished { ticket: request.ticket, result });
                }
                Action::CallTool(request) => {
                    let result = Err(ToolFailure { reason: "there are no other tools here".to_owned() });
                    events.push_back(Event::ToolFinished { ticket: request.ticket, result });
                }
                // No limit of time was recorded, and nothing is open while this waits.
                Action::ScheduleDeadline { .. } | Action::Abandon { .. } => {}
                Action::Finish(trajectory) => return *trajectory,
            }
        }
    }
    unreachable!("a loop whose every request is answered finishes")
}

/// What the policy wrote in this turn: a call that carries the action, because only a call carries any text as it is.
fn recorded(episode: &InterCodeEpisode, request: &SampleRequest) -> Event {
    let ticket = request.ticket;
    let Some(turn) = episode.turns.get(request.turn as usize) else {
        let reason = format!("{} turns were recorded", episode.turns.len());
        let failure = PolicyFailure { kind: PolicyFailureKind::Permanent, reason };
        return Event::PolicyFailed { ticket, failure };
    };
    let ToolForm { function, code_argument, .. } = ToolForm::default();
    let call = ToolCall {
        id: format!("turn-{}", request.turn),
        name: function,
        arguments: json!({ code_argument: turn.action }).to_string(),
    };
    let completion =
        Completion { tool_calls: vec![call], finish: FinishReason::ToolCalls, ..Completion::text("") };
    Event::Completion { ticket, completion }
}

fn spec(task: &InterCodeTask, episode: &InterCodeEpisode) -> RolloutSpec {
    let id = format!("intercode-python/{}", episode.task_index);
    let test_code = [&task.setup].into_iter().chain(&task.tests).map(String::as_str).collect::<Vec<_>>();
    let problem = Problem {
        id: ProblemId::new(id.as_str()),
        language: Some(LANGUAGE.into()),
        tests: Tests::Code { prefix: "".into(), context: "".into(), test_code: test_code.join("\n").into() },
        limits: LimitOverrides::default(),
        checker: Checker::Exact,
        files: Vec::new(),
    };
    let task = Task {
        id: TaskId::new(id.as_str()),
        messages: vec![Message::new(Role::User, task.query.as_str())],
        problem: Arc::new(problem),
    };
    let dialect = Dialect {
        form: ActionForm::ToolCall(ToolForm::default()),
        answer: AnswerRule::Command(SUBMIT.to_owned()),
        ..Dialect::fenced([LANGUAGE])
    };
    let turns_max = episode.turns_max;
    RolloutSpec {
        task: Arc::new(task),
        task_index: episode.task_index as u64,
        sample_index: 0,
        run_seed: 0,
        environment: Arc::new(EnvironmentConfig {
            code_means: CodeMeans::Answer,
            // Only turns are counted: one more than there are, so that the last turn ends as such.
            answers_max: turns_max.saturating_add(1),
            counted: CountedAnswer::Best,
            ..EnvironmentConfig::new(dialect)
        }),
        budget: Budget { turns_max, void_turns_max: turns_max, ..Budget::default() },
        retries: Retries { policy_attempts_max: NonZeroU32::MIN, ..Retries::default() },
        reward: RewardWeights::default(),
        stop: Vec::new(),
    }
}
