//! The judging state machine: which runs are wanted next, when to stop, and how results fold.
//!
//! A driver performs the steps and reports how they ended, in any order. The judgement is the one that running
//! the cases one after the other would give: a failure decides only once every case before it has been heard
//! of, and nothing that comes after it is part of the judgement.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rollcage_types::ByteSize;

use crate::case::{CaseResult, CompileReport, JudgedRun, RunOutput, UncheckedCase, judge_compile, judge_run};
use crate::checker::Decision;
use crate::judgement::{Judgement, Scored, Unscorable};
use crate::problem::{Problem, Tests};
use crate::verdict::{Score, Verdict};

/// When running cases stops, and with it how a failing solution is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopRule {
    /// At the first failure, which names the verdict; a failing solution earns nothing.
    #[default]
    FirstFailure,
    /// Never: a failing solution earns its share of passed cases, or the mean of what a checker gave each. The verdict
    /// is `PartiallyCorrect` if that share is above zero and that of the first failure otherwise.
    RunAll,
}

/// Whether there is something to compile before the first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompileStep {
    /// The language compiles.
    Needed,
    /// It does not.
    NotNeeded,
}

/// How a solution is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgeOptions {
    /// When to stop.
    pub stop: StopRule,
    /// Cases run at once.
    pub parallel: NonZeroUsize,
    /// Bytes of each stream that a judgement keeps per case, from both ends. Comparison sees everything.
    pub keep_output: ByteSize,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        // Four KiB show a traceback, and a hundred cases of both streams stay below a megabyte.
        Self { stop: StopRule::default(), parallel: NonZeroUsize::MIN, keep_output: ByteSize::kib(4) }
    }
}

/// Something the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Compile the solution; answered by [`Judging::compiled`].
    Compile,
    /// Run the solution on this case; answered by [`Judging::case_finished`].
    RunCase(usize),
    /// Run the program assembled from solution and tests; answered by [`Judging::case_finished`] with index 0.
    RunProgram,
    /// Have the problem's checker decide on [`Judging::unchecked_output`] of this case, which ran to its end; answered
    /// by [`Judging::case_checked`].
    Check(usize),
}

#[derive(Debug)]
enum CompileState {
    Waiting,
    Running,
    Done(Option<Box<CompileReport>>),
}

#[derive(Debug)]
enum CaseState {
    Waiting,
    Running,
    /// It ran, and waits for its checker to be asked.
    Ran(Box<UncheckedCase>),
    Checking(Box<UncheckedCase>),
    Judged(Box<CaseResult>),
    Failed(Unscorable),
}

impl CaseState {
    const fn is_in_work(&self) -> bool {
        match self {
            Self::Running | Self::Checking(_) => true,
            Self::Waiting | Self::Ran(_) | Self::Judged(_) | Self::Failed(_) => false,
        }
    }
}

/// The judging of one solution.
#[derive(Debug)]
pub struct Judging {
    problem: Arc<Problem>,
    options: JudgeOptions,
    compile: CompileState,
    cases: Vec<CaseState>,
    judgement: Option<Judgement>,
}

impl Judging {
    /// Starts judging. A problem that cannot judge anything is [`Unscorable`] at once.
    pub fn new(problem: Arc<Problem>, compile: CompileStep, options: JudgeOptions) -> Self {
        let runs = match &problem.tests {
            Tests::Cases(cases) => cases.len(),
            Tests::Code { .. } => 1,
        };
        let compile = match compile {
            CompileStep::Needed => CompileState::Waiting,
            CompileStep::NotNeeded => CompileState::Done(None),
        };
        let judgement = problem.validate().err().map(|error| Judgement::Unscorable(error.into()));
        let cases = std::iter::repeat_with(|| CaseState::Waiting).take(runs).collect();
        Self { problem, options, compile, cases, judgement }
    }

    /// The steps that should start now. Each is named once, and must be reported once.
    pub fn next_steps(&mut self) -> Vec<Step> {
        if self.judgement.is_some() {
            return Vec::new();
        }
        match self.compile {
            CompileState::Waiting => {
                self.compile = CompileState::Running;
                return vec![Step::Compile];
            }
            CompileState::Running => return Vec::new(),
            CompileState::Done(_) => {}
        }
        let running = self.cases.iter().filter(|case| case.is_in_work()).count();
        let room = self.options.parallel.get().saturating_sub(running);
        let needed = self.decisive().unwrap_or(self.cases.len());
        let mut steps = Vec::new();
        for (index, case) in self.cases.iter_mut().enumerate().take(needed) {
            if steps.len() == room {
                break;
            }
            match std::mem::replace(case, CaseState::Running) {
                CaseState::Waiting => steps.push(match &self.problem.tests {
                    Tests::Cases(_) => Step::RunCase(index),
                    Tests::Code { .. } => Step::RunProgram,
                }),
                CaseState::Ran(unchecked) => {
                    *case = CaseState::Checking(unchecked);
                    steps.push(Step::Check(index));
                }
                other @ (CaseState::Running
                | CaseState::Checking(_)
                | CaseState::Judged(_)
                | CaseState::Failed(_)) => *case = other,
            }
        }
        steps
    }

    /// Reports the compiler's run.
    ///
    /// # Panics
    /// If [`Step::Compile`] was not asked for, or was reported before.
    pub fn compiled(&mut self, result: Result<RunOutput, Unscorable>) {
        assert!(
            matches!(self.compile, CompileState::Running),
            "a compilation was reported but is not running"
        );
        match result.and_then(|output| judge_compile(&output, self.options.keep_output)) {
            Err(unscorable) => {
                self.compile = CompileState::Done(None);
                self.judgement = Some(Judgement::Unscorable(unscorable));
            }
            Ok(report) => {
                let report = Box::new(report);
                if report.failure().is_some() {
                    self.judgement = Some(Judgement::Scored(Scored {
                        verdict: Verdict::CompileError,
                        score: Score::ZERO,
                        refusal: None,
                        compile: Some(report.clone()),
                        cases: Vec::new(),
                    }));
                }
                self.compile = CompileState::Done(Some(report));
            }
        }
    }

    /// Reports the run of one case, or of the program (index 0).
    ///
    /// # Panics
    /// If the case was not asked for, or was reported before.
    pub fn case_finished(&mut self, index: usize, result: Result<RunOutput, Unscorable>) {
        assert!(
            matches!(self.cases.get(index), Some(CaseState::Running)),
            "case {index} was reported but is not running"
        );
        let judged =
            result.and_then(|output| judge_run(&self.problem, index, &output, self.options.keep_output));
        self.settle(
            index,
            match judged {
                Ok(JudgedRun::Done(result)) => CaseState::Judged(Box::new(result)),
                Ok(JudgedRun::ToCheck(unchecked)) => CaseState::Ran(Box::new(unchecked)),
                Err(unscorable) => CaseState::Failed(unscorable),
            },
        );
    }

    /// The output that a [`Step::Check`] is about, whole; `None` where none was asked for or it was reported.
    pub fn unchecked_output(&self, index: usize) -> Option<&[u8]> {
        match self.cases.get(index)? {
            CaseState::Checking(unchecked) => Some(&unchecked.stdout),
            CaseState::Waiting
            | CaseState::Running
            | CaseState::Ran(_)
            | CaseState::Judged(_)
            | CaseState::Failed(_) => None,
        }
    }

    /// Reports what a case's checker decided.
    ///
    /// # Panics
    /// If [`Step::Check`] was not asked for this case, or was reported before.
    pub fn case_checked(&mut self, index: usize, result: Result<Decision, Unscorable>) {
        assert!(
            matches!(self.cases.get(index), Some(CaseState::Checking(_))),
            "case {index} was reported as checked but is not being checked"
        );
        let state = std::mem::replace(&mut self.cases[index], CaseState::Waiting);
        let CaseState::Checking(unchecked) = state else { unreachable!("asserted above") };
        self.settle(
            index,
            match result {
                Ok(decision) => CaseState::Judged(Box::new(unchecked.decided(decision))),
                Err(unscorable) => CaseState::Failed(unscorable),
            },
        );
    }

    /// Reports that work on a case was dropped, whether it ran or was being checked.
    ///
    /// # Panics
    /// If nothing of the case was in work.
    pub fn case_dropped(&mut self, index: usize) {
        assert!(
            self.cases.get(index).is_some_and(CaseState::is_in_work),
            "case {index} was reported as dropped but nothing of it is in work"
        );
        let why = Unscorable::infrastructure("work on it was dropped", true);
        self.settle(index, CaseState::Failed(why));
    }

    fn settle(&mut self, index: usize, state: CaseState) {
        self.cases[index] = state;
        if self.judgement.is_none() {
            self.judgement = self.fold();
        }
    }

    /// Cases in work that can no longer change the judgement, by index. They may be cancelled, and must still
    /// be reported: with [`Judging::case_dropped`], if work on them was dropped.
    pub fn cancellable(&self) -> Vec<usize> {
        let Some(decisive) = self.decisive() else { return Vec::new() };
        let running = |index: &usize| self.cases[*index].is_in_work();
        (decisive + 1..self.cases.len()).filter(running).collect()
    }

    /// The judgement, once it is certain.
    pub const fn judgement(&self) -> Option<&Judgement> {
        self.judgement.as_ref()
    }

    /// The judgement, once it is certain.
    pub fn into_judgement(self) -> Option<Judgement> {
        self.judgement
    }

    /// The lowest index known to end the judging: nothing after it is needed, everything before it is.
    fn decisive(&self) -> Option<usize> {
        self.cases.iter().position(|case| match case {
            CaseState::Waiting | CaseState::Running | CaseState::Ran(_) | CaseState::Checking(_) => false,
            CaseState::Failed(_) => true,
            CaseState::Judged(result) => match self.options.stop {
                StopRule::FirstFailure => !result.is_passed(),
                StopRule::RunAll => false,
            },
        })
    }

    fn fold(&self) -> Option<Judgement> {
        let mut cases = Vec::new();
        let end = self.decisive().map_or(self.cases.len(), |decisive| decisive + 1);
        for case in &self.cases[..end] {
            match case {
                CaseState::Waiting | CaseState::Running | CaseState::Ran(_) | CaseState::Checking(_) => {
                    return None;
                }
                CaseState::Failed(unscorable) => {
                    return Some(Judgement::Unscorable(unscorable.clone()));
                }
                CaseState::Judged(result) => cases.push(result.as_ref().clone()),
            }
        }
        let earned = Score::mean(cases.iter().map(CaseResult::score), self.cases.len());
        let first_failure = cases.iter().find(|case| !case.is_passed()).map(CaseResult::verdict);
        let (verdict, score) = match (first_failure, self.options.stop) {
            (None, _) => (Verdict::Accepted, earned),
            (Some(verdict), StopRule::FirstFailure) => (verdict, Score::ZERO),
            (Some(verdict), StopRule::RunAll) => {
                let verdict = if earned > Score::ZERO { Verdict::PartiallyCorrect } else { verdict };
                (verdict, earned)
            }
        };
        let compile = match &self.compile {
            CompileState::Waiting | CompileState::Running => None,
            CompileState::Done(report) => report.clone(),
        };
        Some(Judgement::Scored(Scored { verdict, score, refusal: None, compile, cases }))
    }
}
