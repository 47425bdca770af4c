//! The commands, one module each.

mod bench;
mod doctor;
mod eval;
mod judge;
mod languages;
mod rollout;
mod run;
mod show;
mod top;

pub(crate) use top::{Arguments, dispatch};
