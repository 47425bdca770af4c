//! Programs that are copies of an interpreter, beside the same programs executed: both in cages, of one host.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod datasets;
mod harness;
mod hazards;
mod hostile;
mod levels;
mod many;
mod pool;
mod prepared;
mod program_files;
mod refusals;
mod same;
mod spares;
