//! Benchmarks: what is measured, how it is measured, and what was promised.
//!
//! Everything that is compared runs interleaved in one process, so that noise of the machine hits both sides.

mod exec;
mod machine;
mod measure;
mod memory;
pub(crate) mod soak;
mod spread;
mod text;

pub(crate) use exec::{ExecCase, ExecPlan, exec};
pub(crate) use measure::Effort;
pub(crate) use text::render;
