//! The loop of one trajectory: environment and policy meet here, as events in and actions out.

mod event;
mod machine;
mod moves;
mod spec;

pub use event::{
    Action, CellFailure, CellRequest, Event, JudgeRequest, PolicyFailure, PolicyFailureKind, SampleRequest,
    Ticket, ToolFailure, ToolRequest,
};
pub use machine::RolloutLoop;
pub use spec::{ResumeError, Retries, RolloutSpec};
