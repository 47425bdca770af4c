//! The server's own wire, version 1: bodies of requests, replies and errors, and the document that describes them.
//!
//! Owns their form and what can be said against a body before anything runs. Leaves statuses, headers and the running
//! to `rollcage-server`.

mod body;
mod error;
mod execute;
mod info;
mod judge;
mod openapi;

pub use body::{BodyError, read_body};
pub use error::{ErrorBody, ErrorCode, ErrorReply};
pub use execute::{ExecuteBody, ExecuteOrder, ExecuteReply, ExecuteStatus};
pub use info::{HealthReply, HealthStatus, LanguageReply, LanguagesReply};
pub use judge::{
    BatchBody, BatchEnd, BatchReply, ItemBody, JudgeBody, JudgeOrder, JudgedReply, ProblemBody, SolutionText,
    StopBody,
};
pub use openapi::openapi_document;
