//! One finished run, and what it says about the solution.
//!
//! Owns the mapping from how a program ended to a verdict. A run that nobody let finish says nothing about the
//! solution, so it becomes [`Unscorable`] here and never a verdict.

use rollcage_types::{ByteSize, Captured, ExecOutcome, LimitKind, Termination, Usage};

use crate::checker::{CheckReport, Decision, Disclosure};
use crate::judgement::Unscorable;
use crate::problem::{Checker, Problem, Tests};
use crate::program::Completion;
use crate::verdict::{Score, Verdict};

/// What a driver reports of a run: of the compiler, of one case, or of a program with its tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutput {
    /// How it ended.
    pub termination: Termination,
    /// Standard output, as far as it was kept.
    pub stdout: Captured,
    /// Standard error, as far as it was kept.
    pub stderr: Captured,
    /// What it used.
    pub usage: Usage,
    /// Whether a program with tests reached its end.
    pub completion: Completion,
}

impl RunOutput {
    /// The part of `outcome` that judging needs.
    pub fn new(outcome: ExecOutcome, completion: Completion) -> Self {
        let ExecOutcome { termination, stdout, stderr, usage, .. } = outcome;
        Self { termination, stdout, stderr, usage, completion }
    }
}

/// Why a case did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseFailure {
    /// It exited with this code.
    ExitCode(u8),
    /// This signal ended it.
    Signal(i32),
    /// This limit ended it.
    Limit(LimitKind),
    /// It printed something that its checker does not accept; the case's [`CheckReport`] says where.
    Mismatch,
    /// It exited with code 0 before its tests were through.
    EndedEarly,
    /// It printed more than is kept of an output, and more than was expected.
    OutputNotKept,
    /// An assertion of its tests failed and was reported, whatever the exit code.
    Assertion,
    /// It wrote more to standard error than is kept, so that what its assertions reported is not known.
    ReportNotKept,
}

impl CaseFailure {
    /// The verdict a solution deserves for it.
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::ExitCode(_) | Self::Signal(_) | Self::EndedEarly | Self::Assertion => Verdict::RuntimeError,
            Self::Mismatch => Verdict::WrongAnswer,
            Self::OutputNotKept | Self::ReportNotKept => Verdict::OutputLimitExceeded,
            Self::Limit(kind) => match kind {
                LimitKind::CpuTime | LimitKind::WallTime | LimitKind::IdleTime => Verdict::TimeLimitExceeded,
                LimitKind::Memory => Verdict::MemoryLimitExceeded,
                LimitKind::Output | LimitKind::FileSize | LimitKind::DiskSpace => {
                    Verdict::OutputLimitExceeded
                }
                LimitKind::Processes => Verdict::RuntimeError,
            },
        }
    }

    /// The failure in a few words; a mismatch is explained better by its [`CheckReport`].
    pub fn describe(self) -> String {
        match self {
            Self::ExitCode(code) => format!("it exited with code {code}"),
            Self::Signal(signal) => format!("signal {signal} ended it"),
            Self::Limit(kind) => format!("it exceeded its {} limit", kind.as_str()),
            Self::Mismatch => "the output differs".to_owned(),
            Self::EndedEarly => "it ended before its tests did".to_owned(),
            Self::OutputNotKept => "it printed more than is kept".to_owned(),
            Self::Assertion => "an assertion of its tests failed".to_owned(),
            Self::ReportNotKept => {
                "it wrote more to standard error than is kept of what assertions report".to_owned()
            }
        }
    }
}

/// What happened in one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// Which case, counted from 0; 0 for a program with tests.
    pub index: usize,
    /// Why it did not pass; `None` if it passed.
    pub failure: Option<CaseFailure>,
    /// How the program ended.
    pub termination: Termination,
    /// What it used.
    pub usage: Usage,
    /// Its standard output, cut to what judgements keep.
    pub stdout: Captured,
    /// Its standard error, cut likewise.
    pub stderr: Captured,
    /// What its checker found, where it was asked.
    pub check: Option<CheckReport>,
}

impl CaseResult {
    /// Whether the case passed.
    pub const fn is_passed(&self) -> bool {
        self.failure.is_none()
    }

    /// The verdict on this case alone.
    pub fn verdict(&self) -> Verdict {
        self.failure.map_or(Verdict::Accepted, CaseFailure::verdict)
    }

    /// What the case earns alone: everything or nothing, unless a checker that is not ours gave it a share.
    pub fn score(&self) -> Score {
        match &self.check {
            Some(CheckReport::Decided(Decision { score, .. })) => *score,
            Some(CheckReport::Compared(_)) | None if self.is_passed() => Score::ONE,
            Some(CheckReport::Compared(_)) | None => Score::ZERO,
        }
    }

    /// Why the case did not pass, saying no more about outputs than `disclosure` allows.
    pub fn reason(&self, disclosure: Disclosure) -> Option<String> {
        let difference = self.check.as_ref().and_then(|check| check.explain(disclosure));
        difference.or_else(|| self.failure.map(CaseFailure::describe))
    }
}

/// What the compiler did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileReport {
    /// How it ended.
    pub termination: Termination,
    /// What it used.
    pub usage: Usage,
    /// Its standard output, cut to what judgements keep.
    pub stdout: Captured,
    /// Its standard error, cut likewise.
    pub stderr: Captured,
}

impl CompileReport {
    /// Why there is no program to run; `None` if there is.
    pub fn failure(&self) -> Option<CaseFailure> {
        ending_failure(self.termination)
    }
}

/// A finished run, as far as it is judged.
#[derive(Debug)]
pub(crate) enum JudgedRun {
    /// To the end.
    Done(CaseResult),
    /// All but for the checker, which is not ours.
    ToCheck(UncheckedCase),
}

/// A case that ended as it should, and whose output somebody else has to look at.
#[derive(Debug)]
pub(crate) struct UncheckedCase {
    /// The whole output.
    pub(crate) stdout: Vec<u8>,
    result: CaseResult,
}

impl UncheckedCase {
    /// The case, now that its checker has decided.
    pub(crate) fn decided(self, decision: Decision) -> CaseResult {
        let failure = (!decision.passed).then_some(CaseFailure::Mismatch);
        CaseResult { failure, check: Some(CheckReport::Decided(decision)), ..self.result }
    }
}

/// Judges one finished run of `problem`.
pub(crate) fn judge_run(
    problem: &Problem,
    index: usize,
    output: &RunOutput,
    keep: ByteSize,
) -> Result<JudgedRun, Unscorable> {
    if output.termination == Termination::Cancelled {
        return Err(cancelled());
    }
    let mut to_check = None;
    let (failure, check) = match (ending_failure(output.termination), &problem.tests) {
        (Some(failure), _) => (Some(failure), None),
        (None, Tests::Code { .. }) => match output.completion {
            Completion::Proved | Completion::NotRequired => (None, None),
            Completion::Missing => (Some(CaseFailure::EndedEarly), None),
            Completion::AssertionReported => (Some(CaseFailure::Assertion), None),
            Completion::ReportNotKept => (Some(CaseFailure::ReportNotKept), None),
        },
        (None, Tests::Cases(cases)) => {
            let expected = &cases[index].expected;
            match output.stdout.complete() {
                Some(stdout) => match problem.checker.check(expected, &stdout) {
                    Some(check) => ((!check.is_accepted()).then_some(CaseFailure::Mismatch), Some(check)),
                    None => {
                        to_check = Some(stdout.into_owned());
                        (None, None)
                    }
                },
                None => (Some(output_not_kept(&problem.checker, &output.stdout, expected.len())?), None),
            }
        }
    };
    let (stdout, stderr) = (kept(&output.stdout, keep), kept(&output.stderr, keep));
    let RunOutput { termination, usage, .. } = output;
    let result =
        CaseResult { index, failure, termination: *termination, usage: usage.clone(), stdout, stderr, check };
    Ok(match to_check {
        None => JudgedRun::Done(result),
        Some(stdout) => JudgedRun::ToCheck(UncheckedCase { stdout, result }),
    })
}

/// Judges the compiler's run. An error means that it was not allowed to finish.
pub(crate) fn judge_compile(output: &RunOutput, keep: ByteSize) -> Result<CompileReport, Unscorable> {
    if output.termination == Termination::Cancelled {
        return Err(cancelled());
    }
    Ok(CompileReport {
        termination: output.termination,
        usage: output.usage.clone(),
        stdout: kept(&output.stdout, keep),
        stderr: kept(&output.stderr, keep),
    })
}

const fn ending_failure(termination: Termination) -> Option<CaseFailure> {
    match termination {
        // Callers turn a cancelled run into `Unscorable` before they ask.
        Termination::Exited { code: 0 } | Termination::Cancelled => None,
        Termination::Exited { code } => Some(CaseFailure::ExitCode(code)),
        Termination::Signaled { signal } => Some(CaseFailure::Signal(signal)),
        Termination::LimitExceeded(kind) => Some(CaseFailure::Limit(kind)),
    }
}

/// An output with a hole in it cannot be compared. It is the program's fault only if we kept enough of it to
/// hold everything that was expected; what a checker of others would have accepted, nobody here knows.
fn output_not_kept(
    checker: &Checker,
    stdout: &Captured,
    expected_bytes: usize,
) -> Result<CaseFailure, Unscorable> {
    let kept_bytes = stdout.head.len() + stdout.tail.len();
    let is_ours = match checker {
        Checker::Exact | Checker::Tokens(_) => true,
        Checker::Program(_) | Checker::Hook => false,
    };
    if is_ours && kept_bytes > expected_bytes {
        return Ok(CaseFailure::OutputNotKept);
    }
    Err(Unscorable::infrastructure(
        format!("only {kept_bytes} bytes of the output were kept, and {expected_bytes} are expected"),
        false,
    ))
}

fn cancelled() -> Unscorable {
    Unscorable::infrastructure("a run was cancelled before it ended", true)
}

fn kept(stream: &Captured, keep: ByteSize) -> Captured {
    let half = keep.as_usize() / 2;
    stream.shortened(half, half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_verdict() {
        for (kind, verdict) in LimitKind::ALL.into_iter().zip([
            Verdict::TimeLimitExceeded,
            Verdict::TimeLimitExceeded,
            Verdict::TimeLimitExceeded,
            Verdict::MemoryLimitExceeded,
            Verdict::OutputLimitExceeded,
            Verdict::RuntimeError,
            Verdict::OutputLimitExceeded,
            Verdict::OutputLimitExceeded,
        ]) {
            let failure = ending_failure(Termination::LimitExceeded(kind)).unwrap();
            assert_eq!(failure.verdict(), verdict, "{kind:?}");
            assert!(failure.describe().contains(kind.as_str()));
        }
    }

    #[test]
    fn a_hole_in_the_output_is_charged_to_whoever_made_it() {
        let stdout = Captured { head: vec![b'x'; 10], tail: vec![], bytes_total: 99 };
        let ours = Checker::Exact;
        assert_eq!(output_not_kept(&ours, &stdout, 9).unwrap(), CaseFailure::OutputNotKept);
        assert!(!output_not_kept(&ours, &stdout, 10).unwrap_err().retryable);
        assert!(!output_not_kept(&Checker::Hook, &stdout, 9).unwrap_err().retryable);
    }
}
