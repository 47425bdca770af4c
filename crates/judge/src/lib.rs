//! Problems, checkers, verdicts and the judging state machine.
#![forbid(unsafe_code)]

mod problem;

pub use problem::{Checker, FloatTolerance, Problem, TestCase, Tests};
