//! One program made of a solution and its tests, and the proof that it ran to its end.
//!
//! An exit code of 0 proves nothing by itself: a solution that calls `os._exit(0)` ends before the first
//! assertion. So the program carries an epilogue, written by the language, that leaves a token drawn for this
//! run in a file of the workspace; whether it is there afterwards is the program's [`Completion`]. A solution
//! that reads its own source can find the token: the proof stops early exits, not forgery inside one process.

use rollcage_types::Captured;

use crate::problem::Tests;

/// What a program with tests shows of having run them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The token was left behind.
    Proved,
    /// It was not.
    Missing,
    /// No proof was asked for: the checker looks at the output, or the language has no epilogue.
    NotRequired,
    /// Its standard error reports a failed assertion, in a language whose assertions do no more than that.
    AssertionReported,
    /// Such a report may be in the part of standard error that was not kept.
    ReportNotKept,
}

impl Completion {
    /// The same, for a language whose failed assertions write `mark` to standard error and go on.
    ///
    /// The mark counts wherever it stands: whether it begins a line is up to what the solution wrote before it.
    #[must_use]
    pub fn unless_reported(self, stderr: &Captured, mark: &str) -> Self {
        let has_mark =
            |bytes: &[u8]| bytes.windows(mark.len().max(1)).any(|window| window == mark.as_bytes());
        match stderr.complete() {
            Some(whole) if has_mark(&whole) => Self::AssertionReported,
            Some(_) => self,
            None if has_mark(&stderr.head) || has_mark(&stderr.tail) => Self::AssertionReported,
            None => Self::ReportNotKept,
        }
    }
}

/// Where a part of a program with tests is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Behind the part before it.
    #[default]
    Behind,
    /// In a file of its own.
    OwnFile,
}

/// How a language lays out a program with tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout<'a> {
    /// Where the tests are written.
    pub tests: Placement,
    /// Where the epilogue is written; behind the tests, wherever those are, or by itself.
    pub epilogue: Placement,
    /// A line between a solution and the tests behind it, so that the one's end cannot change the other's beginning.
    pub separator: &'a str,
}

/// The files of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The solution, and whatever is not in a file of its own.
    pub program: String,
    /// The tests.
    pub tests: Option<String>,
    /// The epilogue.
    pub epilogue: Option<String>,
}

/// The source texts to run: `solution` alone for test cases; prefix, solution, tests and epilogue for test code.
pub fn assemble_sources(
    tests: &Tests,
    solution: &str,
    epilogue: Option<&str>,
    layout: Layout<'_>,
) -> Sources {
    let Tests::Code { prefix, test_code, .. } = tests else {
        return Sources { program: solution.to_owned(), tests: None, epilogue: None };
    };
    let (behind, alone) = match layout.epilogue {
        Placement::Behind => (epilogue.unwrap_or_default(), None),
        Placement::OwnFile => ("", epilogue.map(str::to_owned)),
    };
    // The prefix joins the solution without a line break, because a completion continues where a prompt ends.
    let solution = format!("{prefix}{solution}");
    let (program, tests) = match layout.tests {
        Placement::Behind => (join(&[&solution, layout.separator, test_code, behind]), None),
        Placement::OwnFile => (join(&[&solution]), Some(join(&[test_code, behind]))),
    };
    Sources { program, tests, epilogue: alone }
}

/// The source text to run where all of it is one file, and nothing stands between solution and tests.
pub fn assemble_program(tests: &Tests, solution: &str, epilogue: Option<&str>) -> String {
    assemble_sources(tests, solution, epilogue, Layout::default()).program
}

/// The parts that are not empty, each on lines of its own.
fn join(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(part);
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
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

    #[test]
    fn parts_may_have_files_of_their_own() {
        let tests = Tests::Code { prefix: "p".into(), context: "".into(), test_code: "t".into() };
        let sources = |program: &str, tests: Option<&str>, epilogue: Option<&str>| Sources {
            program: program.to_owned(),
            tests: tests.map(str::to_owned),
            epilogue: epilogue.map(str::to_owned),
        };
        let layout = |tests, epilogue| Layout { tests, epilogue, separator: "--" };
        for (placement, expected) in [
            (layout(Placement::Behind, Placement::Behind), sources("ps\n--\nt\ne\n", None, None)),
            (layout(Placement::Behind, Placement::OwnFile), sources("ps\n--\nt\n", None, Some("e"))),
            (layout(Placement::OwnFile, Placement::Behind), sources("ps\n", Some("t\ne\n"), None)),
            (layout(Placement::OwnFile, Placement::OwnFile), sources("ps\n", Some("t\n"), Some("e"))),
        ] {
            assert_eq!(assemble_sources(&tests, "s", Some("e"), placement), expected);
        }
        let cases = assemble_sources(
            &Tests::Cases(vec![]),
            "s",
            Some("e"),
            layout(Placement::OwnFile, Placement::OwnFile),
        );
        assert_eq!(cases, sources("s", None, None));
    }

    #[test]
    fn a_reported_assertion_is_seen_or_may_have_been_missed() {
        let whole = |text: &str| Captured::whole(text);
        let cut = |head: &str| Captured { head: head.as_bytes().to_vec(), tail: vec![], bytes_total: 99 };
        for (completion, stderr, expected) in [
            (Completion::Proved, whole("fine\n"), Completion::Proved),
            (Completion::Missing, whole(""), Completion::Missing),
            (Completion::Proved, whole("x\nAssertion failed\n"), Completion::AssertionReported),
            (Completion::Proved, whole("hidden: Assertion failed"), Completion::AssertionReported),
            (Completion::Proved, cut("Assertion failed"), Completion::AssertionReported),
            (Completion::Proved, cut("fine"), Completion::ReportNotKept),
        ] {
            assert_eq!(completion.unless_reported(&stderr, "Assertion failed"), expected, "{stderr:?}");
        }
    }
}
