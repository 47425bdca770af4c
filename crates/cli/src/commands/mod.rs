//! The commands, one module each.

mod bench;
mod doctor;
mod eval;
mod eval_intercode;
mod eval_policy;
mod eval_report;
mod judge;
mod languages;
mod rollout;
mod run;
mod serve;
mod session;
mod show;
mod show_run;
mod show_trajectory;
mod top;

pub(crate) use top::{Arguments, dispatch};
