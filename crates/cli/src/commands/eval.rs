//! `rollcage eval`: a data set, and solutions for it from its authors, from a file or from a policy.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollcage_api::{DatasetItem, EvalTally, ExitCode, JoinedSample};
use rollcage_engine::drive::{EvalProgress, Evaluated, Recording, eval};
use rollcage_judge::{Bootstrap, Disclosure, JudgeOptions};
use serde_json::json;

use super::judge::{code, worse};
use super::{eval_intercode, eval_policy, eval_report};
use crate::cage_options::CageOptions;
use crate::dataset_files::{DatasetFile, ReadOptions, load_samples};
use crate::engine_host::{OnSignal, StoreOption, SyncOption, eval_failed, with_engine};
use crate::failure::Failure;
use crate::hook_options::{self, HookOptions};
use crate::language_files::LanguagesOption;
use crate::output;
use crate::progress::Bar;
use crate::reuse_options::ReuseOptions;
use crate::root_option::RootOption;

/// Evaluate solutions or a policy on a data set
///
/// Judges one solution or several for every task and says how many hold. Judgements are kept in the store.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// humaneval, humaneval-x-LANG, mbpp, mbpp-sanitized, cruxeval, apps-stdin, a file of problems (JSON lines, a JSON
    /// array or Parquet), or intercode-python, whose recorded episodes are played again
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,
    /// Where data sets known by name lie
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// `canonical` for the authors' solutions, `stub` for ones that must fail, or a file of solutions
    #[arg(long, value_name = "WHICH", conflicts_with = "policy")]
    pub(crate) solutions: Option<String>,
    /// Only the first so many tasks
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU32>,
    /// The language of tasks that name none
    #[arg(short, long, value_name = "LANG")]
    pub(crate) lang: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The k of pass@k, as in `--k 1,10`; 1 and the number of samples unless given
    #[arg(long, value_name = "K", value_delimiter = ',')]
    pub(crate) k: Vec<NonZeroU32>,
    #[command(flatten)]
    pub(crate) store: StoreOption,
    #[command(flatten)]
    pub(crate) sync: SyncOption,
    #[command(flatten)]
    pub(crate) languages: LanguagesOption,
    #[command(flatten)]
    pub(crate) hooks: HookOptions,
    #[command(flatten)]
    pub(crate) root: RootOption,
    #[command(flatten)]
    pub(crate) cages: CageOptions,
    #[command(flatten)]
    pub(crate) reuse: ReuseOptions,
    #[command(flatten)]
    pub(crate) read: ReadOptions,
    // Last, because its heading holds for all that follow.
    #[command(flatten)]
    pub(crate) policy: PolicyOptions,
}

/// How a policy is asked.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyOptions {
    /// An OpenAI-compatible server that writes the solutions, up to its `/v1`; may be given more than once
    #[arg(long, value_name = "URL", requires = "model")]
    pub(crate) policy: Vec<String>,
    /// The model's name
    #[arg(long, value_name = "NAME", requires = "policy")]
    pub(crate) model: Option<String>,
    /// Samples of each task
    #[arg(short = 'n', long, value_name = "N", default_value = "1", requires = "policy")]
    pub(crate) samples: NonZeroU32,
    /// The temperature; the server's own unless given
    #[arg(long, value_name = "T", requires = "policy")]
    pub(crate) temperature: Option<f64>,
    /// Tokens of one completion
    #[arg(long, value_name = "N", default_value = "4096", requires = "policy")]
    pub(crate) max_tokens: NonZeroU32,
    /// Nucleus sampling; the server's own unless given
    #[arg(long, value_name = "P", requires = "policy")]
    pub(crate) top_p: Option<f64>,
    /// What sampling is seeded from, for servers that take seeds
    #[arg(long, value_name = "SEED", default_value = "0", requires = "policy")]
    pub(crate) seed: u64,
    /// Requests for one completion before it is given up, the first included
    #[arg(long, value_name = "N", requires = "policy")]
    pub(crate) attempts: Option<NonZeroU32>,
    /// Completions asked for at once
    #[arg(long, value_name = "N", default_value = "64", requires = "policy")]
    pub(crate) concurrency: NonZeroU32,
}

const EXAMPLES: &str = "\
Examples:
  rollcage eval humaneval --data data --solutions canonical
  rollcage eval problems.jsonl --solutions samples.jsonl -l lua --json
  rollcage eval mbpp --data data --policy http://localhost:8000/v1 --model M -n 10 --temperature 0.8
  rollcage eval train.parquet --columns 'prompt=question,test_code=tests,canonical_solution=code' \
    --solutions canonical -l python
  rollcage eval intercode-python --data data

Exit codes: 0 every solution was accepted, with `--solutions stub` none was, with --policy all were judged, and \
with intercode-python every difference has a known cause; 1 otherwise; 111 a file is wrong; 112 a compiler or \
interpreter is missing; 113 we failed, and some solutions have no verdict; 114 the policy's server failed; 115 the \
store failed.";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    if args.dataset == eval_intercode::DATASET {
        if args.hooks.is_named() {
            return Err(Failure::usage("--checker-hook: the episodes are judged as they were recorded"));
        }
        return eval_intercode::run(args);
    }
    let mut dataset = DatasetFile::find(&args.dataset, args.data.as_deref(), &args.read)?;
    dataset.options.limit = args.limit;
    let Some(solutions) = &args.solutions else {
        if args.policy.policy.is_empty() {
            return Err(Failure::usage("one of --solutions and --policy is needed"));
        }
        return eval_policy::run(args, &dataset);
    };
    let set = args.languages.load()?;
    let mut items = dataset.load()?;
    let metas = args.hooks.ask_in(&mut items);
    let samples = samples(args, solutions, items)?;
    let store = args.store.open(args.sync)?;
    let config = json!({"dataset": args.dataset, "solutions": solutions, "limit": args.limit, "checker": args.hooks.config()?});
    let bar = Bar::new(samples.len());
    let mut tally = EvalTally::new(Disclosure::Expected);
    let mut worst = ExitCode::Success;
    let judged = with_engine(
        args.reuse.engine_config(&args.root.apply(args.cages.host_config(None))?, set),
        OnSignal::Drop,
        |engine| {
            let (bar, tally, worst) = (bar.clone(), &mut tally, &mut worst);
            async move {
                let recording = Some(Recording { store, config });
                let progress = |progress: &EvalProgress<'_>| bar.judged(progress);
                let take = |Evaluated { task_id, sample_index, judged, .. }: Evaluated| {
                    tally.add(&task_id, sample_index, &judged.judgement);
                    *worst = worse(*worst, code(&judged.judgement));
                    ControlFlow::Continue(())
                };
                let options = JudgeOptions::default();
                let engine = args.hooks.start(engine, metas).await?;
                let judged = eval(&engine, samples, options, recording, progress, take).await;
                hook_options::stop(&engine).await;
                judged.map_err(eval_failed)
            }
        },
    );
    bar.finish();
    judged?;
    let is_judged = matches!(worst, ExitCode::Success | ExitCode::NotAccepted);
    // A stub that is accepted shows a test that tests nothing.
    let code = match (solutions == "stub" && is_judged, tally.accepted() > 0) {
        (true, true) => ExitCode::NotAccepted,
        (true, false) => ExitCode::Success,
        (false, _) => worst,
    };
    let ks = eval_report::ks(&args.k, &tally);
    let report = tally.report(&args.dataset, &ks, &Bootstrap::default());
    eval_report::print(&report, &args.store, args.json)?;
    Ok(code.number())
}

fn samples(args: &Args, solutions: &str, items: Vec<DatasetItem>) -> Result<Vec<JoinedSample>, Failure> {
    let language = args.lang.as_deref();
    let of_item = |item: DatasetItem, solution: String| {
        let name = item.task.problem.language.as_deref().or(language);
        let name = name.ok_or_else(|| {
            let error = anyhow::anyhow!("task `{}` names no language", item.task.id);
            Failure::bad_input(error).with_hint("name one with --lang")
        })?;
        Ok(JoinedSample {
            task_id: item.task.id,
            sample_index: 0,
            language: Arc::from(name),
            problem: item.task.problem,
            solution,
        })
    };
    match solutions {
        "canonical" => items
            .into_iter()
            .map(|mut item| {
                let solution = item.canonical_solution.take().ok_or_else(|| {
                    let error = anyhow::anyhow!("task `{}` has no canonical solution", item.task.id);
                    Failure::bad_input(error)
                })?;
                of_item(item, solution)
            })
            .collect(),
        "stub" => items
            .into_iter()
            .map(|mut item| {
                let solution = std::mem::take(&mut item.stub_solution);
                of_item(item, solution)
            })
            .collect(),
        file => {
            let samples = load_samples(Path::new(file), &items, language)?;
            let tried = samples.iter().map(|sample| &sample.task_id).collect::<BTreeSet<_>>().len();
            if tried < items.len() {
                let untried = items.len() - tried;
                output::note(&format!(
                    "{untried} of {} tasks have no solution there, and do not count",
                    items.len()
                ));
            }
            Ok(samples)
        }
    }
}
