//! `rollcage rollout`: a run file carried out, or one that was interrupted carried on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rollcage_api::{ExitCode, RunConfig, RunKind, RunStatus};
use rollcage_engine::drive::{
    EngineConfig, RolloutPlan, RolloutProgress, RolloutResult, RunStart, Stop, SummaryDepth, rollout,
    summarise_run,
};
use rollcage_engine::store::Store;

use super::show_run;
use crate::cage_options::CageOptions;
use crate::dataset_files::note_refused;
use crate::engine_host::{
    OnSignal, StoreOption, SyncOption, plan_failed, rollout_failed, store_failed, with_engine,
};
use crate::failure::Failure;
use crate::language_files::LanguagesOption;
use crate::output;
use crate::progress::Bar;
use crate::reuse_options::ReuseOptions;
use crate::visible_text::visible_line;

/// Roll out a policy in environments
///
/// Carries a conversation with an interpreter for every sample of every task, judges the answers, and stores each
/// turn before the next begins. Ctrl-C ends it so that `--resume` goes on where it stopped.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Go on with this run, named by its id or the start of it
    #[arg(long, value_name = "RUN")]
    resume: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    sync: SyncOption,
    #[command(flatten)]
    languages: LanguagesOption,
    #[command(flatten)]
    cages: CageOptions,
    #[command(flatten)]
    reuse: ReuseOptions,
}

const EXAMPLES: &str = "\
Examples:
  rollcage rollout run.yaml
  rollcage rollout run.yaml --resume 0198c2
  rollcage show                          lists the runs

A run file:
  tasks: {path: train.jsonl}
  environment: {language: python, actions: fenced, limits: {cpu_time: 5s, memory: 512MiB}}
  policy: {urls: [\"http://localhost:8000/v1\"], model: M, sampling: {temperature: 1.0}}
  group: {size: 8}
  budget: {turns: 6, wall: 30m, concurrency: 64}

Paths in it are relative to the file. Tasks of any shape are read with `tasks: {path: train.parquet, columns: \
{prompt: question, cases.stdin: tests.input, cases.expected: tests.output}}`. `policy: {recorded: transcripts.jsonl}` repeats a recording.

Exit codes: 0 every sample is finished; 110 interrupted, and can be resumed; 111 a file is wrong; 112 a compiler or \
interpreter is missing; 113 we failed; 114 the policy's server failed; 115 the store failed.";

/// Characters of a failure: a server's message in full, not its page.
const FAILURE_CHARACTERS_MAX: usize = 600;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let set = args.languages.load()?;
    let text = std::fs::read_to_string(&args.file)
        .with_context(|| format!("cannot read `{}`", args.file.display()))
        .map_err(Failure::bad_input)?;
    let config = RunConfig::parse(&args.file.display().to_string(), &text).map_err(|error| {
        let hint = error.hint.clone();
        hint.into_iter().fold(Failure::bad_input(error), Failure::with_hint)
    })?;
    let directory = args.file.parent().unwrap_or(Path::new(""));
    let plan = RolloutPlan::load(&config, directory, &set).map_err(plan_failed)?;
    note_refused(&plan.refused);
    let named = config.output.store.as_ref().map(|path| directory.join(path));
    let option = StoreOption { store: args.store.store.clone().or(named) };
    let store = option.open(args.sync)?;
    let start = match &args.resume {
        Some(id) => RunStart::Resume(id.clone()),
        None => RunStart::New(RunKind::Rollout),
    };
    let cages = args.cages.host_config(Some(plan.isolation));
    let result = carry_out(args.reuse.engine_config(&cages, set), Arc::new(plan), Arc::clone(&store), start)?;
    let reader = store.reader().map_err(store_failed)?;
    let record = reader.run(&result.run_id).map_err(store_failed)?;
    let report = summarise_run(&reader, &record, SummaryDepth::Full).map_err(store_failed)?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print_text(&show_run::text(&report))?;
        output::note(&format!("run {} is kept in {}", result.run_id, option.path().display()));
    }
    note_failures(&result, Some(&args.file));
    Ok(exit_code(&result).number())
}

/// Carries out a plan, with a progress bar. A signal stops it so that it can be resumed; a second one ends it at
/// once, which loses no turn either.
pub(super) fn carry_out(
    config: EngineConfig,
    plan: Arc<RolloutPlan>,
    store: Arc<Store>,
    start: RunStart,
) -> Result<RolloutResult, Failure> {
    let bar = Bar::new(plan.tasks.len() * plan.group_size as usize);
    let own = bar.clone();
    let stop = Stop::new();
    let result = with_engine(config, OnSignal::Ask(stop.clone()), |engine| async move {
        let progress = move |progress: &RolloutProgress<'_>| match progress {
            RolloutProgress::Started { finished_before, .. } => own.skip(*finished_before),
            RolloutProgress::TurnStored { trajectory_id, turn } => {
                tracing::debug!(trajectory = trajectory_id, turn, "turn stored");
            }
            RolloutProgress::SampleEnded { trajectory, is_stored } => {
                if *is_stored {
                    own.advance(verdict(trajectory));
                }
            }
        };
        rollout(&engine, plan, store, start, stop, progress).await.map_err(rollout_failed)
    });
    bar.finish();
    result
}

fn verdict(trajectory: &rollcage_rollout::Trajectory) -> Option<&'static str> {
    match trajectory.judged.as_ref()? {
        rollcage_rollout::JudgedAnswer::Scored { verdict, .. } => Some(verdict.as_str()),
        rollcage_rollout::JudgedAnswer::Unscorable(_) => None,
    }
}

/// Says on standard error what failed, and how to go on.
pub(super) fn note_failures(result: &RolloutResult, file: Option<&Path>) {
    for failure in [&result.policy_failure, &result.infrastructure_failure].into_iter().flatten() {
        output::note(&format!("failed: {}", visible_line(failure, FAILURE_CHARACTERS_MAX)));
    }
    if let Some(hint) = result.policy_hint {
        output::note(&format!("hint: {hint}"));
    }
    if result.unfinished > 0 {
        let samples = if result.unfinished == 1 { "sample is" } else { "samples are" };
        output::note(&format!("{} {samples} not finished", result.unfinished));
        if let Some(file) = file {
            let (file, id) = (file.display(), &result.run_id);
            output::note(&format!("hint: go on with `rollcage rollout {file} --resume {id}`"));
        }
    }
}

/// The code of a run: the first thing that kept it from its end, or that failed for good.
pub(super) fn exit_code(result: &RolloutResult) -> ExitCode {
    if result.policy_failure.is_some() {
        ExitCode::PolicyServer
    } else if result.infrastructure_failure.is_some() {
        ExitCode::Infrastructure
    } else {
        match result.status {
            RunStatus::Finished => ExitCode::Success,
            RunStatus::Running | RunStatus::Interrupted => ExitCode::Cancelled,
        }
    }
}
