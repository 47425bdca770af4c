//! A task: what the policy is asked, and the problem its answer is judged by.

use std::sync::Arc;

use rollcage_judge::Problem;
use rollcage_types::TaskId;

use crate::message::Message;

/// A problem with its prompt.
#[derive(Clone, Debug)]
pub struct Task {
    /// Unique within a run.
    pub id: TaskId,
    /// The conversation so far; the policy speaks next. Never empty.
    pub messages: Vec<Message>,
    /// What the answer is judged by.
    pub problem: Arc<Problem>,
}
