//! The small programs by which a language shows that it works on a host.
//!
//! They are data like the rest of the file; running them is for the caller, comparing is done here.

use rollcage_types::{ExecOutcome, LimitKind, LimitOverrides, Termination};

/// A program and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// What is tested, unique within the language.
    pub name: String,
    /// The source text.
    pub program: String,
    /// Standard input.
    pub stdin: String,
    /// How it must end.
    pub expected: Expected,
    /// What it must print, where that matters.
    pub stdout: Option<String>,
    /// Limits of the run on top of the language's.
    pub limits: LimitOverrides,
}

/// How a program must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// With this exit code.
    ExitCode(u8),
    /// It must not compile.
    CompileError,
    /// With an exit code other than 0, or by a signal.
    RuntimeError,
    /// By the limit on CPU time or the clock.
    TimeLimit,
    /// By the limit on memory.
    MemoryLimit,
}

/// How far a self-test got.
#[derive(Clone, Copy, Debug)]
pub enum SelfTestRun<'a> {
    /// The compiler failed.
    CompileFailed(&'a ExecOutcome),
    /// The program ran.
    Ran(&'a ExecOutcome),
}

/// What differed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It ended otherwise.
    #[error("expected {expected}, but {actual}")]
    Ending {
        /// What was expected.
        expected: String,
        /// What happened.
        actual: String,
    },
    /// It printed something else.
    #[error("expected it to print {expected:?}, but it printed {actual:?}")]
    Stdout {
        /// What was expected.
        expected: String,
        /// What was printed, cut where it is long.
        actual: String,
    },
}

/// Bytes of unexpected output quoted in a message.
const QUOTED_BYTES_MAX: usize = 400;

impl SelfTest {
    /// Compares what happened with what was expected.
    pub fn check(&self, run: SelfTestRun<'_>) -> Result<(), Mismatch> {
        let as_expected = match run {
            SelfTestRun::CompileFailed(_) => self.expected == Expected::CompileError,
            SelfTestRun::Ran(outcome) => self.expected.allows(outcome.termination),
        };
        if !as_expected {
            return Err(Mismatch::Ending { expected: self.expected.describe(), actual: describe(run) });
        }
        let (Some(expected), SelfTestRun::Ran(outcome)) = (&self.stdout, run) else { return Ok(()) };
        if outcome.stdout.complete().as_deref() == Some(expected.as_bytes()) {
            return Ok(());
        }
        let actual = outcome.stdout.shortened(QUOTED_BYTES_MAX, 0).to_text();
        Err(Mismatch::Stdout { expected: expected.clone(), actual })
    }
}

impl Expected {
    /// Whether a program that ran and ended like this did what was expected.
    fn allows(self, termination: Termination) -> bool {
        match (self, termination) {
            (Self::ExitCode(expected), Termination::Exited { code }) => expected == code,
            (Self::RuntimeError, Termination::Exited { code }) => code != 0,
            (Self::RuntimeError, Termination::Signaled { .. }) => true,
            (Self::TimeLimit, Termination::LimitExceeded(kind)) => {
                matches!(kind, LimitKind::CpuTime | LimitKind::WallTime)
            }
            (Self::MemoryLimit, Termination::LimitExceeded(kind)) => kind == LimitKind::Memory,
            (
                Self::ExitCode(_)
                | Self::CompileError
                | Self::RuntimeError
                | Self::TimeLimit
                | Self::MemoryLimit,
                Termination::Exited { .. }
                | Termination::Signaled { .. }
                | Termination::LimitExceeded(_)
                | Termination::Cancelled,
            ) => false,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::ExitCode(code) => format!("exit code {code}"),
            Self::CompileError => "a compile error".to_owned(),
            Self::RuntimeError => "a runtime error".to_owned(),
            Self::TimeLimit => "the time limit".to_owned(),
            Self::MemoryLimit => "the memory limit".to_owned(),
        }
    }
}

fn describe(run: SelfTestRun<'_>) -> String {
    let (subject, outcome) = match run {
        SelfTestRun::CompileFailed(outcome) => ("the compiler", outcome),
        SelfTestRun::Ran(outcome) => ("it", outcome),
    };
    let ending = match outcome.termination {
        Termination::Exited { code } => format!("{subject} exited with code {code}"),
        Termination::Signaled { signal } => format!("{subject} died of signal {signal}"),
        Termination::LimitExceeded(kind) => format!("{subject} exceeded the limit `{}`", kind.as_str()),
        Termination::Cancelled => format!("{subject} was cancelled"),
    };
    let stderr = outcome.stderr.shortened(QUOTED_BYTES_MAX, 0).to_text();
    match stderr.trim() {
        "" => ending,
        text => format!("{ending} and wrote {text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rollcage_types::{Captured, Enforcement, IsolationLevel, Usage};

    use super::*;

    fn outcome(termination: Termination, stdout: &str) -> ExecOutcome {
        ExecOutcome {
            termination,
            start: rollcage_types::Start::Cold,
            stdout: Captured::whole(stdout),
            stderr: Captured::whole("note\n"),
            usage: Usage::default(),
            network: rollcage_types::NetworkLog::default(),
            enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
            files: Vec::new(),
            files_omitted: 0,
        }
    }

    fn test(expected: Expected, stdout: Option<&str>) -> SelfTest {
        SelfTest {
            name: "x".to_owned(),
            program: String::new(),
            stdin: String::new(),
            expected,
            stdout: stdout.map(str::to_owned),
            limits: LimitOverrides::default(),
        }
    }

    #[test]
    fn endings_are_compared() {
        let exited = |code| Termination::Exited { code };
        for (expected, termination, passes) in [
            (Expected::ExitCode(3), exited(3), true),
            (Expected::ExitCode(3), exited(0), false),
            (Expected::RuntimeError, exited(1), true),
            (Expected::RuntimeError, exited(0), false),
            (Expected::RuntimeError, Termination::Signaled { signal: 11 }, true),
            (Expected::RuntimeError, Termination::LimitExceeded(LimitKind::Memory), false),
            (Expected::TimeLimit, Termination::LimitExceeded(LimitKind::WallTime), true),
            (Expected::TimeLimit, Termination::LimitExceeded(LimitKind::Memory), false),
            (Expected::MemoryLimit, Termination::LimitExceeded(LimitKind::Memory), true),
            (Expected::MemoryLimit, Termination::Signaled { signal: 9 }, false),
            (Expected::CompileError, exited(1), false),
        ] {
            let result = test(expected, None).check(SelfTestRun::Ran(&outcome(termination, "")));
            assert_eq!(result.is_ok(), passes, "{expected:?} {termination:?}");
        }
        let failed = outcome(exited(1), "");
        assert_eq!(test(Expected::CompileError, None).check(SelfTestRun::CompileFailed(&failed)), Ok(()));
        let message =
            test(Expected::ExitCode(0), None).check(SelfTestRun::CompileFailed(&failed)).unwrap_err();
        assert_eq!(
            message.to_string(),
            "expected exit code 0, but the compiler exited with code 1 and wrote \"note\""
        );
    }

    #[test]
    fn output_is_compared_to_the_byte() {
        let success = outcome(Termination::Exited { code: 0 }, "3\n");
        assert_eq!(test(Expected::ExitCode(0), Some("3\n")).check(SelfTestRun::Ran(&success)), Ok(()));
        let message = test(Expected::ExitCode(0), Some("3")).check(SelfTestRun::Ran(&success)).unwrap_err();
        assert_eq!(message.to_string(), "expected it to print \"3\", but it printed \"3\\n\"");
    }
}
