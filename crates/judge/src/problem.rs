//! A problem as the judge sees it: what a solution is run against.

use std::sync::Arc;

use rollcage_types::{FileEntry, LimitOverrides, ProblemId};

/// One input with the output expected for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCase {
    /// Standard input, whole.
    pub stdin: Arc<[u8]>,
    /// The expected standard output.
    pub expected: Arc<[u8]>,
}

/// How a solution is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tests {
    /// Run once per case; the checker compares outputs. Never empty.
    Cases(Vec<TestCase>),
    /// The solution and this code form one program that must run to its end with exit code 0.
    Code {
        /// Placed before the solution (a prompt that the solution completes); often empty.
        prefix: Arc<str>,
        /// Placed after it.
        test_code: Arc<str>,
    },
}

/// How far two numbers may lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatTolerance {
    /// Largest accepted absolute difference.
    pub absolute: f64,
    /// Largest accepted difference relative to the expected value.
    pub relative: f64,
}

/// A deterministic comparison of two outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Checker {
    /// Equal after trailing white space of the whole output is removed.
    #[default]
    Exact,
    /// Equal token by token (split at white space); tokens that are both numbers may differ by the tolerance.
    Tokens(Option<FloatTolerance>),
}

/// What a solution is judged against.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The author's name for it.
    pub id: ProblemId,
    /// The language it must be solved in; `None` leaves the choice to the sample.
    pub language: Option<Arc<str>>,
    /// What is run.
    pub tests: Tests,
    /// Limits that differ from the language's.
    pub limits: LimitOverrides,
    /// How outputs of [`Tests::Cases`] are compared.
    pub checker: Checker,
    /// Files placed beside the solution.
    pub files: Vec<FileEntry>,
}
