//! One program made of a solution and its tests, and the proof that it ran to its end.
//!
//! An exit code of 0 proves nothing by itself: a solution that calls `os._exit(0)` ends before the first
//! assertion. So the program carries an epilogue, written by the language, that leaves a token drawn for this
//! run in a file of the workspace; whether it is there afterwards is the program's [`Completion`]. A solution
//! that reads its own source can find the token: the proof stops early exits, not forgery inside one process.

use crate::problem::Tests;

/// Whether a program proved that its last line ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The token was left behind.
    Proved,
    /// It was not.
    Missing,
    /// No proof was asked for: the checker looks at the output, or the language has no epilogue.
    NotRequired,
}

/// The source text to run: `solution` alone for test cases; prefix, solution, tests and epilogue for test code.
///
/// The prefix joins the solution without a line break, because a completion continues where a prompt ends.
pub fn assemble_program(tests: &Tests, solution: &str, epilogue: Option<&str>) -> String {
    match tests {
        Tests::Cases(_) => solution.to_owned(),
        Tests::Code { prefix, test_code, .. } => {
            let mut program = format!("{prefix}{solution}");
            for part in [test_code.as_ref(), epilogue.unwrap_or_default()] {
                if part.is_empty() {
                    continue;
                }
                if !program.is_empty() && !program.ends_with('\n') {
                    program.push('\n');
                }
                program.push_str(part);
            }
            if !program.ends_with('\n') {
                program.push('\n');
            }
            program
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_line_by_line() {
        let code = |prefix: &str, test_code: &str| Tests::Code {
            prefix: prefix.into(),
            context: "".into(),
            test_code: test_code.into(),
        };
        for (tests, solution, epilogue, expected) in [
            (Tests::Cases(vec![]), "print(1)", Some("leave()"), "print(1)"),
            (code("def f():\n", "f()"), "    pass", Some("leave()"), "def f():\n    pass\nf()\nleave()\n"),
            (code("", "f()\n"), "x = 1\n", None, "x = 1\nf()\n"),
            (code("", "f()"), "", None, "f()\n"),
        ] {
            assert_eq!(assemble_program(&tests, solution, epilogue), expected);
        }
    }
}
