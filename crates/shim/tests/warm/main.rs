//! Real interpreters with the library preloaded, beside the same interpreters without.
#![expect(unsafe_code, reason = "a descriptor is handed to a new process between fork and exec")]
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "the closure and the call it is given to")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod hazards;
mod hostile;
mod many;
mod measure;
mod refusals;
mod same;
mod server;
#[expect(
    unreachable_pub,
    dead_code,
    reason = "the crate's own file, included because linking it would replace `open`"
)]
#[path = "../../src/wire.rs"]
mod wire;
