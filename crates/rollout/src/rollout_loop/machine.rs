//! The state machine: which event leads to which move.
//!
//! Owns the order of things (the moves themselves are next door): a turn is durable before the next begins, and at
//! most one request is open at a time. A turn that was not finished when the trajectory ended is not part of it: a
//! resumed loop samples it again with the same seed, so nothing is lost and nothing happens twice.

use std::sync::Arc;
use std::time::Duration;

use rollcage_judge::Blame;
use serde_json::{Map, Value};

use super::event::{
    Action, CellFailure, CellRequest, Event, PolicyFailure, PolicyFailureKind, Ticket, ToolFailure,
    ToolRequest,
};
use super::spec::{ResumeError, RolloutSpec};
use crate::budget::{Ledger, Remaining, StopReason};
use crate::completion::Completion;
use crate::environment::{Effect, Environment};
use crate::message::Message;
use crate::observation::{CellResult, ToolResult};
use crate::reward::JudgedAnswer;
use crate::trajectory::{Turn, TurnOutcome, TurnStage};

/// One trajectory in the making.
#[derive(Debug)]
pub struct RolloutLoop {
    pub(super) spec: RolloutSpec,
    pub(super) environment: Environment,
    pub(super) ledger: Ledger,
    pub(super) messages: Vec<Message>,
    pub(super) turns: Vec<Arc<Turn>>,
    /// Why the last turn ended the trajectory, or a cancellation that waits for a turn to be durable.
    pub(super) done: Option<StopReason>,
    pub(super) state: State,
    pub(super) tickets: u64,
}

/// What the loop waits for.
#[derive(Debug)]
pub(super) enum State {
    Start,
    Policy {
        ticket: Ticket,
        attempt: u32,
        tokens_max: u32,
        stage: TurnStage,
    },
    Cell {
        ticket: Ticket,
        draft: Draft,
        code: String,
        stdin: Option<String>,
    },
    Tool {
        ticket: Ticket,
        draft: Draft,
        name: String,
        arguments: Map<String, Value>,
    },
    Judge {
        ticket: Ticket,
        attempt: u32,
        draft: Draft,
        answer: String,
    },
    Store {
        turn: u32,
    },
    /// The judge, on code that was pending when the budget ended.
    LastJudge {
        ticket: Ticket,
        attempt: u32,
        answer: String,
        stop: StopReason,
    },
    Nothing,
}

/// A turn whose effect is not known yet.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) completion: Completion,
    pub(super) stage: TurnStage,
}

impl RolloutLoop {
    /// A trajectory that has not begun.
    pub fn new(spec: RolloutSpec) -> Self {
        let mut environment = Environment::new(Arc::clone(&spec.task), Arc::clone(&spec.environment));
        let messages = environment.reset();
        let mut ledger = Ledger::default();
        ledger.charge_messages(&messages);
        let (turns, done, state) = (Vec::new(), None, State::Start);
        Self { spec, environment, ledger, messages, turns, done, state, tickets: 0 }
    }

    /// A trajectory whose first turns are stored already. It goes on as if it had never stopped.
    pub fn resume(spec: RolloutSpec, turns: Vec<Arc<Turn>>) -> Result<Self, ResumeError> {
        let mut resumed = Self::new(spec);
        for (expected, turn) in (0..).zip(turns) {
            if turn.index != expected {
                return Err(ResumeError { expected, found: turn.index });
            }
            resumed.ledger.charge_completion(&turn.completion);
            resumed.done = resumed.observe(&turn.outcome);
            resumed.add(turn);
        }
        Ok(resumed)
    }

    /// The cells that were run, in order: what a session must have run before [`Event::Started`].
    pub fn cells(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.turns.iter().filter_map(|turn| match &turn.outcome {
            TurnOutcome::Ran { code, stdin, .. } => Some((code.as_str(), stdin.as_deref())),
            TurnOutcome::Called { .. }
            | TurnOutcome::Answered { .. }
            | TurnOutcome::Void { .. }
            | TurnOutcome::GaveUp => None,
        })
    }

    /// Whether [`Action::Finish`] was returned.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, State::Nothing)
    }

    /// Takes in one event at `now`, counted from any fixed moment. Events that nothing waits for are ignored.
    pub fn on_event(&mut self, now: Duration, event: Event) -> Vec<Action> {
        match event {
            Event::Started => self.on_started(now),
            Event::Completion { ticket, completion } => self.on_completion(now, ticket, completion),
            Event::PolicyFailed { ticket, failure } => self.on_policy_failed(now, ticket, failure),
            Event::CellFinished { ticket, result } => self.on_cell_finished(now, ticket, result),
            Event::ToolFinished { ticket, result } => self.on_tool_finished(now, ticket, result),
            Event::Judged { ticket, judged } => self.on_judged(now, ticket, judged),
            Event::Persisted { turn } => self.on_persisted(now, turn),
            Event::Deadline => self.on_deadline(now),
            Event::Cancel => self.on_cancel(now),
            Event::Failed { reason } => self.on_failed(now, reason),
        }
    }

    fn on_started(&mut self, now: Duration) -> Vec<Action> {
        let State::Start = self.state else { return Vec::new() };
        let elapsed_before = self.turns.last().map_or(Duration::ZERO, |turn| turn.elapsed);
        self.ledger.start(now, elapsed_before);
        let mut actions = vec![Action::ScheduleDeadline { at: self.ledger.deadline(&self.spec.budget) }];
        actions.extend(self.go_on(now));
        actions
    }

    fn on_completion(&mut self, now: Duration, from: Ticket, completion: Completion) -> Vec<Action> {
        let State::Policy { ticket, stage, .. } = self.state else { return Vec::new() };
        if ticket != from {
            return Vec::new();
        }
        self.ledger.charge_completion(&completion);
        let stage = match (stage, self.ledger.remaining(&self.spec.budget)) {
            (TurnStage::FinalAnswer, _) => TurnStage::FinalAnswer,
            (TurnStage::Ordinary | TurnStage::Last, Remaining::Nothing(_)) => TurnStage::Last,
            (TurnStage::Ordinary | TurnStage::Last, Remaining::Turn { .. }) => TurnStage::Ordinary,
        };
        let draft = Draft { completion, stage };
        match self.environment.step(&draft.completion, stage) {
            Effect::RunCell { code, stdin } => {
                let ticket = self.next_ticket();
                let request =
                    CellRequest { ticket, turn: self.turn(), code: code.clone(), stdin: stdin.clone() };
                self.state = State::Cell { ticket, draft, code, stdin };
                vec![Action::RunCell(request)]
            }
            Effect::CallTool { name, arguments } => {
                let ticket = self.next_ticket();
                let request = ToolRequest {
                    ticket,
                    turn: self.turn(),
                    name: name.clone(),
                    arguments: arguments.clone(),
                };
                self.state = State::Tool { ticket, draft, name, arguments };
                vec![Action::CallTool(request)]
            }
            Effect::Judge { answer } => {
                let (ticket, action) = self.judge(&answer);
                self.state = State::Judge { ticket, attempt: 1, draft, answer };
                vec![action]
            }
            Effect::Void(why) => self.complete_turn(now, draft, TurnOutcome::Void { why }),
            Effect::GiveUp => self.complete_turn(now, draft, TurnOutcome::GaveUp),
        }
    }

    fn on_policy_failed(&mut self, now: Duration, from: Ticket, failure: PolicyFailure) -> Vec<Action> {
        let State::Policy { ticket, attempt, tokens_max, stage } = self.state else { return Vec::new() };
        if ticket != from {
            return Vec::new();
        }
        match failure.kind {
            PolicyFailureKind::ContextLimit => self.conclude(now, StopReason::ContextLimit),
            PolicyFailureKind::Transient if attempt < self.spec.retries.policy_attempts_max.get() => {
                let not_before = now + self.spec.retries.wait_after(attempt);
                vec![self.sample(not_before, attempt + 1, tokens_max, stage)]
            }
            PolicyFailureKind::Transient | PolicyFailureKind::Permanent => {
                self.finish(now, StopReason::PolicyFailed, Some(failure.reason))
            }
        }
    }

    fn on_cell_finished(
        &mut self,
        now: Duration,
        from: Ticket,
        result: Result<CellResult, CellFailure>,
    ) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Nothing) {
            State::Cell { ticket, draft, code, stdin } if ticket == from => match result {
                Ok(cell) => self.complete_turn(now, draft, TurnOutcome::Ran { code, stdin, cell }),
                Err(failure) => self.finish(now, StopReason::Infrastructure, Some(failure.reason)),
            },
            other @ (State::Start
            | State::Policy { .. }
            | State::Cell { .. }
            | State::Tool { .. }
            | State::Judge { .. }
            | State::Store { .. }
            | State::LastJudge { .. }
            | State::Nothing) => self.stay(other),
        }
    }

    fn on_tool_finished(
        &mut self,
        now: Duration,
        from: Ticket,
        result: Result<ToolResult, ToolFailure>,
    ) -> Vec<Action> {
        match std::mem::replace(&mut self.state, State::Nothing) {
            State::Tool { ticket, draft, name, arguments } if ticket == from => match result {
                Ok(result) => self.complete_turn(now, draft, TurnOutcome::Called { name, arguments, result }),
                Err(failure) => self.finish(now, StopReason::Infrastructure, Some(failure.reason)),
            },
            other @ (State::Start
            | State::Policy { .. }
            | State::Cell { .. }
            | State::Tool { .. }
            | State::Judge { .. }
            | State::Store { .. }
            | State::LastJudge { .. }
            | State::Nothing) => self.stay(other),
        }
    }

    fn on_judged(&mut self, now: Duration, from: Ticket, judged: JudgedAnswer) -> Vec<Action> {
        let failure = our_failure(&judged);
        let attempts_max = self.spec.retries.judge_attempts_max.get();
        match std::mem::replace(&mut self.state, State::Nothing) {
            State::Judge { ticket, attempt, draft, answer } if ticket == from => match failure {
                None => self.complete_turn(now, draft, TurnOutcome::Answered { answer, judged }),
                Some(OurFailure { retryable: true, .. }) if attempt < attempts_max => {
                    let (ticket, action) = self.judge(&answer);
                    self.state = State::Judge { ticket, attempt: attempt + 1, draft, answer };
                    vec![action]
                }
                Some(failure) => self.finish(now, StopReason::Infrastructure, Some(failure.reason)),
            },
            State::LastJudge { ticket, attempt, answer, stop } if ticket == from => match failure {
                None => {
                    self.environment.take_pending_answer(&judged);
                    self.finish(now, stop, None)
                }
                Some(OurFailure { retryable: true, .. }) if attempt < attempts_max => {
                    let (ticket, action) = self.judge(&answer);
                    self.state = State::LastJudge { ticket, attempt: attempt + 1, answer, stop };
                    vec![action]
                }
                Some(failure) => self.finish(now, StopReason::Infrastructure, Some(failure.reason)),
            },
            other @ (State::Start
            | State::Policy { .. }
            | State::Cell { .. }
            | State::Tool { .. }
            | State::Judge { .. }
            | State::Store { .. }
            | State::LastJudge { .. }
            | State::Nothing) => self.stay(other),
        }
    }

    fn on_persisted(&mut self, now: Duration, stored: u32) -> Vec<Action> {
        match self.state {
            State::Store { turn } if turn == stored => self.go_on(now),
            State::Start
            | State::Policy { .. }
            | State::Cell { .. }
            | State::Tool { .. }
            | State::Judge { .. }
            | State::Store { .. }
            | State::LastJudge { .. }
            | State::Nothing => Vec::new(),
        }
    }

    /// An answer that is being judged was given in time, and judging has limits of its own.
    fn on_deadline(&mut self, now: Duration) -> Vec<Action> {
        let (State::Policy { ticket, .. } | State::Cell { ticket, .. } | State::Tool { ticket, .. }) =
            self.state
        else {
            return Vec::new();
        };
        let at = self.ledger.deadline(&self.spec.budget);
        if now < at {
            return vec![Action::ScheduleDeadline { at }];
        }
        let mut actions = vec![Action::Abandon { ticket }];
        actions.extend(self.conclude(now, StopReason::WallTime));
        actions
    }

    fn on_cancel(&mut self, now: Duration) -> Vec<Action> {
        match self.state {
            // The turn is on its way to the store: what is stored and what is reported must agree. If it ends
            // the trajectory anyway, there is nothing left to cancel.
            State::Store { .. } => {
                self.done = self.done.or(Some(StopReason::Cancelled));
                Vec::new()
            }
            State::Start
            | State::Policy { .. }
            | State::Cell { .. }
            | State::Tool { .. }
            | State::Judge { .. }
            | State::LastJudge { .. }
            | State::Nothing => self.stop_short(now, StopReason::Cancelled, None),
        }
    }

    fn on_failed(&mut self, now: Duration, reason: String) -> Vec<Action> {
        if let State::Store { .. } = self.state {
            // It is not stored, so neither it nor its answer is part of the trajectory.
            self.turns.pop();
            self.environment.reset();
            for turn in &self.turns {
                self.environment.observe(&turn.outcome);
            }
        }
        self.stop_short(now, StopReason::Infrastructure, Some(reason))
    }

    fn stay(&mut self, state: State) -> Vec<Action> {
        self.state = state;
        Vec::new()
    }
}

/// A judgement that says nothing about the answer.
struct OurFailure {
    reason: String,
    retryable: bool,
}

fn our_failure(judged: &JudgedAnswer) -> Option<OurFailure> {
    match judged {
        JudgedAnswer::Scored { .. } => None,
        JudgedAnswer::Unscorable(why) => match why.blame {
            Blame::Problem => None,
            Blame::Infrastructure => {
                Some(OurFailure { reason: why.reason.clone(), retryable: why.retryable })
            }
        },
    }
}
