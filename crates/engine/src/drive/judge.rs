//! Judging one solution: the steps [`Judging`] asks for, performed in cages.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollcage_judge::{
    CompileStep, Completion, Decision, JudgeOptions, Judgement, Judging, Problem, RunOutput, Step, Tests,
    Unscorable,
};
use rollcage_language::Language;
use tokio::task::{AbortHandle, JoinSet};

use super::cages::Cages;
use super::check::check_case;
use super::compile::{Compilation, Compiled};
use super::engine::{Engine, Spent};
use super::request::{Trial, draw_token};

/// A judgement, and where the time went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it came to.
    pub judgement: Judgement,
    /// Summed over all runs, which may have overlapped.
    pub spent: Spent,
}

/// Finished work on one case.
struct CaseWork {
    index: usize,
    done: CaseDone,
    spent: Spent,
}

enum CaseDone {
    Ran(Result<RunOutput, Unscorable>),
    Checked(Result<Decision, Unscorable>),
}

/// Judges `solution`: compiles it at most once, runs each case in a fresh cage, and asks whoever else decides. Dropping
/// the future ends all of it.
pub async fn judge(
    engine: &Engine,
    problem: &Arc<Problem>,
    language: &Arc<Language>,
    solution: &str,
    options: JudgeOptions,
) -> Judged {
    let mut spent = Spent::default();
    let (cages, trial) = match prepare(engine, problem, language, solution).await {
        Ok(prepared) => prepared,
        Err(unscorable) => return Judged { judgement: Judgement::Unscorable(unscorable), spent },
    };
    let needs_compiler =
        if trial.language.compile_command().is_some() { CompileStep::Needed } else { CompileStep::NotNeeded };
    let mut judging = Judging::new(Arc::clone(problem), needs_compiler, options);
    let mut compiled: Option<Arc<Compiled>> = None;
    let mut work = JoinSet::new();
    let mut open: BTreeMap<usize, AbortHandle> = BTreeMap::new();
    loop {
        for step in judging.next_steps() {
            let case = match step {
                Step::Compile => {
                    let result = compile(&cages, &trial, &mut spent).await;
                    judging.compiled(result.map(|(output, files)| {
                        compiled = Some(Arc::new(files));
                        output
                    }));
                    continue;
                }
                Step::RunCase(index) => Some(index),
                Step::RunProgram => None,
                Step::Check(index) => {
                    let stdout = judging.unchecked_output(index).expect("its check was asked for").to_vec();
                    let (engine, problem) = (engine.clone(), Arc::clone(problem));
                    let check = async move {
                        let (decision, spent) = check_case(&engine, &problem, index, stdout).await;
                        CaseWork { index, done: CaseDone::Checked(decision), spent }
                    };
                    open.insert(index, work.spawn(check));
                    continue;
                }
            };
            let (cages, trial, compiled) = (cages.clone(), Arc::clone(&trial), compiled.clone());
            let run = async move { run_case(&cages, &trial, case, compiled.as_deref()).await };
            open.insert(case.unwrap_or(0), work.spawn(run));
        }
        for index in judging.cancellable() {
            if let Some(run) = open.remove(&index) {
                run.abort();
                judging.case_dropped(index);
            }
        }
        if let Some(judgement) = judging.judgement() {
            return Judged { judgement: judgement.clone(), spent };
        }
        if open.is_empty() {
            // What was done at once leads to other steps: compiling to runs, runs to checks.
            continue;
        }
        match work.join_next().await {
            Some(Ok(run)) => {
                // One that was aborted may have finished first; it has been reported.
                if open.remove(&run.index).is_some() {
                    spent += run.spent;
                    report(&mut judging, run);
                }
            }
            Some(Err(failed)) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Some(Err(_aborted)) => {}
            None => unreachable!("an open run is in the set"),
        }
    }
}

/// The cages to try `solution` in, and what is put into them.
async fn prepare(
    engine: &Engine,
    problem: &Arc<Problem>,
    language: &Arc<Language>,
    solution: &str,
) -> Result<(Cages, Arc<Trial>), Unscorable> {
    tests_can_run(engine, problem, language).await?;
    let token = draw_token()?;
    let cages = engine.cages(language).await?;
    let (problem, language) = (Arc::clone(problem), Arc::clone(language));
    let trial = Trial::new(&cages.workspace_path(), problem, language, solution, token);
    Ok((cages, Arc::new(trial)))
}

fn report(judging: &mut Judging, work: CaseWork) {
    let CaseWork { index, done, spent: _ } = work;
    match done {
        CaseDone::Ran(result) => judging.case_finished(index, result),
        CaseDone::Checked(result) => judging.case_checked(index, result),
    }
}

/// Whether the libraries are there that the problem's own tests use: without one, the best solution fails.
async fn tests_can_run(
    engine: &Engine,
    problem: &Problem,
    language: &Arc<Language>,
) -> Result<(), Unscorable> {
    let Tests::Code { prefix, context, test_code } = &problem.tests else { return Ok(()) };
    let needed: Vec<_> = language.libraries_in(&[prefix, context, test_code]).collect();
    if needed.is_empty() {
        return Ok(());
    }
    let toolchain = engine
        .toolchain(language)
        .await
        .map_err(|error| Unscorable::infrastructure(super::error_chain(&error), false))?;
    match needed.iter().find(|library| toolchain.missing_libraries.contains(&library.path)) {
        None => Ok(()),
        Some(library) => {
            let install = language.test_code.as_ref().and_then(|section| section.install.as_ref());
            let hint = install.map(|line| format!("; install it with `{line}`")).unwrap_or_default();
            let why = format!(
                "language `{}`: the tests use `{}` of `{}`, which is not there{hint}",
                language.name, library.word, library.path
            );
            Err(Unscorable::infrastructure(why, false))
        }
    }
}

async fn compile(
    cages: &Cages,
    trial: &Trial,
    spent: &mut Spent,
) -> Result<(RunOutput, Compiled), Unscorable> {
    let request = trial.compile_request().expect("asked for only where the language compiles");
    let compilation =
        if trial.holds_token() { cages.compile_alone(request).await } else { cages.compile(request).await };
    match compilation {
        Ok(Compilation { outcome, spent: own }) => {
            *spent += own;
            let compiled = Compiled::of(&outcome);
            Ok((RunOutput::new(Arc::unwrap_or_clone(outcome), Completion::NotRequired), compiled))
        }
        Err(error) => Ok((trial.not_run(&error, None)?, Compiled::default())),
    }
}

async fn run_case(
    cages: &Cages,
    trial: &Trial,
    case: Option<usize>,
    compiled: Option<&Compiled>,
) -> CaseWork {
    let index = case.unwrap_or(0);
    match cages.run(trial.run_request(case, compiled)).await {
        Ok(ran) => {
            let spent = Spent { queue: ran.queue, run: ran.run, ..Spent::default() };
            CaseWork { index, done: CaseDone::Ran(Ok(trial.run_output(ran.outcome))), spent }
        }
        Err(error) => {
            let done = CaseDone::Ran(trial.not_run(&error, compiled));
            CaseWork { index, done, spent: Spent::default() }
        }
    }
}
