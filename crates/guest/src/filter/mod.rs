//! The system call filter every program runs under.

mod assemble;
mod list;

pub(crate) use assemble::assemble;
pub(crate) use list::{launcher_rules, program_rules};
