//! What the loop does of its own accord: completing a turn, beginning the next, ending.
//!
//! Owns the moves between states; which event leads to which move is the machine's.

use std::sync::Arc;
use std::time::Duration;

use super::event::{Action, JudgeRequest, SampleRequest, Ticket};
use super::machine::{Draft, RolloutLoop, State};
use crate::budget::{Remaining, StopReason, reminder};
use crate::group::turn_seed;
use crate::trajectory::{Trajectory, Turn, TurnOutcome, TurnStage, trajectory_reward};

impl RolloutLoop {
    /// Ends at once, whatever is open.
    pub(super) fn stop_short(
        &mut self,
        now: Duration,
        stop: StopReason,
        failure: Option<String>,
    ) -> Vec<Action> {
        let open = match self.state {
            State::Nothing => return Vec::new(),
            State::Policy { ticket, .. }
            | State::Cell { ticket, .. }
            | State::Tool { ticket, .. }
            | State::Judge { ticket, .. }
            | State::LastJudge { ticket, .. } => Some(ticket),
            State::Start | State::Store { .. } => None,
        };
        let mut actions: Vec<Action> = open.map(|ticket| Action::Abandon { ticket }).into_iter().collect();
        actions.extend(self.finish(now, stop, failure));
        actions
    }

    /// Takes in an outcome and decides whether the trajectory ends with it.
    pub(super) fn observe(&mut self, outcome: &TurnOutcome) -> Option<StopReason> {
        let done = self.environment.observe(outcome);
        let too_many_voids = self.environment.void_turns_in_a_row() >= self.spec.budget.void_turns_max.get();
        done.or(too_many_voids.then_some(StopReason::VoidTurns))
    }

    pub(super) fn complete_turn(&mut self, now: Duration, draft: Draft, outcome: TurnOutcome) -> Vec<Action> {
        self.done = self.observe(&outcome);
        let Draft { completion, stage } = draft;
        let observation = if self.done.is_some() || stage == TurnStage::FinalAnswer {
            Vec::new()
        } else {
            let remaining = self.ledger.remaining(&self.spec.budget);
            let is_extra_turn_next = self.extra_turn(remaining).is_some();
            let reminder = reminder(self.spec.budget.reminders, remaining, is_extra_turn_next);
            self.environment.observation(&completion, &outcome, reminder.as_deref())
        };
        let (index, elapsed) = (self.turn(), self.ledger.elapsed(now));
        let turn = Arc::new(Turn { index, stage, completion, outcome, observation, elapsed });
        self.state = State::Store { turn: index };
        self.add(Arc::clone(&turn));
        vec![Action::Persist(turn)]
    }

    /// Adds a turn to the conversation; its completion is charged and its outcome observed already.
    pub(super) fn add(&mut self, turn: Arc<Turn>) {
        self.messages.push(turn.completion.to_message());
        self.messages.extend(turn.observation.iter().cloned());
        self.ledger.charge_messages(&turn.observation);
        self.turns.push(turn);
    }

    /// Begins the next turn, or ends. Everything before is durable.
    pub(super) fn go_on(&mut self, now: Duration) -> Vec<Action> {
        if let Some(stop) = self.done {
            return self.conclude(now, stop);
        }
        if now >= self.ledger.deadline(&self.spec.budget) {
            return self.conclude(now, StopReason::WallTime);
        }
        let remaining = self.ledger.remaining(&self.spec.budget);
        match remaining {
            Remaining::Turn { tokens_max, .. } => vec![self.sample(now, 1, tokens_max, TurnStage::Ordinary)],
            Remaining::Nothing(stop) => match self.extra_turn(remaining) {
                Some(tokens_max) => vec![self.sample(now, 1, tokens_max, TurnStage::FinalAnswer)],
                None => self.conclude(now, stop),
            },
        }
    }

    /// Tokens of the extra turn, if one follows now: turns or tokens are spent, nothing waits to be judged, and
    /// the last turn was not the extra one.
    fn extra_turn(&self, remaining: Remaining) -> Option<u32> {
        let is_spent =
            matches!(remaining, Remaining::Nothing(StopReason::TurnLimit | StopReason::TokenLimit));
        let was_granted = self.turns.last().is_some_and(|turn| turn.stage == TurnStage::FinalAnswer);
        let is_needed = is_spent && !was_granted && self.environment.pending_answer().is_none();
        if is_needed { self.ledger.final_tokens(&self.spec.budget) } else { None }
    }

    pub(super) fn sample(
        &mut self,
        not_before: Duration,
        attempt: u32,
        tokens_max: u32,
        stage: TurnStage,
    ) -> Action {
        let (ticket, turn) = (self.next_ticket(), self.turn());
        self.state = State::Policy { ticket, attempt, tokens_max, stage };
        Action::Sample(SampleRequest {
            ticket,
            turn,
            messages: self.messages.clone(),
            tokens_max,
            stop: self.spec.stop_sequences(),
            seed: turn_seed(self.spec.seed(), turn),
            not_before,
        })
    }

    pub(super) fn judge(&mut self, answer: &str) -> (Ticket, Action) {
        let ticket = self.next_ticket();
        (ticket, Action::Judge(JudgeRequest { ticket, turn: self.turn(), answer: answer.to_owned() }))
    }

    /// Ends for `stop`, after judging what the policy would have answered had it been asked.
    pub(super) fn conclude(&mut self, now: Duration, stop: StopReason) -> Vec<Action> {
        let asks_pending = match stop {
            StopReason::TurnLimit
            | StopReason::TokenLimit
            | StopReason::WallTime
            | StopReason::ContextLimit
            | StopReason::VoidTurns => true,
            StopReason::Answered
            | StopReason::PolicyStopped
            | StopReason::PolicyFailed
            | StopReason::Infrastructure
            | StopReason::Cancelled => false,
        };
        let pending = self.environment.pending_answer().filter(|_| asks_pending).map(str::to_owned);
        let Some(answer) = pending else { return self.finish(now, stop, None) };
        let (ticket, action) = self.judge(&answer);
        self.state = State::LastJudge { ticket, attempt: 1, answer, stop };
        vec![action]
    }

    pub(super) fn finish(&mut self, now: Duration, stop: StopReason, failure: Option<String>) -> Vec<Action> {
        let elapsed = match self.state {
            // The clock never ran.
            State::Start => self.turns.last().map_or(Duration::ZERO, |turn| turn.elapsed),
            State::Policy { .. }
            | State::Cell { .. }
            | State::Tool { .. }
            | State::Judge { .. }
            | State::Store { .. }
            | State::LastJudge { .. }
            | State::Nothing => self.ledger.elapsed(now),
        };
        self.state = State::Nothing;
        let turns = std::mem::take(&mut self.turns);
        let judged = self.environment.counted_answer().cloned();
        let reward = trajectory_reward(stop, failure.as_deref(), judged.as_ref(), &turns, self.spec.reward);
        vec![Action::Finish(Box::new(Trajectory {
            key: self.spec.key(),
            seed: self.spec.seed(),
            turns,
            stop,
            failure,
            judged,
            reward,
            elapsed,
        }))]
    }

    pub(super) fn turn(&self) -> u32 {
        u32::try_from(self.turns.len()).expect("turns are bounded by a u32 budget and one extra")
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}
