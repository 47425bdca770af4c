//! What the commands do, told by the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod bad_input;
mod bench;
mod bytes;
mod harness;
mod help;
mod json;
mod languages;
mod limits;
mod roots;
mod run;
mod session;
mod signals;
