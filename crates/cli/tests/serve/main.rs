//! What `rollcage serve` does, told by the real server over real connections.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod bodies;
mod clients;
mod ending;
mod harness;
mod queue;
mod wire;
