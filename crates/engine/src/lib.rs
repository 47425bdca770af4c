//! Admission, drivers, model clients and the store.
//!
//! Owns everything that waits: calls to policies ([`policy`]) and the file that keeps what they led to ([`store`]).
//! Leaves what to do next to the pure crates below, whose questions it answers.
#![forbid(unsafe_code)]

pub mod drive;
pub mod policy;
pub mod store;
