//! `rollcage show`: what a store holds.

use std::path::PathBuf;

use rollcage_api::{ExitCode, RunRecord, TrajectoryRecord};
use rollcage_engine::drive::{SummaryDepth, summarise_run};
use rollcage_engine::store::{ExportError, ExportFormat, ExportTable, StoreReader, export};
use serde_json::json;

use super::{show_run, show_trajectory};
use crate::engine_host::{StoreOption, store_failed};
use crate::failure::Failure;
use crate::{output, table};

/// Show stored runs
///
/// Without a run it lists the runs of the store, with one it sums it up, and with a trajectory it prints the
/// conversation turn by turn. Control characters in what programs and models wrote are shown, never sent.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The run: its id or the start of it, or `last`
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// The trajectory: its id, the end of its id as in `00003-001`, or its task, with `:SAMPLE` where it has several
    #[arg(value_name = "TRAJECTORY", requires = "run")]
    trajectory: Option<String>,
    /// Write the run to a file, as `jsonl` or `parquet`
    #[arg(long, num_args = 2, value_names = ["FORMAT", "FILE"], requires = "run", conflicts_with = "trajectory")]
    export: Option<Vec<String>>,
    /// With --export: what a row is; trajectories, or judgements for runs that have none
    #[arg(long, value_name = "TABLE", requires = "export")]
    table: Option<TableOption>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreOption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TableOption {
    Trajectories,
    Turns,
    Judgements,
}

const EXAMPLES: &str = "\
Examples:
  rollcage show                                    lists the runs
  rollcage show last                               sums up the newest run
  rollcage show 0198c2 HumanEval/3:1               one conversation, turn by turn
  rollcage show 0198c2 --export parquet run.parquet --table turns";

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let reader = args.store.open_read_only()?;
    match (&args.run, &args.trajectory, &args.export) {
        (None, _, _) => list(&reader, args.json)?,
        (Some(run), None, None) => {
            let run = find_run(&reader, run)?;
            let report = summarise_run(&reader, &run, SummaryDepth::Full).map_err(store_failed)?;
            if args.json {
                output::print_json(&report)?;
            } else {
                output::print_text(&show_run::text(&report))?;
                output::print_text(&show_run::samples_text(&reader, &run)?)?;
            }
        }
        (Some(run), Some(trajectory), _) => {
            let run = find_run(&reader, run)?;
            let record = find_trajectory(&reader, &run, trajectory)?;
            let turns = reader.turns(&record.id).map_err(store_failed)?;
            if args.json {
                output::print_json(&json!({"trajectory": record, "turns": turns}))?;
            } else {
                output::print_text(&show_trajectory::text(&record, &turns))?;
            }
        }
        (Some(run), None, Some(target)) => {
            let run = find_run(&reader, run)?;
            write_export(args, &reader, &run, target)?;
        }
    }
    Ok(ExitCode::Success.number())
}

fn list(reader: &StoreReader, json: bool) -> Result<(), Failure> {
    let runs = reader.runs().map_err(store_failed)?;
    let reports = runs.iter().map(|run| summarise_run(reader, run, SummaryDepth::Overview));
    let reports = reports.collect::<Result<Vec<_>, _>>().map_err(store_failed)?;
    if json {
        return output::print_json(&reports);
    }
    if reports.is_empty() {
        return output::print_text("no runs\n");
    }
    let rows = reports.into_iter().map(|report| {
        let samples = format!("{}/{}", report.finished, report.samples);
        let reward = report.mean_reward.map(|reward| format!("{reward:.3}")).unwrap_or_default();
        [
            report.run_id,
            report.kind,
            report.status,
            report.created_at,
            samples,
            report.accepted.to_string(),
            reward,
        ]
    });
    let headings = ["run", "kind", "status", "created", "samples", "accepted", "reward"];
    output::print_text(&table::render(headings, rows))
}

fn find_run(reader: &StoreReader, word: &str) -> Result<RunRecord, Failure> {
    if word == "last" {
        let runs = reader.runs().map_err(store_failed)?;
        return runs.into_iter().next_back().ok_or_else(|| Failure::bad_input(anyhow::anyhow!("no runs")));
    }
    reader.run(word).map_err(store_failed)
}

fn find_trajectory(reader: &StoreReader, run: &RunRecord, word: &str) -> Result<TrajectoryRecord, Failure> {
    let trajectories = reader.trajectories(&run.id).map_err(store_failed)?;
    let (task, sample) = match word.rsplit_once(':') {
        Some((task, sample)) => (task, sample.parse().ok()),
        None => (word, None),
    };
    let is_meant = |record: &&TrajectoryRecord| {
        record.id == word
            || record.id.strip_prefix(&run.id).is_some_and(|rest| rest.trim_start_matches('-') == word)
            || (record.task_id == word && record.sample_index == 0)
            || (record.task_id == task && Some(record.sample_index) == sample)
    };
    trajectories.iter().find(is_meant).cloned().ok_or_else(|| {
        let error = anyhow::anyhow!("run `{}` has no trajectory `{word}`", run.id);
        Failure::bad_input(error).with_hint(format!("`rollcage show {}` lists them", run.id))
    })
}

fn write_export(
    args: &Args,
    reader: &StoreReader,
    run: &RunRecord,
    target: &[String],
) -> Result<(), Failure> {
    let [format, file] = target else {
        return Err(Failure::usage("--export takes a format and a file"));
    };
    let format = match format.as_str() {
        "jsonl" => ExportFormat::Jsonl,
        "parquet" => ExportFormat::Parquet,
        other => return Err(Failure::usage(format!("`{other}` is not a format; use jsonl or parquet"))),
    };
    let table = match args.table {
        Some(TableOption::Trajectories) => ExportTable::Trajectories,
        Some(TableOption::Turns) => ExportTable::Turns,
        Some(TableOption::Judgements) => ExportTable::Judgements,
        None if reader.trajectories(&run.id).map_err(store_failed)?.is_empty() => ExportTable::Judgements,
        None => ExportTable::Trajectories,
    };
    let summary =
        export(reader, &run.id, table, format, &PathBuf::from(file)).map_err(|error| match error {
            ExportError::Store(error) => store_failed(error),
            error @ (ExportError::Write { .. } | ExportError::Parquet { .. }) => {
                Failure::infrastructure(error)
            }
        })?;
    output::note(&format!("{} rows, {} bytes in {file}", summary.rows, summary.bytes));
    Ok(())
}
