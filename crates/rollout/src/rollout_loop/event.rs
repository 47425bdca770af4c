//! What the loop is told and what it asks for.
//!
//! Every request carries a [`Ticket`] and every answer returns it. An answer whose ticket is not the one the
//! loop waits for is ignored, so a driver may deliver late answers of abandoned work without care.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::completion::Completion;
use crate::message::Message;
use crate::observation::{CellResult, ToolResult};
use crate::reward::JudgedAnswer;
use crate::trajectory::{Trajectory, Turn};

/// Ties an answer to its request. Never used twice by one loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);

/// What a policy's server did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyFailureKind {
    /// Trying again may help: it was busy, unreachable, or broke off.
    Transient,
    /// Trying again cannot help: it refuses the request.
    Permanent,
    /// It says that the conversation does not fit the model's window.
    ContextLimit,
}

/// A request to the policy that brought no completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFailure {
    /// What kind of failure.
    pub kind: PolicyFailureKind,
    /// What went wrong, causes included.
    pub reason: String,
}

/// A cell that we could not run. What its program did is never one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellFailure {
    /// What went wrong, causes included.
    pub reason: String,
}

/// A tool call that could not be carried out. That a tool says no is never one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFailure {
    /// What went wrong, causes included.
    pub reason: String,
}

/// What the loop is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The session is open, on resume with the cells of [`RolloutLoop::cells`](super::RolloutLoop::cells) run
    /// again. The first event; everything before it but [`Event::Failed`] and [`Event::Cancel`] is ignored.
    Started,
    /// The policy has written.
    Completion {
        /// Of the [`SampleRequest`].
        ticket: Ticket,
        /// What it wrote.
        completion: Completion,
    },
    /// The policy's server failed.
    PolicyFailed {
        /// Of the [`SampleRequest`].
        ticket: Ticket,
        /// How.
        failure: PolicyFailure,
    },
    /// A cell has ended, or could not be run.
    CellFinished {
        /// Of the [`CellRequest`].
        ticket: Ticket,
        /// How.
        result: Result<CellResult, CellFailure>,
    },
    /// A tool call was carried out, or could not be.
    ToolFinished {
        /// Of the [`ToolRequest`].
        ticket: Ticket,
        /// How.
        result: Result<ToolResult, ToolFailure>,
    },
    /// An answer was judged.
    Judged {
        /// Of the [`JudgeRequest`].
        ticket: Ticket,
        /// What it came to.
        judged: JudgedAnswer,
    },
    /// A turn is durable.
    Persisted {
        /// The turn's index.
        turn: u32,
    },
    /// The time asked for with [`Action::ScheduleDeadline`] has come.
    Deadline,
    /// The caller wants no more of it.
    Cancel,
    /// The driver cannot go on: the session did not open, the store is full.
    Failed {
        /// What went wrong, causes included.
        reason: String,
    },
}

/// A request to the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleRequest {
    /// Returned with the answer.
    pub ticket: Ticket,
    /// The turn it is for.
    pub turn: u32,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Tokens the completion may have.
    pub tokens_max: u32,
    /// Sequences that end it.
    pub stop: Vec<String>,
    /// What to sample with; the same for every attempt at a turn.
    pub seed: u64,
    /// When to send it: later than now after a failure.
    pub not_before: Duration,
}

/// A request to the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellRequest {
    /// Returned with the answer.
    pub ticket: Ticket,
    /// The turn it is for.
    pub turn: u32,
    /// The code.
    pub code: String,
    /// Its standard input.
    pub stdin: Option<String>,
}

/// A request to whoever carries out tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolRequest {
    /// Returned with the answer.
    pub ticket: Ticket,
    /// The turn it is for.
    pub turn: u32,
    /// The function.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}

/// A request to the judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgeRequest {
    /// Returned with the answer.
    pub ticket: Ticket,
    /// The turn it belongs to, or the number of turns for one judged after the last.
    pub turn: u32,
    /// The answer.
    pub answer: String,
}

/// What the loop asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask the policy.
    Sample(SampleRequest),
    /// Run a cell.
    RunCell(CellRequest),
    /// Have a tool call carried out.
    CallTool(ToolRequest),
    /// Judge an answer.
    Judge(JudgeRequest),
    /// Make a turn durable and answer [`Event::Persisted`]. Nothing else is asked for until then.
    Persist(Arc<Turn>),
    /// Send [`Event::Deadline`] at this time.
    ScheduleDeadline {
        /// When.
        at: Duration,
    },
    /// Stop working on a request; its answer is no longer wanted.
    Abandon {
        /// The request's.
        ticket: Ticket,
    },
    /// It is over. Always the last action.
    Finish(Box<Trajectory>),
}
