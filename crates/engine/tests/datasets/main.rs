//! Files of tasks at their boundary: Parquet as others write it and as we do, damaged files, and columns of any shape.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod damaged;
mod harness;
mod parquet;
mod refused;
