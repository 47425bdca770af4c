//! Whatever fails while cages are made, whoever is killed and whatever a dead host left behind: the blame is right, a
//! run is never an outcome that it is not, nothing is left, and nothing hangs.
#![expect(clippy::panic, reason = "a test stops at the first thing that is not as it should be")]

mod calls;
mod deaths;
mod interrupted;
mod leftovers;
mod saboteur;
mod stages;
mod start;
