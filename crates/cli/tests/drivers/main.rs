//! Judging, evaluating, rolling out and showing, told by the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod agnostics;
mod compile_once;
mod datasets;
mod eval;
mod harness;
mod hooks;
mod humaneval_x;
mod judge;
mod policy_server;
mod resume;
mod rollout;
mod show;
mod test_code;
