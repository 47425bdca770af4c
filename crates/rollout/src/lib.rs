//! Multi-turn environments, code extraction, budgets and the loop, as values in and values out.
#![forbid(unsafe_code)]

mod message;
mod task;

pub use message::{Message, Role, ToolCall};
pub use task::Task;
