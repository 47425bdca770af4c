//! Judging as a driver sees it: steps out, reports in, in any order.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that is not as it should be"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;

use proptest::prelude::*;
use rollcage_judge::{
    Blame, Checker, CompileStep, Completion, Disclosure, JudgeOptions, Judgement, Judging, Problem,
    RunOutput, Step, StopRule, TestCase, Tests, Unscorable, Verdict,
};
use rollcage_types::{Captured, LimitKind, LimitOverrides, ProblemId, Termination, Usage};

fn problem(tests: Tests) -> Arc<Problem> {
    Arc::new(Problem {
        id: ProblemId::new("p"),
        language: None,
        tests,
        limits: LimitOverrides::default(),
        checker: Checker::Exact,
        files: Vec::new(),
    })
}

/// Every case expects `right`.
fn cases(count: usize) -> Arc<Problem> {
    let case = TestCase { stdin: Arc::from(*b""), expected: Arc::from(*b"right") };
    problem(Tests::Cases(vec![case; count]))
}

fn code() -> Arc<Problem> {
    problem(Tests::Code { prefix: "".into(), context: "".into(), test_code: "check(f)".into() })
}

fn ended(termination: Termination, stdout: &str, completion: Completion) -> RunOutput {
    RunOutput {
        termination,
        stdout: Captured::whole(stdout),
        stderr: Captured::default(),
        usage: Usage::default(),
        completion,
    }
}

fn exited(code: u8, stdout: &str) -> RunOutput {
    ended(Termination::Exited { code }, stdout, Completion::NotRequired)
}

fn limited(kind: LimitKind) -> RunOutput {
    ended(Termination::LimitExceeded(kind), "", Completion::NotRequired)
}

fn options(stop: StopRule, parallel: usize) -> JudgeOptions {
    JudgeOptions { stop, parallel: NonZeroUsize::new(parallel).unwrap(), ..JudgeOptions::default() }
}

fn verdict(judging: &Judging) -> (Verdict, f64) {
    match judging.judgement() {
        Some(Judgement::Scored(scored)) => (scored.verdict, scored.score.value()),
        other => panic!("not scored: {other:?}"),
    }
}

fn unscorable(judging: &Judging) -> &Unscorable {
    match judging.judgement() {
        Some(Judgement::Unscorable(unscorable)) => unscorable,
        other => panic!("not unscorable: {other:?}"),
    }
}

#[test]
fn one_case_gets_the_verdict_of_its_ending() {
    for (output, expected) in [
        (exited(0, "right\n"), Verdict::Accepted),
        (exited(0, "wrong"), Verdict::WrongAnswer),
        (exited(1, "right"), Verdict::RuntimeError),
        (
            ended(Termination::Signaled { signal: 11 }, "right", Completion::NotRequired),
            Verdict::RuntimeError,
        ),
        (limited(LimitKind::CpuTime), Verdict::TimeLimitExceeded),
        (limited(LimitKind::Memory), Verdict::MemoryLimitExceeded),
        (limited(LimitKind::Processes), Verdict::RuntimeError),
    ] {
        let mut judging = Judging::new(cases(1), CompileStep::NotNeeded, JudgeOptions::default());
        assert_eq!(judging.next_steps(), [Step::RunCase(0)]);
        judging.case_finished(0, Ok(output.clone()));
        assert_eq!(verdict(&judging).0, expected, "{output:?}");
        assert_eq!(judging.next_steps(), []);
    }
}

#[test]
fn a_program_must_prove_that_its_tests_ran() {
    let exit = |code| Termination::Exited { code };
    for (output, expected) in [
        (ended(exit(0), "", Completion::Proved), Verdict::Accepted),
        (ended(exit(0), "", Completion::NotRequired), Verdict::Accepted),
        (ended(exit(0), "", Completion::Missing), Verdict::RuntimeError),
        (ended(exit(1), "", Completion::Proved), Verdict::RuntimeError),
        (ended(exit(1), "", Completion::Missing), Verdict::RuntimeError),
    ] {
        let mut judging = Judging::new(code(), CompileStep::NotNeeded, JudgeOptions::default());
        assert_eq!(judging.next_steps(), [Step::RunProgram]);
        judging.case_finished(0, Ok(output.clone()));
        assert_eq!(verdict(&judging).0, expected, "{output:?}");
    }
    let mut judging = Judging::new(code(), CompileStep::NotNeeded, JudgeOptions::default());
    judging.next_steps();
    judging.case_finished(0, Ok(ended(exit(0), "", Completion::Missing)));
    let Some(Judgement::Scored(scored)) = judging.into_judgement() else { panic!("not scored") };
    assert_eq!(scored.reason(Disclosure::Position).unwrap(), "it ended before its tests did");
}

#[test]
fn compiling_comes_first_and_once() {
    let mut judging = Judging::new(cases(2), CompileStep::Needed, options(StopRule::FirstFailure, 8));
    assert_eq!(judging.next_steps(), [Step::Compile]);
    assert_eq!(judging.next_steps(), []);
    judging.compiled(Ok(exited(0, "")));
    assert_eq!(judging.next_steps(), [Step::RunCase(0), Step::RunCase(1)]);

    for (output, reason) in [
        (exited(1, ""), "compiling: it exited with code 1"),
        (limited(LimitKind::WallTime), "compiling: it exceeded its wall_time limit"),
    ] {
        let mut judging = Judging::new(cases(2), CompileStep::Needed, JudgeOptions::default());
        judging.next_steps();
        judging.compiled(Ok(output));
        assert_eq!(verdict(&judging), (Verdict::CompileError, 0.0));
        assert_eq!(judging.next_steps(), []);
        let Some(Judgement::Scored(scored)) = judging.into_judgement() else { panic!("not scored") };
        assert_eq!(scored.reason(Disclosure::Expected).as_deref(), Some(reason));
    }
}

#[test]
fn a_failure_waits_for_the_cases_before_it() {
    let mut judging = Judging::new(cases(4), CompileStep::NotNeeded, options(StopRule::FirstFailure, 3));
    assert_eq!(judging.next_steps(), [Step::RunCase(0), Step::RunCase(1), Step::RunCase(2)]);
    judging.case_finished(1, Ok(exited(0, "wrong")));
    assert_eq!(judging.judgement(), None);
    assert_eq!(judging.cancellable(), [2]);
    assert_eq!(judging.next_steps(), [], "case 3 comes after a failure");
    judging.case_finished(2, Ok(ended(Termination::Cancelled, "", Completion::NotRequired)));
    judging.case_finished(0, Ok(exited(9, "")));
    assert_eq!(verdict(&judging), (Verdict::RuntimeError, 0.0));
}

#[test]
fn running_all_earns_a_share() {
    for (outputs, expected) in [
        (["right", "right"], (Verdict::Accepted, 1.0)),
        (["right", "wrong"], (Verdict::PartiallyCorrect, 0.5)),
        (["wrong", "wrong"], (Verdict::WrongAnswer, 0.0)),
    ] {
        let mut judging = Judging::new(cases(2), CompileStep::NotNeeded, options(StopRule::RunAll, 2));
        judging.next_steps();
        for (index, output) in outputs.iter().enumerate().rev() {
            assert_eq!(judging.cancellable(), [] as [usize; 0]);
            judging.case_finished(index, Ok(exited(0, output)));
        }
        assert_eq!(verdict(&judging), expected);
    }
}

#[test]
fn our_own_failures_have_no_score() {
    let run = |report: Result<RunOutput, Unscorable>| {
        let mut judging = Judging::new(cases(1), CompileStep::NotNeeded, JudgeOptions::default());
        judging.next_steps();
        judging.case_finished(0, report);
        unscorable(&judging).clone()
    };
    let disk = Unscorable::infrastructure("no space left on device", false);
    assert_eq!(run(Err(disk.clone())), disk);
    let cancelled = run(Ok(ended(Termination::Cancelled, "right", Completion::NotRequired)));
    assert_eq!((cancelled.blame, cancelled.retryable), (Blame::Infrastructure, true));

    let mut judging = Judging::new(cases(1), CompileStep::Needed, JudgeOptions::default());
    judging.next_steps();
    judging.compiled(Err(disk.clone()));
    assert_eq!(unscorable(&judging), &disk);

    let mut empty = Judging::new(cases(0), CompileStep::NotNeeded, JudgeOptions::default());
    assert_eq!(empty.next_steps(), []);
    assert_eq!(unscorable(&empty).blame, Blame::Problem);
}

#[derive(Clone, Debug)]
enum Ending {
    Right,
    Wrong,
    Crash,
    Slow,
    Broken,
}

impl Ending {
    fn report(&self, index: usize) -> Result<RunOutput, Unscorable> {
        match self {
            Self::Right => Ok(exited(0, "right")),
            Self::Wrong => Ok(exited(0, "wrong")),
            Self::Crash => Ok(exited(1, "")),
            Self::Slow => Ok(limited(LimitKind::CpuTime)),
            Self::Broken => Err(Unscorable::infrastructure(format!("case {index} broke"), true)),
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Self::Right => Verdict::Accepted,
            Self::Wrong => Verdict::WrongAnswer,
            Self::Crash | Self::Broken => Verdict::RuntimeError,
            Self::Slow => Verdict::TimeLimitExceeded,
        }
    }
}

/// Cases one after the other: a verdict with its score and the number of cases looked at, or a broken case.
fn sequential(endings: &[Ending], stop: StopRule) -> Result<(Verdict, f64, usize), String> {
    let (mut passed, mut first) = (0, None);
    for (index, ending) in endings.iter().enumerate() {
        match ending {
            Ending::Right => passed += 1,
            Ending::Broken => return Err(format!("case {index} broke")),
            Ending::Wrong | Ending::Crash | Ending::Slow => {
                if stop == StopRule::FirstFailure {
                    return Ok((ending.verdict(), 0.0, index + 1));
                }
                first = first.or(Some(ending.verdict()));
            }
        }
    }
    let score = f64::from(passed) / endings.len() as f64;
    let verdict = match first {
        None => Verdict::Accepted,
        Some(_) if passed > 0 => Verdict::PartiallyCorrect,
        Some(verdict) => verdict,
    };
    Ok((verdict, score, endings.len()))
}

proptest! {
    #[test]
    fn the_order_of_completion_does_not_matter(
        endings in prop::collection::vec(
            prop_oneof![4 => Just(Ending::Right), 1 => Just(Ending::Wrong), 1 => Just(Ending::Crash),
                        1 => Just(Ending::Slow), 1 => Just(Ending::Broken)], 1..9),
        stop in prop_oneof![Just(StopRule::FirstFailure), Just(StopRule::RunAll)],
        parallel in 1..9_usize,
        picks in prop::collection::vec(any::<(prop::sample::Index, bool)>(), 16),
    ) {
        let mut judging =
            Judging::new(cases(endings.len()), CompileStep::NotNeeded, options(stop, parallel));
        let mut running = Vec::new();
        for (pick, cancels) in picks {
            for step in judging.next_steps() {
                let Step::RunCase(index) = step else { panic!("{step:?}") };
                running.push(index);
            }
            prop_assert!(running.len() <= parallel);
            if running.is_empty() {
                break;
            }
            let index = running.swap_remove(pick.index(running.len()));
            let report = if cancels && judging.cancellable().contains(&index) {
                Ok(ended(Termination::Cancelled, "", Completion::NotRequired))
            } else {
                endings[index].report(index)
            };
            judging.case_finished(index, report);
        }
        let result = match judging.into_judgement() {
            Some(Judgement::Scored(scored)) => Ok((scored.verdict, scored.score.value(), scored.cases.len())),
            Some(Judgement::Unscorable(unscorable)) => Err(unscorable.reason),
            None => panic!("every case was reported"),
        };
        prop_assert_eq!(result, sequential(&endings, stop));
    }
}
