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
    Blame, Checker, CompileStep, Completion, Decision, Disclosure, JudgeOptions, Judgement, Judging, Problem,
    RunOutput, Score, Step, StopRule, TestCase, Tests, Unscorable, Verdict, program_decision,
};
use rollcage_types::{
    Captured, Enforcement, ExecOutcome, IsolationLevel, LimitKind, LimitOverrides, NetworkLog, ProblemId,
    Termination, Usage,
};

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
        picks in prop::collection::vec(any::<(prop::sample::Index, bool)>(), 32),
        is_asked in any::<bool>(),
    ) {
        // Whoever compares: the judge itself, or a checker that is asked.
        let problem = if is_asked { asked(endings.len()) } else { cases(endings.len()) };
        let mut judging =
            Judging::new(problem, CompileStep::NotNeeded, options(stop, parallel));
        let mut running = Vec::new();
        for (pick, cancels) in picks {
            for step in judging.next_steps() {
                match step {
                    Step::RunCase(index) => running.push((index, false)),
                    Step::Check(index) => running.push((index, true)),
                    Step::Compile | Step::RunProgram => panic!("{step:?}"),
                }
            }
            prop_assert!(running.len() <= parallel);
            if running.is_empty() {
                break;
            }
            let (index, is_check) = running.swap_remove(pick.index(running.len()));
            if cancels && judging.cancellable().contains(&index) {
                judging.case_dropped(index);
            } else if is_check {
                let is_right = judging.unchecked_output(index) == Some(b"right".as_slice());
                judging.case_checked(index, Ok(Decision::new(is_right, None, None)));
            } else {
                judging.case_finished(index, endings[index].report(index));
            }
        }
        let result = match judging.into_judgement() {
            Some(Judgement::Scored(scored)) => Ok((scored.verdict, scored.score.value(), scored.cases.len())),
            Some(Judgement::Unscorable(unscorable)) => Err(unscorable.reason),
            None => panic!("every case was reported"),
        };
        prop_assert_eq!(result, sequential(&endings, stop));
    }
}

/// A problem whose checker is somebody else's.
fn asked(count: usize) -> Arc<Problem> {
    let mut problem = Arc::unwrap_or_clone(cases(count));
    problem.ask_hook();
    Arc::new(problem)
}

fn decision(passed: bool, score: f64) -> Decision {
    Decision::new(passed, Score::new(score), None)
}

#[test]
fn a_checker_that_is_not_ours_is_asked_about_what_ran_to_its_end() {
    let mut judging = Judging::new(asked(3), CompileStep::NotNeeded, options(StopRule::FirstFailure, 1));
    assert_eq!(judging.next_steps(), [Step::RunCase(0)]);
    assert_eq!(judging.unchecked_output(0), None);
    judging.case_finished(0, Ok(exited(0, "any output\n")));
    assert_eq!(judging.next_steps(), [Step::Check(0)], "it counts as one of those at once");
    assert_eq!(judging.next_steps(), []);
    assert_eq!(judging.unchecked_output(0), Some(b"any output\n".as_slice()));
    judging.case_checked(0, Ok(decision(true, 1.0)));
    assert_eq!(judging.next_steps(), [Step::RunCase(1)]);
    // Nobody is asked about a program that failed by itself.
    judging.case_finished(1, Ok(exited(1, "any output\n")));
    assert_eq!(judging.next_steps(), []);
    assert_eq!(verdict(&judging), (Verdict::RuntimeError, 0.0));
}

#[test]
fn what_a_checker_gives_is_averaged() {
    let judge = |decisions: &[(bool, f64)], stop| {
        let count = decisions.len();
        let mut judging = Judging::new(asked(count), CompileStep::NotNeeded, options(stop, count));
        for step in judging.next_steps() {
            let Step::RunCase(index) = step else { panic!("{step:?}") };
            judging.case_finished(index, Ok(exited(0, "x")));
        }
        // Checked in the opposite order, which must not matter.
        for step in judging.next_steps().into_iter().rev() {
            let Step::Check(index) = step else { panic!("{step:?}") };
            let (passed, score) = decisions[index];
            judging.case_checked(index, Ok(decision(passed, score)));
        }
        verdict(&judging)
    };
    let all = StopRule::RunAll;
    assert_eq!(judge(&[(true, 1.0), (true, 0.5)], all), (Verdict::Accepted, 0.75));
    assert_eq!(judge(&[(true, 1.0), (false, 0.5)], all), (Verdict::PartiallyCorrect, 0.75));
    assert_eq!(judge(&[(false, 0.0), (false, 0.0)], all), (Verdict::WrongAnswer, 0.0));
    let first = StopRule::FirstFailure;
    assert_eq!(judge(&[(true, 0.5), (true, 0.5)], first), (Verdict::Accepted, 0.5));
    assert_eq!(judge(&[(true, 1.0), (false, 0.5)], first), (Verdict::WrongAnswer, 0.0));
}

#[test]
fn a_checker_that_fails_is_nobodys_verdict() {
    let mut judging = Judging::new(asked(2), CompileStep::NotNeeded, options(StopRule::FirstFailure, 2));
    judging.next_steps();
    judging.case_finished(0, Ok(exited(0, "x")));
    assert_eq!(judging.next_steps(), [Step::Check(0)]);
    judging.case_checked(0, Err(Unscorable::infrastructure("the hook crashed", false)));
    assert_eq!(unscorable(&judging).reason, "the hook crashed");
    assert_eq!(judging.cancellable(), [1]);
    judging.case_dropped(1);
    assert_eq!(unscorable(&judging).blame, Blame::Infrastructure);
}

#[test]
fn a_check_that_no_longer_matters_can_be_dropped() {
    let mut judging = Judging::new(asked(2), CompileStep::NotNeeded, options(StopRule::FirstFailure, 2));
    judging.next_steps();
    judging.case_finished(1, Ok(exited(0, "x")));
    assert_eq!(judging.next_steps(), [Step::Check(1)]);
    judging.case_finished(0, Ok(exited(1, "")));
    assert_eq!(judging.cancellable(), [1]);
    judging.case_dropped(1);
    assert_eq!(verdict(&judging), (Verdict::RuntimeError, 0.0));
}

fn ended_outcome() -> ExecOutcome {
    ExecOutcome {
        termination: Termination::Exited { code: 0 },
        start: rollcage_types::Start::Cold,
        stdout: Captured::default(),
        stderr: Captured::default(),
        usage: Usage::default(),
        network: NetworkLog::default(),
        enforcement: Arc::new(Enforcement::nothing(IsolationLevel::Full)),
        files: Vec::new(),
        files_omitted: 0,
    }
}

#[test]
fn a_checker_program_decides_only_by_a_clear_sign() {
    let outcome = |code: u8, stdout: &str, stderr: &str| ExecOutcome {
        termination: Termination::Exited { code },
        start: rollcage_types::Start::Cold,
        stdout: Captured::whole(stdout),
        stderr: Captured::whole(stderr),
        ..ended_outcome()
    };
    for (code, stdout, stderr, passed, score) in [
        (0, "1\n", "", true, 1.0),
        (0, "0\nline 3 differs\n", "", false, 0.0),
        (0, "0.25", "", false, 0.25),
        (0, "", "ok 3 numbers\n", true, 1.0),
        (1, "", "wrong answer 1st number differs\n", false, 0.0),
        (2, "", "wrong output format expected a number\n", false, 0.0),
    ] {
        let decision = program_decision(&outcome(code, stdout, stderr)).unwrap();
        assert_eq!(
            (decision.passed, decision.score.value()),
            (passed, score),
            "{code} {stdout:?} {stderr:?}"
        );
    }
    for (code, stdout, stderr, words) in [
        (0, "", "", "code 0 and decided nothing"),
        (0, "accepted\n", "", "decided nothing"),
        (0, "2\n", "", "the score 2"),
        (0, "NaN\n", "", "the score NaN"),
        // What interpreters do when they crash is not a verdict.
        (
            1,
            "1\n",
            "Traceback (most recent call last):\n",
            "code 1 and decided nothing; its standard error: Traceback",
        ),
        (3, "", "FAIL jury has no answer\n", "code 3"),
    ] {
        let refused = program_decision(&outcome(code, stdout, stderr)).unwrap_err();
        assert_eq!((refused.blame, refused.retryable), (Blame::Problem, false), "{refused}");
        assert!(refused.reason.contains(words), "{refused}");
    }
    let limited =
        ExecOutcome { termination: Termination::LimitExceeded(LimitKind::CpuTime), ..ended_outcome() };
    assert!(program_decision(&limited).unwrap_err().reason.contains("cpu_time"));
    let cancelled = ExecOutcome { termination: Termination::Cancelled, ..ended_outcome() };
    assert_eq!(program_decision(&cancelled).unwrap_err().blame, Blame::Infrastructure);
}
