//! Benchmarks: what is measured, how it is measured, and what was promised.
//!
//! Everything that is compared runs interleaved, so that noise of the machine hits both sides.

mod exec;
mod http;
mod machine;
mod measure;
mod memory;
mod sessions;
pub(crate) mod soak;
mod spread;
mod start;
mod text;

pub(crate) use exec::{ExecCase, ExecPlan, Phases, exec};
pub(crate) use http::{HttpCase, HttpMode, HttpPlan, http};
pub(crate) use measure::Effort;
pub(crate) use sessions::{SessionCase, SessionsPlan, sessions};
pub(crate) use start::{StartCase, StartPlan, start};
pub(crate) use text::render;
