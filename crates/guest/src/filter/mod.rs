//! The system call filter every program runs under.

mod assemble;
mod list;
mod shared_ground;

pub(crate) use assemble::assemble;
pub(crate) use list::{Branching, Charge, branch_filter, launcher_rules, program_rules};
