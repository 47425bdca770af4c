//! What a trajectory may spend, what it has spent, and what it is told about the rest.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::completion::Completion;
use crate::message::Message;

/// Whether a policy that ran out of turns or tokens may still say what its answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FinalAnswer {
    /// The limit is hard.
    #[default]
    None,
    /// One more turn, in which nothing is run and any code counts as the answer.
    ExtraTurn {
        /// Tokens it may write.
        tokens_max: u32,
    },
}

/// Whether observations say how many turns are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reminders {
    /// Only the last turn is announced.
    #[default]
    LastTurn,
    /// Every observation ends with the number.
    EveryTurn,
    /// Never.
    Never,
}

/// Bounds on one trajectory. Every field has a value: nothing is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Turns, a final answer's extra turn not included.
    pub turns_max: NonZeroU32,
    /// Tokens of one completion.
    pub turn_tokens_max: u32,
    /// Tokens of all completions together.
    pub completion_tokens_max: u32,
    /// Tokens of the conversation, prompt and next completion included: the model's window.
    pub context_tokens_max: u32,
    /// Time on the clock, waiting for servers included.
    pub wall_time: Duration,
    /// Turns without an action in a row that end the trajectory.
    pub void_turns_max: NonZeroU32,
    /// What is granted when turns or tokens are spent.
    pub final_answer: FinalAnswer,
    /// What observations say about turns.
    pub reminders: Reminders,
}

impl Default for Budget {
    /// Ten turns in a window every current model has.
    fn default() -> Self {
        const TURNS: NonZeroU32 = NonZeroU32::new(10).expect("10 is not 0");
        const VOIDS: NonZeroU32 = NonZeroU32::new(3).expect("3 is not 0");
        Self {
            turns_max: TURNS,
            turn_tokens_max: 4096,
            completion_tokens_max: 32_768,
            context_tokens_max: 32_768,
            wall_time: Duration::from_secs(1800),
            void_turns_max: VOIDS,
            final_answer: FinalAnswer::None,
            reminders: Reminders::LastTurn,
        }
    }
}

/// Why a trajectory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The policy gave an answer and may give no more, or needs to give no more.
    Answered,
    /// All turns were taken.
    TurnLimit,
    /// All completion tokens were written.
    TokenLimit,
    /// The clock ran out.
    WallTime,
    /// The conversation fills the model's window.
    ContextLimit,
    /// The policy gave up.
    PolicyStopped,
    /// Too many turns in a row held no action.
    VoidTurns,
    /// The policy's server failed and retrying did not help.
    PolicyFailed,
    /// We failed.
    Infrastructure,
    /// The caller ended it.
    Cancelled,
}

impl StopReason {
    /// Every reason, in the order reports print them.
    pub const ALL: [Self; 10] = [
        Self::Answered,
        Self::TurnLimit,
        Self::TokenLimit,
        Self::WallTime,
        Self::ContextLimit,
        Self::PolicyStopped,
        Self::VoidTurns,
        Self::PolicyFailed,
        Self::Infrastructure,
        Self::Cancelled,
    ];

    /// The name used in files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::TurnLimit => "turn_limit",
            Self::TokenLimit => "token_limit",
            Self::WallTime => "wall_time",
            Self::ContextLimit => "context_limit",
            Self::PolicyStopped => "policy_stopped",
            Self::VoidTurns => "void_turns",
            Self::PolicyFailed => "policy_failed",
            Self::Infrastructure => "infrastructure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a budget leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// Another turn.
    Turn {
        /// Tokens its completion may have.
        tokens_max: u32,
        /// Turns left, this one included.
        turns_left: u32,
    },
    /// None.
    Nothing(StopReason),
}

/// Estimated bytes per token where nobody counted. English and code average nearer 4; 3 errs towards stopping
/// early instead of being refused by the server.
const TOKEN_BYTES_ESTIMATE: usize = 3;

/// What a trajectory has spent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    turns: u32,
    completion_tokens: u32,
    context_tokens: u32,
    started_at: Duration,
    elapsed_before: Duration,
}

impl Ledger {
    /// Starts the clock; `elapsed_before` was spent before an interruption.
    pub fn start(&mut self, now: Duration, elapsed_before: Duration) {
        self.started_at = now;
        self.elapsed_before = elapsed_before;
    }

    /// Time spent.
    pub fn elapsed(&self, now: Duration) -> Duration {
        self.elapsed_before + now.saturating_sub(self.started_at)
    }

    /// When the clock runs out.
    pub fn deadline(&self, budget: &Budget) -> Duration {
        self.started_at + budget.wall_time.saturating_sub(self.elapsed_before)
    }

    /// Tokens of all completions.
    pub fn completion_tokens(&self) -> u32 {
        self.completion_tokens
    }

    /// Charges messages that no server has counted yet.
    pub fn charge_messages(&mut self, messages: &[Message]) {
        let bytes = messages.iter().map(|message| message.content.len()).sum();
        self.context_tokens = self.context_tokens.saturating_add(estimated_tokens(bytes));
    }

    /// Charges a turn with its completion, by the server's count where there is one.
    pub fn charge_completion(&mut self, completion: &Completion) {
        let (context, written) = match completion.usage {
            Some(usage) => (usage.prompt, usage.completion),
            None => (self.context_tokens, estimated_tokens(completion.bytes())),
        };
        self.turns = self.turns.saturating_add(1);
        self.completion_tokens = self.completion_tokens.saturating_add(written);
        self.context_tokens = context.saturating_add(written);
    }

    /// What is left, time aside.
    pub fn remaining(&self, budget: &Budget) -> Remaining {
        let turns_left = budget.turns_max.get().saturating_sub(self.turns);
        let tokens_left = budget.completion_tokens_max.saturating_sub(self.completion_tokens);
        let context_left = self.context_left(budget);
        if turns_left == 0 {
            Remaining::Nothing(StopReason::TurnLimit)
        } else if tokens_left == 0 {
            Remaining::Nothing(StopReason::TokenLimit)
        } else if context_left == 0 {
            Remaining::Nothing(StopReason::ContextLimit)
        } else {
            let tokens_max = budget.turn_tokens_max.min(tokens_left).min(context_left);
            Remaining::Turn { tokens_max, turns_left }
        }
    }

    /// Tokens the extra turn may have, or `None` where the budget grants none.
    pub fn final_tokens(&self, budget: &Budget) -> Option<u32> {
        match budget.final_answer {
            FinalAnswer::None => None,
            FinalAnswer::ExtraTurn { tokens_max } => {
                Some(tokens_max.min(self.context_left(budget))).filter(|tokens| *tokens > 0)
            }
        }
    }

    fn context_left(&self, budget: &Budget) -> u32 {
        budget.context_tokens_max.saturating_sub(self.context_tokens)
    }
}

/// What an observation says about what is left.
pub fn reminder(reminders: Reminders, remaining: Remaining, is_extra_turn_next: bool) -> Option<String> {
    match (reminders, remaining) {
        (Reminders::Never, _) => None,
        (_, Remaining::Nothing(_)) => is_extra_turn_next
            .then(|| "No code can be run any more: this message is for your final answer.".to_owned()),
        (_, Remaining::Turn { turns_left: 1, .. }) => Some("1 turn left: this is the last.".to_owned()),
        (Reminders::EveryTurn, Remaining::Turn { turns_left, .. }) => {
            Some(format!("{turns_left} turns left."))
        }
        (Reminders::LastTurn, Remaining::Turn { .. }) => None,
    }
}

fn estimated_tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(TOKEN_BYTES_ESTIMATE)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completion::TokenUsage;
    use crate::message::Role;

    fn completion(prompt: u32, written: u32) -> Completion {
        Completion { usage: Some(TokenUsage { prompt, completion: written }), ..Completion::text("") }
    }

    #[test]
    fn each_limit_stops_by_its_name() {
        let budget = Budget {
            turns_max: NonZeroU32::new(2).unwrap(),
            turn_tokens_max: 50,
            completion_tokens_max: 100,
            context_tokens_max: 1000,
            ..Budget::default()
        };
        let check = |spent: &[(u32, u32)], expected: Remaining| {
            let mut ledger = Ledger::default();
            for (prompt, written) in spent {
                ledger.charge_completion(&completion(*prompt, *written));
            }
            assert_eq!(ledger.remaining(&budget), expected, "{spent:?}");
        };
        check(&[], Remaining::Turn { tokens_max: 50, turns_left: 2 });
        check(&[(10, 70)], Remaining::Turn { tokens_max: 30, turns_left: 1 });
        check(&[(980, 10)], Remaining::Turn { tokens_max: 10, turns_left: 1 });
        check(&[(10, 100)], Remaining::Nothing(StopReason::TokenLimit));
        check(&[(990, 10)], Remaining::Nothing(StopReason::ContextLimit));
        check(&[(10, 1), (10, 1)], Remaining::Nothing(StopReason::TurnLimit));
    }

    #[test]
    fn the_extra_turn_fits_the_window() {
        let budget = Budget {
            context_tokens_max: 100,
            final_answer: FinalAnswer::ExtraTurn { tokens_max: 64 },
            ..Budget::default()
        };
        let mut ledger = Ledger::default();
        assert_eq!(ledger.final_tokens(&budget), Some(64));
        ledger.charge_completion(&completion(80, 10));
        assert_eq!(ledger.final_tokens(&budget), Some(10));
        ledger.charge_messages(&[Message::new(Role::User, "x".repeat(300))]);
        assert_eq!(ledger.final_tokens(&budget), None);
    }

    #[test]
    fn time_before_an_interruption_counts() {
        let budget = Budget { wall_time: Duration::from_secs(60), ..Budget::default() };
        let mut ledger = Ledger::default();
        ledger.start(Duration::from_secs(1000), Duration::from_secs(20));
        assert_eq!(ledger.deadline(&budget), Duration::from_secs(1040));
        assert_eq!(ledger.elapsed(Duration::from_secs(1005)), Duration::from_secs(25));
    }

    #[test]
    fn reminders_count_down() {
        let left = |turns_left| Remaining::Turn { tokens_max: 1, turns_left };
        let check = |reminders, remaining, is_extra, expected: Option<&str>| {
            assert_eq!(reminder(reminders, remaining, is_extra).as_deref(), expected);
        };
        check(Reminders::EveryTurn, left(3), false, Some("3 turns left."));
        check(Reminders::LastTurn, left(3), false, None);
        check(Reminders::LastTurn, left(1), false, Some("1 turn left: this is the last."));
        check(Reminders::Never, left(1), false, None);
        check(Reminders::LastTurn, Remaining::Nothing(StopReason::TurnLimit), false, None);
    }
}
