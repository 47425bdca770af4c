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
        /// Placed before a solution that is a whole program: what the prompt gave it to build on.
        context: Arc<str>,
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

/// A program that decides whether an output is right: its author's word is taken no further than its cage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckerProgram {
    /// The language it is written in.
    pub language: Arc<str>,
    /// Its source text.
    pub source: Arc<str>,
}

/// Who decides whether an output is right, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Checker {
    /// Equal after trailing white space of the whole output is removed.
    #[default]
    Exact,
    /// Equal token by token (split at white space); tokens that are both numbers may differ by the tolerance.
    Tokens(Option<FloatTolerance>),
    /// A program of the problem's author, run in a cage of its own for each output.
    Program(Arc<CheckerProgram>),
    /// A process of the operator's. No problem can ask for it: only who starts us does.
    Hook,
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

/// Why nothing can be judged by a problem, whatever the solution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemError {
    /// There is no case to run.
    #[error("the problem has no test cases")]
    NoCases,
    /// The tests of a [`Tests::Code`] are blank, so that any program passes.
    #[error("the problem has no test code")]
    NoTestCode,
    /// The checker is a program without a line.
    #[error("the checker program is empty")]
    NoCheckerSource,
    /// A tolerance is negative, infinite or not a number.
    #[error("the tolerance {value} is not a finite number of at least 0")]
    Tolerance {
        /// What was given.
        value: String,
    },
}

impl Problem {
    /// Whether a solution can be judged by this problem at all.
    pub fn validate(&self) -> Result<(), ProblemError> {
        match &self.tests {
            Tests::Cases(cases) if cases.is_empty() => return Err(ProblemError::NoCases),
            Tests::Code { test_code, .. } if test_code.trim().is_empty() => {
                return Err(ProblemError::NoTestCode);
            }
            Tests::Cases(_) | Tests::Code { .. } => {}
        }
        match &self.checker {
            Checker::Program(program) if program.source.trim().is_empty() => {
                Err(ProblemError::NoCheckerSource)
            }
            Checker::Exact | Checker::Tokens(None) | Checker::Program(_) | Checker::Hook => Ok(()),
            Checker::Tokens(Some(tolerance)) => [tolerance.absolute, tolerance.relative]
                .into_iter()
                .find(|value| !(value.is_finite() && *value >= 0.0))
                .map_or(Ok(()), |value| Err(ProblemError::Tolerance { value: value.to_string() })),
        }
    }

    /// Has the operator's hook decide in place of the problem's own checker, where outputs are compared at all.
    pub fn ask_hook(&mut self) {
        match &self.tests {
            Tests::Cases(_) => self.checker = Checker::Hook,
            Tests::Code { .. } => {}
        }
    }

    /// The same problem for a solution that is a whole program and not the continuation of a prompt.
    #[must_use]
    pub fn for_whole_programs(&self) -> Self {
        let tests = match &self.tests {
            Tests::Cases(cases) => Tests::Cases(cases.clone()),
            Tests::Code { prefix: _, context, test_code } => Tests::Code {
                prefix: Arc::clone(context),
                context: Arc::clone(context),
                test_code: Arc::clone(test_code),
            },
        };
        Self { tests, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(tests: Tests, checker: Checker) -> Problem {
        Problem {
            id: ProblemId::new("p"),
            language: None,
            tests,
            limits: LimitOverrides::default(),
            checker,
            files: Vec::new(),
        }
    }

    #[test]
    fn a_problem_nobody_can_solve_or_fail_is_refused() {
        let case = TestCase { stdin: Arc::from(*b""), expected: Arc::from(*b"") };
        let tolerance = |absolute| Checker::Tokens(Some(FloatTolerance { absolute, relative: 0.0 }));
        let code = |test_code: &str| Tests::Code {
            prefix: "x".into(),
            context: "".into(),
            test_code: test_code.into(),
        };
        let program = |source: &str| {
            Checker::Program(Arc::new(CheckerProgram { language: "python".into(), source: source.into() }))
        };
        for (tests, checker, accepted) in [
            (Tests::Cases(vec![]), Checker::Exact, false),
            (Tests::Cases(vec![case.clone()]), Checker::Exact, true),
            (code(" \n"), Checker::Exact, false),
            (code("assert True"), Checker::Exact, true),
            (Tests::Cases(vec![case.clone()]), tolerance(1e-6), true),
            (Tests::Cases(vec![case.clone()]), tolerance(-1.0), false),
            (Tests::Cases(vec![case.clone()]), tolerance(f64::NAN), false),
            (Tests::Cases(vec![case.clone()]), program("print(1)"), true),
            (Tests::Cases(vec![case.clone()]), program(" \n"), false),
            (Tests::Cases(vec![case.clone()]), Checker::Hook, true),
        ] {
            let problem = problem(tests, checker);
            assert_eq!(problem.validate().is_ok(), accepted, "{problem:?}");
        }
    }
}
