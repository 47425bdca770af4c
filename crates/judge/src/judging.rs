//! The judging state machine: which runs are wanted next, when to stop, and how results fold.
//!
//! A driver performs the steps and reports how they ended, in any order. The judgement is the one that running
//! the cases one after the other would give: a failure decides only once every case before it has been heard
//! of, and nothing that comes after it is part of the judgement.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rollcage_types::ByteSize;

use crate::case::{CaseResult, CompileReport, RunOutput, judge_compile, judge_run};
use crate::judgement::{Judgement, Scored, Unscorable};
use crate::problem::{Problem, Tests};
use crate::verdict::{Score, Verdict};

/// When running cases stops, and with it how a failing solution is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopRule {
    /// At the first failure, which names the verdict; a failing solution earns nothing.
    #[default]
    FirstFailure,
    /// Never: a failing solution earns its share of passed cases. The verdict is `PartiallyCorrect` if that
    /// share is above zero and that of the first failure otherwise.
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
    Judged(Box<CaseResult>),
    Failed(Unscorable),
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
        let running = self.cases.iter().filter(|case| matches!(case, CaseState::Running)).count();
        let room = self.options.parallel.get().saturating_sub(running);
        let needed = self.decisive().unwrap_or(self.cases.len());
        let mut steps = Vec::new();
        for (index, case) in self.cases.iter_mut().enumerate().take(needed) {
            if steps.len() == room {
                break;
            }
            if matches!(case, CaseState::Waiting) {
                *case = CaseState::Running;
                steps.push(match &self.problem.tests {
                    Tests::Cases(_) => Step::RunCase(index),
                    Tests::Code { .. } => Step::RunProgram,
                });
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
        self.cases[index] = match judged {
            Ok(result) => CaseState::Judged(Box::new(result)),
            Err(unscorable) => CaseState::Failed(unscorable),
        };
        if self.judgement.is_none() {
            self.judgement = self.fold();
        }
    }

    /// Running cases that can no longer change the judgement, by index. They may be cancelled, and must still
    /// be reported.
    pub fn cancellable(&self) -> Vec<usize> {
        let Some(decisive) = self.decisive() else { return Vec::new() };
        let running = |index: &usize| matches!(self.cases[*index], CaseState::Running);
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
            CaseState::Waiting | CaseState::Running => false,
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
                CaseState::Waiting | CaseState::Running => return None,
                CaseState::Failed(unscorable) => {
                    return Some(Judgement::Unscorable(unscorable.clone()));
                }
                CaseState::Judged(result) => cases.push(result.as_ref().clone()),
            }
        }
        let passed = cases.iter().filter(|case| case.is_passed()).count();
        let first_failure = cases.iter().find(|case| !case.is_passed()).map(CaseResult::verdict);
        let (verdict, score) = match (first_failure, self.options.stop) {
            (None, _) => (Verdict::Accepted, Score::ONE),
            (Some(verdict), StopRule::FirstFailure) => (verdict, Score::ZERO),
            (Some(verdict), StopRule::RunAll) => {
                let verdict = if passed > 0 { Verdict::PartiallyCorrect } else { verdict };
                (verdict, Score::share(passed, self.cases.len()))
            }
        };
        let compile = match &self.compile {
            CompileState::Waiting | CompileState::Running => None,
            CompileState::Done(report) => report.clone(),
        };
        Some(Judgement::Scored(Scored { verdict, score, refusal: None, compile, cases }))
    }
}
