//! Conversations with an interpreter: what one cell defines, the next one finds.
//!
//! A [`Session`] carries state by *replay in a fresh cage*: the request for a new cell holds all earlier cells
//! too, and a driver runs them again, silently, before the new one. Nothing is left running between turns, a
//! session costs its texts, and it can be taken up anywhere.
//!
//! What a session keeps. In Python one namespace called `__main__`, imported modules, the current directory,
//! files; a last line that is an expression is printed as at the prompt. In bash variables, functions, options,
//! traps, the current directory, files. Each cell has its own standard input, and finds descriptors 0, 1 and 2
//! fresh.
//!
//! How cells end. An exception or `sys.exit` ends the cell, not the session, and is met again in each replay
//! as it happened. So does `exit` in bash, also by `set -e`. A cell that ended the interpreter itself (a
//! limit, a signal, `os._exit`, `exec`) is not replayed: the session stands where it stood before it, and the
//! outcome says so. `atexit` and `trap … EXIT` belong to the end of the interpreter: the former never runs,
//! the latter when a cell exits.
//!
//! What replay cannot do. Programs that read the clock, the pid or the kernel's randomness may take another way
//! the second time; `random`, `numpy.random`, `RANDOM` and string hashes are seeded, but not in the subshells of
//! bash. Threads and child processes that a cell leaves running are not waited for. In bash, our variables show in
//! `set`, and `set -x` prints more plus signs than in a script. When a cell ends otherwise than it did, the
//! session is poisoned rather than continued from a state that nobody saw; a difference that changes no ending
//! goes unnoticed.
//!
//! Languages without a session kind run each cell alone.
#![forbid(unsafe_code)]

mod cell;
mod driver;
mod error;
pub mod live;
mod replay_cost;
mod report;
mod session;

pub use cell::{Cell, CellEffect, CellOutcome, CellStage, LostReason};
pub use error::{OpenError, SessionError};
pub use replay_cost::ReplayCost;
pub use report::Ending;
pub use session::{Session, SessionSpec, SessionState};
