//! Sessions: interpreters that stay in their cages and are given one piece of code after another.
//!
//! A [`SessionBank`] has slots for them and makes their cages, by copying an interpreter that waits or by executing one. In each
//! a [`SessionCage`] holds an *agent*: a program of ours in the interpreter's language that reads cells from its standard
//! input, a socket, and answers there. Agent and cells share an address space, so what comes over the socket is the
//! program's claim: parsed as hostile, and neither a measure of what was used nor of how the interpreter ended, which the
//! kernel is asked for.

mod bank;
mod birth;
mod branch;
mod cage;
mod channel;
mod copy;
mod end;
mod family;
mod files;
mod park;
mod shared;
mod turn;
mod workspace;
mod written;

pub use bank::{BankError, Branches, Origin, SessionBank};
pub use branch::NotBranched;
pub use cage::SessionCage;
pub use channel::Message;
pub use files::{AllFiles, ListedFile, SessionFileError};
pub use park::swap_free;
pub use turn::{Interrupts, Turn, TurnEnd, TurnError, TurnLimits, TurnOutcome, TurnUsage};
