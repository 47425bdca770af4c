//! `rollcage bench`: numbers with their spread, and whether the promises hold.

use rollcage_api::ExitCode;

use crate::bench::{Effort, ExecCase, ExecPlan, exec, render};
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
  rollcage bench exec --quick --case true --json | jq .targets";

#[derive(Clone, Debug, clap::Subcommand)]
enum Bench {
    /// Run the same programs bare and caged, in turns, and compare
    ///
    /// `bare-cold` starts the command with piped standard streams and waits for it; `caged-cold` runs it in a
    /// fresh cage. Latencies are of single runs, one at a time; `per second` is with as many threads as
    /// the host has slots, bare and caged alike. Memory is that of the supervisor, the launcher and its waiting cages, per slot.
    Exec(ExecArgs),
}

#[derive(Clone, Debug, clap::Args)]
struct ExecArgs {
    /// Only these programs; all if none is given
    #[arg(long = "case", value_name = "CASE", value_enum)]
    cases: Vec<ExecCase>,
    /// A look, in about ten seconds
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    cages: CageOptions,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// End with 1 if a promise does not hold
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    match &args.bench {
        Bench::Exec(args) => run_exec(args.clone()),
    }
}

fn run_exec(args: ExecArgs) -> Result<u8, Failure> {
    let cases = if args.cases.is_empty() { ExecCase::ALL.to_vec() } else { args.cases };
    let plan = ExecPlan {
        host: args.cages.host_config(None),
        cases,
        effort: if args.quick { Effort::QUICK } else { Effort::FULL },
    };
    cancellable(move |cancel| {
        let (report, phases) = exec(&plan, cancel)?;
        if cancel.is_cancelled() {
            return Ok(ExitCode::Cancelled.number());
        }
        if args.json {
            output::print_json(&report)?;
        } else {
            output::print_text(&render(&report, &phases))?;
        }
        let broken = args.check && report.targets.iter().any(|target| !target.holds);
        Ok(if broken { ExitCode::NotAccepted } else { ExitCode::Success }.number())
    })
}
