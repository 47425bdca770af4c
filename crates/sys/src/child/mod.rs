//! Everything the program's process does between clone and becoming the program.
//!
//! The process shares the launcher's memory until execve, or has a copy of what an interpreter's process was at some
//! moment. Either way this code allocates nothing, locks nothing, logs nothing and cannot panic. All it needs was
//! compiled beforehand into a [`PreparedChild`]. It reports failure as a stage and an errno through [`Failure`].

mod branch;
mod confine;
mod execute;
mod fork_point;
mod prepared;
mod stage;

pub use branch::{BRANCH_FLAGS, BranchPlan, INIT_PROGRAM, Side, branch};
pub use confine::exit;
pub use execute::{Execution, confine_and_execute};
pub use fork_point::{Extent, ForkPoint, Return, confine_and_return};
pub use prepared::{CGROUPS_MAX, PreparedChild, RESOURCE_LIMITS_MAX, ResourceLimit, WORKSPACE_DESCRIPTOR};
pub use stage::{Failure, Stage};
