//! Hooks: processes of the operator's own that decide, reward or carry out tools.
//!
//! Owns their lives: they are started as they are needed, asked one thing at a time, ended with their whole process
//! group when they fail or are no longer wanted. Leaves what is said to `rollcage-api`. A hook runs on the host and
//! with the operator's rights, so nothing but the command line and the run file can name one.
//!
//! What a hook fails at is an error and never a decision, a reward or a result. Which process answers makes no
//! difference: one that fails after it has answered others is replaced, and the request put to a fresh one.

mod error;
mod pool;
mod process;
mod spec;
mod uses;

pub use error::{HookError, HookFailure};
pub use pool::Hook;
pub use spec::HookSpec;
pub use uses::{CheckerHook, RewardFailure};
