//! The wires of other services, told by their clients: PyPI's own where there is one, and what verl and rStar2 send.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod code_judge;
mod failures;
mod own_wire;
mod python;
mod sandbox_fusion;
mod server;
