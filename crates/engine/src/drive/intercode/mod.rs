//! InterCode's Python environment: recorded episodes played again through the loop, each action judged as an answer.
//!
//! Owns how an action becomes a submission, what an assert's outcome is, and why a reward that was recorded does not
//! come out again. Leaves the order of turns to `rollcage-rollout` and the share of equal outcomes to
//! `rollcage-judge`.
//!
//! InterCode runs everything an episode does in one namespace of one server: the submission, its asserts, and then,
//! after a reset, the gold function, which is still there when the next action comes. Here each assert has a cage of
//! its own, so nothing an action earns depends on what was run before it.

mod assert_run;
mod difference;
mod judge;
mod names;
mod replay;

pub use difference::Difference;
pub use replay::{InterCodeError, ReplayedEpisode, ReplayedTurn, replay_intercode};
