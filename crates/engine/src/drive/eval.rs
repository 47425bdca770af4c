//! Solutions judged against their problems, many at once.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rollcage_api::{
    CaseRecord, JoinedSample, JudgementRecord, JudgementResult, RunKind, RunStatus, StreamRecord,
};
use rollcage_judge::{CaseResult, Disclosure, JudgeOptions, Judgement, Verdict};
use rollcage_language::{Language, UnknownLanguage};
use rollcage_types::TaskId;
use serde_json::Value;
use tokio::task::JoinSet;

use super::engine::Engine;
use super::hook::HookError;
use super::judge::{Judged, judge};
use super::rollout::create_run;
use super::toolchain::ToolchainError;
use crate::store::{Store, StoreError};

/// Samples in work for each cage the host has: while some wait for a cage, others are assembled and compared.
const SAMPLES_PER_SLOT: usize = 2;

/// Places by which work may run ahead of the oldest sample that is not judged yet. The results of those ahead are held
/// back, so that one slow sample neither stops the others nor lets them pile up.
const AHEAD_MAX: usize = 1024;

/// Where judgements are kept.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The store.
    pub store: Arc<Store>,
    /// What the run's record says it was asked.
    pub config: Value,
}

/// One judged sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// The task.
    pub task_id: TaskId,
    /// Which of its samples.
    pub sample_index: u32,
    /// The language it was judged in.
    pub language: Arc<str>,
    /// The judgement, and where the time went.
    pub judged: Judged,
}

/// What happened.
#[derive(Debug)]
pub enum EvalProgress<'a> {
    /// The run is in the store.
    Started {
        /// The run.
        run_id: &'a str,
    },
    /// A sample was judged.
    Judged {
        /// The task.
        task_id: &'a TaskId,
        /// Which of its samples.
        sample_index: u32,
        /// The verdict, if there is one.
        verdict: Option<Verdict>,
    },
}

/// Why samples could not be judged, or their judgements not kept.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// Nobody defines a language.
    #[error(transparent)]
    Language(Box<UnknownLanguage>),
    /// A language cannot be used here.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The checker hook was given up.
    #[error(transparent)]
    Hook(Box<HookError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Judges every sample, in whatever order cages are free, and hands each over in the order of `samples`, until `take`
/// wants no more or the checker hook is given up. With a recording each judgement is stored as soon as it is there.
/// Dropping the future ends everything in work.
pub async fn eval(
    engine: &Engine,
    samples: Vec<JoinedSample>,
    options: JudgeOptions,
    recording: Option<Recording>,
    progress: impl Fn(&EvalProgress<'_>),
    mut take: impl FnMut(Evaluated) -> ControlFlow<()>,
) -> Result<(), EvalError> {
    let languages = languages_of(engine, &samples).await?;
    let keeper = match recording {
        None => None,
        Some(recording) => Some(Keeper::begin(engine, recording, languages.values(), &progress).await?),
    };
    let in_work_max = engine.host().slots() * SAMPLES_PER_SLOT;
    let mut waiting = samples.into_iter().enumerate().peekable();
    let mut in_work = JoinSet::new();
    // Judged before their turn, by place; and whose turn it is.
    let (mut early, mut turn) = (BTreeMap::new(), 0);
    let (mut status, mut given_up) = (RunStatus::Finished, None);
    'judging: loop {
        while in_work.len() < in_work_max {
            let Some((place, sample)) = waiting.next_if(|(place, _)| *place < turn + AHEAD_MAX) else {
                break;
            };
            let (engine, language) = (engine.clone(), Arc::clone(&languages[&sample.language]));
            in_work.spawn(async move {
                let judged = judge(&engine, &sample.problem, &language, &sample.solution, options).await;
                (place, sample, judged)
            });
        }
        let (place, sample, judged) = match in_work.join_next().await {
            None => break,
            Some(Ok(done)) => done,
            Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
        };
        if let Some(keeper) = &keeper {
            keeper.keep(&sample, &judged.judgement).await?;
        }
        given_up = engine.checker().and_then(|checker| checker.hook().given_up().cloned());
        if given_up.is_some() {
            status = RunStatus::Interrupted;
            break;
        }
        let verdict = match &judged.judgement {
            Judgement::Scored(scored) => Some(scored.verdict),
            Judgement::Unscorable(_) => None,
        };
        let JoinedSample { task_id, sample_index, problem: _, solution: _, language } = sample;
        progress(&EvalProgress::Judged { task_id: &task_id, sample_index, verdict });
        early.insert(place, Evaluated { task_id, sample_index, language, judged });
        while let Some(evaluated) = early.remove(&turn) {
            turn += 1;
            if take(evaluated).is_break() {
                status = RunStatus::Interrupted;
                break 'judging;
            }
        }
    }
    if let Some(keeper) = &keeper {
        keeper.store.finish_run(&keeper.run_id, status).await?;
    }
    given_up.map_or(Ok(()), |error| Err(EvalError::Hook(Box::new(error))))
}

/// The language of each sample, by the word its sample has for it; none lacks a toolchain.
async fn languages_of(
    engine: &Engine,
    samples: &[JoinedSample],
) -> Result<BTreeMap<Arc<str>, Arc<Language>>, EvalError> {
    let mut languages: BTreeMap<Arc<str>, Arc<Language>> = BTreeMap::new();
    for sample in samples {
        if !languages.contains_key(&sample.language) {
            let language = engine.languages().find(&sample.language);
            let language = language.map_err(|error| EvalError::Language(Box::new(error)))?;
            engine.toolchain(language).await?;
            engine.warm_up(language).await?;
            languages.insert(Arc::clone(&sample.language), Arc::clone(language));
        }
    }
    Ok(languages)
}

struct Keeper {
    store: Arc<Store>,
    run_id: String,
    fingerprint_id: String,
}

impl Keeper {
    async fn begin(
        engine: &Engine,
        Recording { store, config }: Recording,
        languages: impl Iterator<Item = &Arc<Language>>,
        progress: impl Fn(&EvalProgress<'_>),
    ) -> Result<Self, EvalError> {
        let fingerprint = engine.fingerprint(languages).await?;
        let fingerprint_id = store.put_fingerprint(&fingerprint).await?;
        let run_id = create_run(&store, RunKind::Eval, config, fingerprint_id.clone()).await?;
        progress(&EvalProgress::Started { run_id: &run_id });
        Ok(Self { store, run_id, fingerprint_id })
    }

    async fn keep(&self, sample: &JoinedSample, judgement: &Judgement) -> Result<(), StoreError> {
        let (result, cases) = match judgement {
            Judgement::Scored(scored) => (
                JudgementResult::Scored {
                    verdict: scored.verdict.as_str().to_owned(),
                    score: scored.score.value(),
                },
                scored.cases.iter().map(case_record).collect(),
            ),
            Judgement::Unscorable(unscorable) => (
                JudgementResult::Unscorable {
                    blame: unscorable.blame.as_str().to_owned(),
                    reason: unscorable.reason.clone(),
                    retryable: unscorable.retryable,
                },
                Vec::new(),
            ),
        };
        self.store
            .put_judgement(&JudgementRecord {
                run_id: self.run_id.clone(),
                problem_id: sample.task_id.to_string(),
                sample_index: sample.sample_index,
                language: sample.language.to_string(),
                result,
                cases,
                fingerprint_id: self.fingerprint_id.clone(),
                solution_blake3: blake3::hash(sample.solution.as_bytes()).to_hex().to_string(),
                solution: sample.solution.clone(),
            })
            .await
    }
}

/// The store is the user's own, so it may say what was expected. Output of a case that passed is not worth keeping.
fn case_record(case: &CaseResult) -> CaseRecord {
    let is_kept = !case.is_passed();
    CaseRecord {
        index: u32::try_from(case.index).unwrap_or(u32::MAX),
        verdict: case.verdict().as_str().to_owned(),
        score: if case.is_passed() { 1.0 } else { 0.0 },
        termination: Some(case.termination.into()),
        usage: Some((&case.usage).into()),
        stdout: is_kept.then(|| StreamRecord::excerpt(&case.stdout)),
        stderr: is_kept.then(|| StreamRecord::excerpt(&case.stderr)),
        detail: case.reason(Disclosure::Expected),
    }
}
