//! Multi-turn environments, code extraction, budgets and the loop, as values in and values out.
//!
//! Owns what a conversation between a policy and an interpreter is: how actions are written ([`Dialect`]), what
//! they mean ([`Environment`]), what is read of their effects ([`ObservationStyle`]), what may be spent
//! ([`Budget`]), in which order things happen ([`RolloutLoop`]) and what is kept ([`Trajectory`]). Sampling,
//! running, judging and storing are asked for and done by a driver.
//!
//! Time is a [`Duration`](std::time::Duration) since any fixed moment, passed in.
#![forbid(unsafe_code)]

mod budget;
mod completion;
mod environment;
mod extract;
mod group;
mod message;
mod observation;
mod reward;
mod rollout_loop;
mod task;
mod trajectory;

pub use budget::{Budget, FinalAnswer, Ledger, Remaining, Reminders, StopReason, reminder};
pub use completion::{Completion, FinishReason, SampledTokens, TokenUsage};
pub use environment::{CodeMeans, CountedAnswer, Effect, Environment, EnvironmentConfig};
pub use extract::{
    ActionForm, AnswerRule, Dialect, ExtractionRule, FencedBlock, Intent, NoCode, Pick, ToolForm, VoidReason,
    choose_block, fenced_blocks, truncate_at_stop,
};
pub use group::{GroupError, RolloutGroup, sample_seed, turn_seed};
pub use message::{Message, Role, ToolCall};
pub use observation::{CellResult, Envelope, Feedback, ObservationStyle, SessionState, ToolResult, cut_text};
pub use reward::{JudgedAnswer, Reward, RewardError, RewardParts, RewardWeights, TrajectoryReward};
pub use rollout_loop::{
    Action, CellFailure, CellRequest, Event, JudgeRequest, PolicyFailure, PolicyFailureKind, ResumeError,
    Retries, RolloutLoop, RolloutSpec, SampleRequest, Ticket, ToolFailure, ToolRequest,
};
pub use task::Task;
pub use trajectory::{Trajectory, TrajectoryKey, Turn, TurnOutcome, TurnStage, trajectory_reward};
