//! `rollcage judge`: solutions from a file or over a protocol, against their problems.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context as _;
use rollcage_api::{AgnosticsDetail, ExitCode, ResultRow};
use rollcage_engine::drive::{AgnosticsError, Engine, EvalProgress, Evaluated, eval, serve_agnostics};
use rollcage_judge::{Blame, Disclosure, JudgeOptions, Judgement, StopRule};

use crate::cage_options::CageOptions;
use crate::dataset_files::{DatasetFile, ReadOptions, load_samples};
use crate::engine_host::{OnSignal, eval_failed, toolchain_failed, with_engine};
use crate::failure::Failure;
use crate::hook_options::{self, HookOptions};
use crate::language_files::{self, LanguagesOption};
use crate::progress::Bar;
use crate::reuse_options::ReuseOptions;
use crate::root_option::RootOption;
use crate::visible_text::visible_line;
use crate::{output, table};

/// Judge solutions against problems
///
/// Reads solutions from a file of JSON lines, finds the problem of each by its `task_id`, and says for each what it
/// deserves and why. Ends with 0 only if all are accepted.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Solutions: JSON lines with `task_id` and one of `solution`, `code` (whole programs) and `completion` (what
    /// continues the problem's prompt)
    #[arg(value_name = "SAMPLES", required_unless_present = "protocol", conflicts_with = "protocol")]
    samples: Option<PathBuf>,
    /// The problems: JSON lines, a JSON array or Parquet, in any format `rollcage` reads
    #[arg(long, value_name = "FILE", conflicts_with = "dataset")]
    problems: Option<PathBuf>,
    /// The problems, as a data set known by name: humaneval, mbpp, mbpp-sanitized, cruxeval, apps-stdin
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Where data sets known by name lie
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The language of solutions for which neither problem nor solution names one
    #[arg(short, long, value_name = "LANG")]
    lang: Option<String>,
    /// Run every test case, and score a failing solution by its share of passed ones
    #[arg(long)]
    run_all: bool,
    /// Print one JSON object per solution
    #[arg(long)]
    json: bool,
    /// Answer requests on standard input instead, one line each
    #[arg(long, value_name = "PROTOCOL", requires = "lang")]
    protocol: Option<Protocol>,
    /// With --protocol: answer every test, not only the first that fails
    #[arg(long, requires = "protocol")]
    finegrained: bool,
    #[command(flatten)]
    languages: LanguagesOption,
    #[command(flatten)]
    hooks: HookOptions,
    #[command(flatten)]
    root: RootOption,
    #[command(flatten)]
    cages: CageOptions,
    #[command(flatten)]
    reuse: ReuseOptions,
    #[command(flatten)]
    read: ReadOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    /// The verifier protocol of the Agnostics framework
    Agnostics,
}

const EXAMPLES: &str = "\
Examples:
  rollcage judge samples.jsonl --problems problems.jsonl -l python
  rollcage judge samples.jsonl --dataset humaneval --data data --json
  rollcage judge samples.jsonl --problems problems.jsonl --checker-hook 'python3 check.py'
  echo '{\"code\": \"print(1)\", \"test_cases\": [{\"input\": \"\", \"output\": \"1\"}]}' |
    rollcage judge --protocol agnostics -l lua

Exit codes: 0 every solution was accepted; 1 at least one was not; 111 a file or a problem is wrong; 112 a compiler \
or interpreter is missing; 113 we failed, and some solutions have no verdict.";

/// Characters of a reason in a table.
const REASON_CHARACTERS_MAX: usize = 100;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    match args.protocol {
        Some(Protocol::Agnostics) => serve(args),
        None => judge_file(args),
    }
}

fn serve(args: &Args) -> Result<u8, Failure> {
    if args.hooks.is_named() {
        return Err(Failure::usage("--checker-hook goes with a file of problems, not with --protocol"));
    }
    let set = args.languages.load()?;
    let language = language_files::find(&set, args.lang.as_deref().unwrap_or_default())?;
    let detail = if args.finegrained { AgnosticsDetail::EveryTest } else { AgnosticsDetail::FirstFailure };
    with_engine(
        args.reuse.engine_config(&args.root.apply(args.cages.host_config(None))?, set),
        OnSignal::Drop,
        |engine| async move {
            // A missing compiler is said at once, and not by every reply.
            engine.toolchain(&language).await.map_err(toolchain_failed)?;
            let input = tokio::io::BufReader::new(tokio::io::stdin());
            match serve_agnostics(&engine, &language, detail, input, tokio::io::stdout()).await {
                Ok(_summary) => Ok(ExitCode::Success.number()),
                // Whoever stopped reading has what it wanted.
                Err(AgnosticsError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    Ok(ExitCode::Success.number())
                }
                Err(error) => Err(Failure::infrastructure(error)),
            }
        },
    )
}

fn judge_file(args: &Args) -> Result<u8, Failure> {
    let dataset = match (&args.problems, &args.dataset) {
        (Some(path), _) => DatasetFile::at(path, &args.read)?,
        (None, Some(name)) => DatasetFile::find(name, args.data.as_deref(), &args.read)?,
        (None, None) => {
            return Err(Failure::usage("the problems are missing: name them with --problems or --dataset"));
        }
    };
    let set = args.languages.load()?;
    if let Some(word) = &args.lang {
        language_files::find(&set, word)?;
    }
    let mut items = dataset.load()?;
    let metas = args.hooks.ask_in(&mut items);
    let path = args.samples.as_deref().context("clap requires SAMPLES").map_err(Failure::infrastructure)?;
    let samples = load_samples(path, &items, args.lang.as_deref())?;
    let options = JudgeOptions {
        stop: if args.run_all { StopRule::RunAll } else { StopRule::FirstFailure },
        parallel: NonZeroUsize::MIN,
        ..JudgeOptions::default()
    };
    let mut results = Results::new(args.json);
    let bar = if args.json { Bar::hidden() } else { Bar::new(samples.len()) };
    let judged = with_engine(
        args.reuse.engine_config(&args.root.apply(args.cages.host_config(None))?, set),
        OnSignal::Drop,
        |engine: Engine| {
            let (results, bar) = (&mut results, bar.clone());
            async move {
                let progress = |progress: &EvalProgress<'_>| bar.judged(progress);
                let take = |evaluated: Evaluated| results.take(&evaluated);
                let engine = args.hooks.start(engine, metas).await?;
                let judged = eval(&engine, samples, options, None, progress, take).await;
                hook_options::stop(&engine).await;
                judged.map_err(eval_failed)
            }
        },
    );
    bar.finish();
    judged?;
    results.finish()
}

/// What is printed of results as they come: JSON at once, a table at the end.
struct Results {
    json: bool,
    lines: Vec<[String; 6]>,
    accepted: usize,
    worst: ExitCode,
    /// Set where a result could not be printed.
    failure: Option<Failure>,
}

impl Results {
    fn new(json: bool) -> Self {
        Self { json, lines: Vec::new(), accepted: 0, worst: ExitCode::Success, failure: None }
    }

    fn take(&mut self, evaluated: &Evaluated) -> ControlFlow<()> {
        let Evaluated { task_id, sample_index, language, judged } = evaluated;
        let row = ResultRow::new(task_id, *sample_index, language, &judged.judgement, Disclosure::Expected);
        self.worst = worse(self.worst, code(&judged.judgement));
        self.accepted += usize::from(judged.judgement.is_accepted());
        if !self.json {
            self.lines.push(line(row));
            return ControlFlow::Continue(());
        }
        match output::print_json(&row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                self.failure = Some(failure);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(self) -> Result<u8, Failure> {
        let Self { json, lines, accepted, worst, failure } = self;
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !json {
            let headings = ["task", "sample", "language", "verdict", "score", "reason"];
            let total = lines.len();
            let table = table::render(headings, lines);
            output::print_text(&format!("{table}\n{accepted} of {total} accepted\n"))?;
        }
        Ok(worst.number())
    }
}

fn line(row: ResultRow) -> [String; 6] {
    let ResultRow { task_id, sample, language, verdict, score, reason, error, cases: _ } = row;
    let why = reason.or(error.map(|error| format!("{}: {}", error.blame, error.reason)));
    [
        visible_line(&task_id, REASON_CHARACTERS_MAX),
        sample.to_string(),
        language,
        verdict.unwrap_or_else(|| "not judged".to_owned()),
        score.map(|score| format!("{score:.2}")).unwrap_or_default(),
        visible_line(&why.unwrap_or_default(), REASON_CHARACTERS_MAX),
    ]
}

/// What one judgement makes of the whole.
pub(super) fn code(judgement: &Judgement) -> ExitCode {
    match judgement {
        Judgement::Scored(_) if judgement.is_accepted() => ExitCode::Success,
        Judgement::Scored(_) => ExitCode::NotAccepted,
        Judgement::Unscorable(why) => match why.blame {
            Blame::Problem => ExitCode::BadInput,
            Blame::Infrastructure => ExitCode::Infrastructure,
        },
    }
}

/// The worse of two codes of judgements: our failure, then a problem that judges nothing, then a solution that fails.
pub(super) fn worse(one: ExitCode, other: ExitCode) -> ExitCode {
    const BY_SEVERITY: [ExitCode; 4] =
        [ExitCode::Success, ExitCode::NotAccepted, ExitCode::BadInput, ExitCode::Infrastructure];
    let severity = |code: ExitCode| BY_SEVERITY.iter().position(|known| *known == code);
    if severity(other) > severity(one) { other } else { one }
}
