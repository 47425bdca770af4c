//! `rollcage bench`: numbers with their spread, and whether the promises hold.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rollcage_api::{BenchReport, ExitCode};
use rollcage_sandbox::{Cancel, HostConfig};
use rollcage_types::ByteSize;

use crate::bench::soak::{self, SoakPlan};
use crate::bench::{
    Effort, ExecCase, ExecPlan, HttpCase, HttpMode, HttpPlan, Phases, SessionCase, SessionsPlan, StartCase,
    StartPlan, exec, http, render, sessions, start,
};
use crate::cage_options::CageOptions;
use crate::failure::Failure;
use crate::interrupt::cancellable;
use crate::output;

/// Measure what the cage costs on this machine
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    bench: Bench,
}

const EXAMPLES: &str = "\
Examples:
  rollcage bench exec
  rollcage bench exec --quick --case true --json | jq .targets
  rollcage bench start --case python --case python-pandas
  rollcage bench http --quick
  rollcage bench sessions --many 10,100,1000 --budget 4GiB
  rollcage bench soak --minutes 30 --report soak.md";

#[derive(Clone, Debug, clap::Subcommand)]
enum Bench {
    /// Run the same programs bare and caged, in turns, and compare
    ///
    /// `bare-cold` starts the command with piped standard streams and waits for it; `caged-cold` runs it in a
    /// fresh cage. Latencies are of single runs, one at a time; `per second` is with as many threads as
    /// the host has slots, bare and caged alike. Memory is that of the supervisor, the launcher and its waiting cages, per slot.
    Exec(ExecArgs),
    /// Start the same programs bare, in a cage, and in a cage with what is kept ready for their language, in turns
    ///
    /// `caged-warm` is a copy of an interpreter that waits, or one that was executed ahead and waits (before each run that is
    /// timed alone, until one does; `per second` takes them as they come). For `cpp-bits` it is a compiler with the
    /// precompiled header, and `caged-repeated` finds what that made on disk. Memory is that of an interpreter that waits,
    /// with its waiting cages. Missing toolchains are left out.
    Start(StartArgs),
    /// Ask the library and a server for the same work, in turns, and compare
    ///
    /// `library` asks an engine in this process; `http-1` asks a server in another over one connection that is kept. `per
    /// second` of both is with as many threads, or connections, as the host has slots. `http-64` is what each of 64 clients
    /// sees that ask at once.
    Http(HttpArgs),
    /// Open sessions, run cells in them, branch them, put them aside and bring them back; an ipykernel does the same
    ///
    /// `ipykernel` is driven by jupyter_client; both are installed from PyPI into the cache the first time. Memory is that of one
    /// idle session, with what the kernel holds for it. `--many` instead holds so many sessions open at once within a budget and runs
    /// a cell in each, in random order: `live` where its interpreter ran, `rehydrated` where it was brought back for that.
    Sessions(SessionsArgs),
    /// Mix ordinary, hostile and faulty work on one host, and look whether everything stays as it should be
    ///
    /// Ends with 0 only if every outcome was right and nothing has leaked. Launchers and other supervisors are killed
    /// meanwhile, and hosts restarted. Ctrl-C ends it early, with a report of what was seen.
    Soak(SoakArgs),
}

/// How to measure, and how to answer.
#[derive(Clone, Debug, clap::Args)]
struct Measuring {
    /// A look: about ten seconds for three cases
    #[arg(long)]
    quick: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// End with 1 if a promise does not hold
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    cages: CageOptions,
}

impl Measuring {
    const fn effort(&self) -> Effort {
        if self.quick { Effort::QUICK } else { Effort::FULL }
    }

    fn host(&self) -> HostConfig {
        self.cages.host_config(None)
    }
}

/// Those that were asked for, or all.
fn chosen<T: Copy>(asked: Vec<T>, all: &[T]) -> Vec<T> {
    if asked.is_empty() { all.to_vec() } else { asked }
}

#[derive(Clone, Debug, clap::Args)]
struct ExecArgs {
    /// Only these programs; all if none is given
    #[arg(long = "case", value_name = "CASE", value_enum)]
    cases: Vec<ExecCase>,
    #[command(flatten)]
    measuring: Measuring,
}

#[derive(Clone, Debug, clap::Args)]
struct StartArgs {
    /// Only these programs; all if none is given
    #[arg(long = "case", value_name = "CASE", value_enum)]
    cases: Vec<StartCase>,
    #[command(flatten)]
    measuring: Measuring,
}

#[derive(Clone, Debug, clap::Args)]
struct HttpArgs {
    /// Only this work; all if none is given
    #[arg(long = "case", value_name = "CASE", value_enum)]
    cases: Vec<HttpCase>,
    /// Only this way of asking, beside the library; all if none is given
    #[arg(long = "mode", value_name = "MODE", value_enum)]
    modes: Vec<HttpMode>,
    #[command(flatten)]
    measuring: Measuring,
}

#[derive(Clone, Debug, clap::Args)]
struct SessionsArgs {
    /// Only this; all if none is given
    #[arg(long = "case", value_name = "CASE", value_enum)]
    cases: Vec<SessionCase>,
    /// Do not measure an ipykernel
    #[arg(long)]
    no_ipykernel: bool,
    /// Hold so many sessions open at once, as in `10,100,1000`
    #[arg(long, value_name = "N", value_delimiter = ',', conflicts_with = "cases")]
    many: Vec<usize>,
    /// Memory of all sessions together [default: three quarters of what there is]
    #[arg(long, value_name = "SIZE", value_parser = str::parse::<ByteSize>)]
    budget: Option<ByteSize>,
    /// Draw the curve of `--many`
    #[arg(long, value_name = "FILE.svg", requires = "many")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    measuring: Measuring,
}

#[derive(Clone, Debug, clap::Args)]
struct SoakArgs {
    /// For how long, after a warm-up of a few seconds; fractions will do
    #[arg(long, value_name = "N", default_value = "5", value_parser = minutes)]
    minutes: Duration,
    /// Where all random choices come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Write the report as Markdown too
    #[arg(long, value_name = "FILE.md")]
    report: Option<PathBuf>,
    #[command(flatten)]
    cages: CageOptions,
}

/// Longer than anyone waits; every duration below it can be added to a clock.
const MINUTES_MAX: f64 = 60.0 * 24.0 * 30.0;

fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= MINUTES_MAX => Ok(Duration::from_secs_f64(minutes * 60.0)),
        Ok(_) | Err(_) => Err("not a number of minutes, above 0 and up to 30 days".to_owned()),
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    match &args.bench {
        Bench::Exec(args) => run_exec(args.clone()),
        Bench::Start(args) => run_start(args.clone()),
        Bench::Http(args) => run_http(args.clone()),
        Bench::Sessions(args) => run_sessions(args.clone()),
        Bench::Soak(args) => run_soak(args.clone()),
    }
}

fn run_exec(args: ExecArgs) -> Result<u8, Failure> {
    let plan = ExecPlan {
        host: args.measuring.host(),
        cases: chosen(args.cases, ExecCase::ALL.as_slice()),
        effort: args.measuring.effort(),
    };
    cancellable(move |cancel| {
        let (report, phases) = exec(&plan, cancel)?;
        answer(&report, &phases, &args.measuring, cancel)
    })
}

fn run_start(args: StartArgs) -> Result<u8, Failure> {
    let plan = StartPlan {
        host: args.measuring.host(),
        is_chosen: !args.cases.is_empty(),
        cases: chosen(args.cases, StartCase::ALL),
        effort: args.measuring.effort(),
    };
    cancellable(move |cancel| answer(&start(&plan, cancel)?, &[], &args.measuring, cancel))
}

fn run_http(args: HttpArgs) -> Result<u8, Failure> {
    let plan = HttpPlan {
        host: args.measuring.host(),
        cases: chosen(args.cases, HttpCase::ALL.as_slice()),
        modes: chosen(args.modes, HttpMode::ALL.as_slice()),
        effort: args.measuring.effort(),
    };
    cancellable(move |cancel| answer(&http(&plan, cancel)?, &[], &args.measuring, cancel))
}

fn run_sessions(args: SessionsArgs) -> Result<u8, Failure> {
    let plan = SessionsPlan {
        host: args.measuring.host(),
        cases: chosen(args.cases, SessionCase::ALL),
        is_quick: args.measuring.quick,
        with_ipykernel: !args.no_ipykernel,
        many: args.many,
        memory: args.budget,
        svg: args.svg,
    };
    cancellable(move |cancel| answer(&sessions(&plan, cancel)?, &[], &args.measuring, cancel))
}

/// Prints a report, and says whether its promises hold where that was asked.
fn answer(
    report: &BenchReport,
    phases: &[Phases],
    measuring: &Measuring,
    cancel: &Cancel,
) -> Result<u8, Failure> {
    if cancel.is_cancelled() {
        return Ok(ExitCode::Cancelled.number());
    }
    if measuring.json {
        output::print_json(report)?;
    } else {
        output::print_text(&render(report, phases))?;
    }
    let broken = measuring.check && report.targets.iter().any(|target| !target.holds);
    Ok(if broken { ExitCode::NotAccepted } else { ExitCode::Success }.number())
}

fn run_soak(args: SoakArgs) -> Result<u8, Failure> {
    let command: Vec<_> = std::env::args().skip(1).collect();
    let plan = SoakPlan {
        host: args.cages.host_config(None),
        duration: args.minutes,
        seed: args.seed,
        command: format!("rollcage {}", command.join(" ")),
    };
    cancellable(move |cancel| {
        let report = soak::soak(&plan, cancel)?;
        if let Some(path) = &args.report {
            std::fs::write(path, soak::markdown(&report))
                .with_context(|| format!("cannot write `{}`", path.display()))
                .map_err(Failure::infrastructure)?;
        }
        if args.json {
            output::print_json(&report)?;
        } else {
            output::print_text(&soak::render(&report))?;
        }
        Ok(if !report.is_clean() {
            ExitCode::NotAccepted
        } else if report.stopped_early {
            ExitCode::Cancelled
        } else {
            ExitCode::Success
        }
        .number())
    })
}
