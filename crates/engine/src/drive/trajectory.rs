//! One trajectory: the requests of a [`RolloutLoop`], performed.
//!
//! Owns the clock of one trajectory and the rule that a turn is in the store before anything follows it. At most
//! one request is open at a time; abandoning it is dropping it, which ends its cage or its connection.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rollcage_api::{TrajectoryRecord, TurnRecord};
use rollcage_judge::{Disclosure, JudgeOptions};
use rollcage_rollout::{
    Action, CellFailure, CellRequest, Event, JudgeRequest, JudgedAnswer, PolicyFailure, PolicyFailureKind,
    Reward, RolloutLoop, RolloutSpec, SampleRequest, StopReason, ToolFailure, ToolRequest, Trajectory,
    TrajectoryReward, Turn, TurnOutcome,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::engine::{Engine, Spent};
use super::error_chain::error_chain;
use super::hook::RewardFailure;
use super::judge::judge;
use super::plan::{RolloutPlan, TaskInLanguage};
use super::rollout::{Progress, RolloutProgress};
use super::rollout_hooks::RolloutHooks;
use super::session_cells::{CellTrouble, Conversation, open_session};
use super::stop::Stop;
use super::turn_records;
use crate::policy::{PolicyError, PolicyRequest, Sampling};
use crate::store::{Store, StoreError};

/// What all trajectories of a run share.
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) plan: Arc<RolloutPlan>,
    pub(super) hooks: RolloutHooks,
    pub(super) store: Arc<Store>,
    pub(super) run_id: String,
    pub(super) stop: Stop,
    pub(super) progress: Progress,
}

/// How one trajectory ended.
pub(super) struct Ended {
    pub(super) trajectory: Trajectory,
    /// Whether it is stored as finished. Otherwise its turns are, and it can be resumed.
    pub(super) is_stored: bool,
    /// Whether a hook failed to say what it earned.
    pub(super) is_reward_lost: bool,
    /// What the user can do about its failure.
    pub(super) hint: Option<&'static str>,
}

/// The answer to an open request: what the loop is told, and what the driver notes.
struct Answer {
    event: Event,
    spent: Spent,
    /// Set where the request failed.
    trouble: Option<Trouble>,
}

/// What a driver notes of a request that failed; what the loop is told of it is the event's.
#[derive(Clone, Copy)]
struct Trouble {
    /// Whether the reason may be gone when the run is resumed.
    may_pass: bool,
    /// What the user can do about it.
    hint: Option<&'static str>,
}

type Open = Pin<Box<dyn Future<Output = Answer> + Send>>;

struct Driver {
    shared: Arc<Shared>,
    task: TaskInLanguage,
    sample: u32,
    machine: RolloutLoop,
    begun: TrajectoryRecord,
    session: Arc<Mutex<Conversation>>,
    started: Instant,
    deadline: Option<Instant>,
    open: Option<Open>,
    /// Of the turn in the making.
    spent: Spent,
    /// Of the last answer.
    trouble: Option<Trouble>,
}

/// Carries one trajectory to its end. `turns` are those already stored; `Err` means that the store failed.
pub(super) async fn drive(
    shared: Arc<Shared>,
    task_index: usize,
    sample_index: u32,
    turns: Option<Vec<Turn>>,
) -> Result<Ended, StoreError> {
    let task = shared.plan.tasks[task_index].clone();
    let spec = RolloutSpec {
        task: Arc::clone(&task.task),
        task_index: task_index as u64,
        sample_index,
        run_seed: shared.plan.seed,
        environment: Arc::clone(&shared.hooks.environments[task_index]),
        budget: shared.plan.budget,
        retries: shared.plan.retries,
        reward: shared.plan.reward,
        stop: Vec::new(),
    };
    let begun = turn_records::begun(&shared.run_id, &spec, &task.language.name);
    // Also on resume: a trajectory is stored as begun exactly once, whoever died between the two.
    shared.store.begin_trajectory(&begun).await?;
    let seed = spec.seed();
    let stored: Vec<Arc<Turn>> = turns.unwrap_or_default().into_iter().map(Arc::new).collect();
    let machine = RolloutLoop::resume(spec.clone(), stored.clone());
    let plan = &shared.plan;
    let session =
        open_session(&task.language, plan.session, seed, &plan.cell_limits, &task.task.problem.files);
    let (machine, session) = match (machine, session) {
        (Ok(machine), Ok(session)) => (machine, session),
        (Err(error), _) => return fail(&shared, &begun, spec, error_chain(&error)).await,
        (_, Err(error)) => return fail(&shared, &begun, spec, error_chain(&error)).await,
    };
    let driver = Driver {
        task,
        sample: sample_index,
        machine,
        begun,
        session: Arc::new(Mutex::new(session)),
        started: Instant::now(),
        deadline: None,
        open: None,
        spent: Spent::default(),
        trouble: None,
        shared,
    };
    driver.run(stored).await
}

/// A trajectory that cannot even begin: it ends at once, without a number.
async fn fail(
    shared: &Shared,
    begun: &TrajectoryRecord,
    spec: RolloutSpec,
    reason: String,
) -> Result<Ended, StoreError> {
    let actions = RolloutLoop::new(spec).on_event(std::time::Duration::ZERO, Event::Failed { reason });
    let finished = actions.into_iter().find_map(|action| match action {
        Action::Finish(trajectory) => Some(*trajectory),
        Action::Sample(_)
        | Action::RunCell(_)
        | Action::CallTool(_)
        | Action::Judge(_)
        | Action::Persist(_)
        | Action::ScheduleDeadline { .. }
        | Action::Abandon { .. } => None,
    });
    let trajectory = finished.expect("a loop that is told of a failure finishes");
    shared.store.finish_trajectory(&turn_records::finished(begun, &trajectory, BTreeMap::new())).await?;
    Ok(Ended { trajectory, is_stored: true, is_reward_lost: false, hint: None })
}

impl Driver {
    async fn run(mut self, stored: Vec<Arc<Turn>>) -> Result<Ended, StoreError> {
        // Nothing of ours outlives the process, so cells that were run are run again; their time is not charged.
        let replayed = tokio::select! {
            replayed = replay(&self.shared.engine, &self.session, &stored) => replayed,
            () = self.shared.stop.requested() => Ok(()),
        };
        let first = match replayed {
            Ok(()) if self.shared.stop.is_requested() => Event::Cancel,
            Ok(()) => Event::Started,
            Err(CellTrouble { reason, may_pass }) => {
                self.trouble = Some(Trouble { may_pass, hint: None });
                Event::Failed { reason }
            }
        };
        self.started = Instant::now();
        let mut next = Some(first);
        let mut is_cancel_sent = false;
        loop {
            let event = match next.take() {
                Some(event) => event,
                None => self.wait(&mut is_cancel_sent).await,
            };
            for action in self.machine.on_event(self.started.elapsed(), event) {
                match action {
                    Action::Sample(request) => self.open = Some(self.sample(request)),
                    Action::RunCell(request) => self.open = Some(self.run_cell(request)),
                    Action::CallTool(request) => self.open = Some(self.call_tool(request)),
                    Action::Judge(request) => self.open = Some(self.judge(request)),
                    Action::Abandon { ticket: _ } => self.open = None,
                    Action::ScheduleDeadline { at } => self.deadline = Some(self.started + at),
                    Action::Persist(turn) => next = Some(self.persist(&turn).await?),
                    Action::Finish(trajectory) => return self.finish(*trajectory).await,
                }
            }
        }
    }

    /// The next thing that happens.
    async fn wait(&mut self, is_cancel_sent: &mut bool) -> Event {
        let answer = async {
            match &mut self.open {
                Some(open) => open.await,
                None => std::future::pending().await,
            }
        };
        let deadline = async {
            match self.deadline {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let cancel = async {
            if *is_cancel_sent { std::future::pending().await } else { self.shared.stop.requested().await }
        };
        tokio::select! {
            // What is there already counts, whatever else has come: a paid completion is not thrown away.
            biased;
            answer = answer => {
                self.open = None;
                self.spent += answer.spent;
                self.trouble = answer.trouble;
                answer.event
            }
            () = cancel => {
                *is_cancel_sent = true;
                Event::Cancel
            }
            () = deadline => {
                // The loop asks for another if this one was early.
                self.deadline = None;
                Event::Deadline
            }
        }
    }

    fn sample(&self, request: SampleRequest) -> Open {
        let (shared, task) = (Arc::clone(&self.shared), Arc::clone(&self.task.task));
        let (sample, not_before) = (self.sample, self.started + request.not_before);
        Box::pin(async move {
            let asked = Instant::now();
            sleep_until(not_before).await;
            let sampling = Sampling {
                max_tokens: request.tokens_max,
                stop: request.stop,
                ..shared.plan.sampling.clone()
            };
            let reply = shared
                .plan
                .policy
                .complete(PolicyRequest {
                    task_id: &task.id,
                    sample,
                    turn: request.turn,
                    messages: &request.messages,
                    sampling: &sampling,
                    seed: Some(request.seed),
                    tools: &shared.hooks.functions,
                })
                .await;
            let spent = Spent { policy: asked.elapsed(), ..Spent::default() };
            let ticket = request.ticket;
            match reply {
                Ok(reply) => {
                    let event = Event::Completion { ticket, completion: reply.completion };
                    Answer { event, spent, trouble: None }
                }
                Err(error) => {
                    let failure = policy_failure(&error);
                    let may_pass = failure.kind == PolicyFailureKind::Transient;
                    let trouble = Some(Trouble { may_pass, hint: Some(error.hint()) });
                    Answer { event: Event::PolicyFailed { ticket, failure }, spent, trouble }
                }
            }
        })
    }

    fn run_cell(&self, request: CellRequest) -> Open {
        let (engine, session) = (self.shared.engine.clone(), Arc::clone(&self.session));
        Box::pin(async move {
            let mut spent = Spent::default();
            let mut session = session.lock().await;
            let CellRequest { ticket, turn: _, code, stdin } = request;
            match session.run(&engine, &code, stdin.as_deref(), &mut spent).await {
                Ok(cell) => {
                    Answer { event: Event::CellFinished { ticket, result: Ok(cell) }, spent, trouble: None }
                }
                Err(CellTrouble { reason, may_pass }) => {
                    let result = Err(CellFailure { reason });
                    let trouble = Some(Trouble { may_pass, hint: None });
                    Answer { event: Event::CellFinished { ticket, result }, spent, trouble }
                }
            }
        })
    }

    fn call_tool(&self, request: ToolRequest) -> Open {
        let hook = self.shared.hooks.tools.clone().expect("only the tools of a hook are called");
        let (task, trajectory_id) = (self.task.task.id.to_string(), self.begun.id.clone());
        Box::pin(async move {
            let asked = Instant::now();
            let ToolRequest { ticket, turn, name, arguments } = request;
            let result = hook.call_tool(&name, &arguments, &task, &trajectory_id, turn).await;
            let trouble = result
                .as_ref()
                .err()
                .map(|error| Trouble { may_pass: error.is_of_hook(), hint: Some(error.hint()) });
            let result = result.map_err(|error| ToolFailure { reason: error.to_string() });
            let spent = Spent { run: asked.elapsed(), ..Spent::default() };
            Answer { event: Event::ToolFinished { ticket, result }, spent, trouble }
        })
    }

    fn judge(&self, request: JudgeRequest) -> Open {
        let (engine, task) = (self.shared.engine.clone(), self.task.clone());
        Box::pin(async move {
            let JudgeRequest { ticket, turn: _, answer } = request;
            let options = JudgeOptions::default();
            let judged = judge(&engine, &task.task.problem, &task.language, &answer, options).await;
            // A policy may read the reason, so it says nothing of what was expected.
            let answer = JudgedAnswer::from_judgement(&judged.judgement, Disclosure::OwnOutput);
            let trouble = match &answer {
                JudgedAnswer::Scored { .. } => None,
                JudgedAnswer::Unscorable(why) => Some(Trouble { may_pass: why.retryable, hint: None }),
            };
            Answer { event: Event::Judged { ticket, judged: answer }, spent: judged.spent, trouble }
        })
    }

    async fn persist(&mut self, turn: &Turn) -> Result<Event, StoreError> {
        let timings = turn_records::timings(std::mem::take(&mut self.spent));
        self.shared.store.append_turn(&TurnRecord::new(&self.begun.id, turn, &timings)).await?;
        (self.shared.progress)(&RolloutProgress::TurnStored {
            trajectory_id: &self.begun.id,
            turn: turn.index,
        });
        Ok(Event::Persisted { turn: turn.index })
    }

    /// Stores the end, unless it is one that a resumed run may turn into a better one.
    async fn finish(mut self, mut trajectory: Trajectory) -> Result<Ended, StoreError> {
        let rewarded = self.ask_reward(&mut trajectory).await;
        let is_stored = match trajectory.stop {
            _ if !rewarded.is_final => false,
            StopReason::Cancelled => false,
            StopReason::PolicyFailed | StopReason::Infrastructure => {
                !self.trouble.is_some_and(|trouble| trouble.may_pass)
            }
            StopReason::Answered
            | StopReason::TurnLimit
            | StopReason::TokenLimit
            | StopReason::WallTime
            | StopReason::ContextLimit
            | StopReason::PolicyStopped
            | StopReason::VoidTurns => true,
        };
        if let Some(failure) = &trajectory.failure {
            tracing::info!(
                trajectory = self.begun.id,
                stop = trajectory.stop.as_str(),
                ?failure,
                "trajectory failed"
            );
        }
        if is_stored {
            let record = turn_records::finished(&self.begun, &trajectory, rewarded.parts);
            self.shared.store.finish_trajectory(&record).await?;
        }
        let hint = self.trouble.and_then(|trouble| trouble.hint);
        Ok(Ended { trajectory, is_stored, is_reward_lost: rewarded.is_lost, hint })
    }

    /// Has the reward hook, if there is one, say what a trajectory earned for whose end the policy is answerable. If it
    /// cannot, there is no number.
    async fn ask_reward(&mut self, trajectory: &mut Trajectory) -> Rewarded {
        let mut rewarded = Rewarded { parts: BTreeMap::new(), is_lost: false, is_final: true };
        let (hook, weights) = match (&self.shared.hooks.reward, &trajectory.reward) {
            (Some(hook), TrajectoryReward::Scored(_)) => (Arc::clone(hook), self.shared.plan.reward),
            (Some(_), TrajectoryReward::Unscorable { .. }) | (None, _) => return rewarded,
        };
        let (task, meta) = (&self.task.task, &self.task.meta);
        let reply = tokio::select! {
            biased;
            reply = hook.reward(&self.begun.id, task, trajectory, meta) => Some(reply),
            () = self.shared.stop.requested() => None,
        };
        let outcome = match reply {
            Some(Ok(own)) => {
                rewarded.parts = own.parts;
                Ok(own.reward)
            }
            Some(Err(failure)) => {
                if let RewardFailure::Failed(error) = &failure {
                    rewarded.is_lost = true;
                    rewarded.is_final = !error.is_of_hook();
                    self.trouble = Some(Trouble { may_pass: error.is_of_hook(), hint: Some(error.hint()) });
                }
                trajectory.failure = Some(failure.to_string());
                Err(failure.to_string())
            }
            // Its turns are stored, so that a resumed run asks again.
            None => {
                rewarded.is_final = false;
                Err("the run was stopped before the reward hook answered".to_owned())
            }
        };
        trajectory.reward = trajectory.reward.clone().with_outcome(weights, outcome);
        rewarded
    }
}

/// What a reward hook left.
struct Rewarded {
    /// What the reward is made of.
    parts: BTreeMap<String, Reward>,
    /// Whether the hook failed.
    is_lost: bool,
    /// Whether asking again would come to the same.
    is_final: bool,
}

/// Runs the cells of stored turns again, and confirms that each ended as it had.
async fn replay(
    engine: &Engine,
    session: &Mutex<Conversation>,
    stored: &[Arc<Turn>],
) -> Result<(), CellTrouble> {
    let mut session = session.lock().await;
    // Where cells run alone there is nothing to rebuild.
    if session.language().session.is_none() {
        return Ok(());
    }
    for turn in stored {
        let TurnOutcome::Ran { code, stdin, cell } = &turn.outcome else { continue };
        let again = session.run(engine, code, stdin.as_deref(), &mut Spent::default()).await?;
        if again.termination != cell.termination {
            return Err(CellTrouble {
                reason: format!(
                    "the cell of turn {} ended otherwise when it was run again: {:?}, then {:?}",
                    turn.index, cell.termination, again.termination
                ),
                // A cell that ran out of time says more about the host's load than about itself.
                may_pass: again.termination.is_out_of_time(),
            });
        }
    }
    Ok(())
}

fn policy_failure(error: &PolicyError) -> PolicyFailure {
    let kind = if error.is_context_limit() {
        PolicyFailureKind::ContextLimit
    } else if error.is_retryable() {
        PolicyFailureKind::Transient
    } else {
        PolicyFailureKind::Permanent
    };
    PolicyFailure { kind, reason: error_chain(error) }
}
