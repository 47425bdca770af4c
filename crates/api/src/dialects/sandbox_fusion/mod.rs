//! SandboxFusion: `POST /run_code` and `GET /v1/ping`.
//!
//! Its own client, and verl's, take `SandboxError` and any status other than 200 for the server's failure, so a
//! program's doing is always `Success` or `Failed` with status 200. verl tries again after a 504 only and scores every
//! other failure as if the program had failed, so each failure of ours is a 504.

mod languages;
mod reply;
mod request;

pub use languages::accepted_names;
pub use reply::{CommandResult, CommandStatus, FailureReply, RunCodeReply, RunStatus};
pub use request::{Offer, RunCodeRequest};

/// What the server says to `GET /v1/ping`.
pub const PONG: &str = "pong";

/// The status of every failure of ours.
pub const FAILURE_STATUS: u16 = 504;
