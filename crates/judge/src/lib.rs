//! Problems, checkers, verdicts and the judging state machine.
//!
//! Owns what counts as solved: comparison rules, the mapping from how a program ended to a verdict, the order
//! in which cases are run and how their results fold into one judgement, and the statistics over judgements.
//! Never starts a process, not even a checker: [`Judging`] names the steps it wants and is told how they ended. Our own failures
//! are [`Unscorable`], a type from which no score can be read.
#![forbid(unsafe_code)]

mod case;
mod checker;
mod checker_program;
mod intercode;
mod judgement;
mod judging;
mod problem;
mod program;
mod stats;
mod verdict;

pub use case::{CaseFailure, CaseResult, CompileReport, RunOutput};
pub use checker::{CheckReport, Decision, Difference, Disclosure, Position};
pub use checker_program::{CHECKER_FILES, program_decision};
pub use intercode::{AssertOutcome, PythonRewardError, python_reward};
pub use judgement::{Blame, Judgement, Scored, Unscorable};
pub use judging::{CompileStep, JudgeOptions, Judging, Step, StopRule};
pub use problem::{Checker, CheckerProgram, FloatTolerance, Problem, ProblemError, TestCase, Tests};
pub use program::{Completion, Layout, Placement, Sources, assemble_program, assemble_sources};
pub use stats::{Bootstrap, Estimate, Interval, SampleCounts, StatsError, mean_pass_at_k, pass_at_k, wilson};
pub use verdict::{Score, Verdict};
