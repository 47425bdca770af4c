//! What sessions cost: ours, and an ipykernel's for the same work in the same run.

mod cases;
mod jupyter;
mod many;
mod ours;
mod svg;

use std::time::Duration;

use anyhow::Context as _;
use rollcage_api::{BenchReport, BenchRow};
use rollcage_sandbox::{Cancel, HostConfig};
use rollcage_types::ByteSize;

pub(crate) use cases::SessionCase;

use crate::bench::machine;
use crate::bench::spread::Spread;
use crate::cache_directory::cache_directory;
use crate::failure::Failure;
use crate::output;

/// Ours.
const OURS: &str = "rollcage";
/// What people use today.
const IPYKERNEL: &str = "ipykernel";
/// What uses pandas.
const PANDAS_CELL: &str =
    "import pandas as pd\ndf = pd.DataFrame({'a': range(1000), 'b': 1.5})\nprint(df.sum())";

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct SessionsPlan {
    pub(crate) host: HostConfig,
    pub(crate) cases: Vec<SessionCase>,
    pub(crate) is_quick: bool,
    /// Whether the ipykernel is measured too.
    pub(crate) with_ipykernel: bool,
    /// So many sessions are held open at once, one number after the other.
    pub(crate) many: Vec<usize>,
    /// Memory for those.
    pub(crate) memory: Option<ByteSize>,
    /// Where their curve is drawn.
    pub(crate) svg: Option<std::path::PathBuf>,
}

/// Measures what `plan` says.
pub(crate) fn sessions(plan: &SessionsPlan, cancel: &Cancel) -> Result<BenchReport, Failure> {
    let machine = machine::describe();
    let mut rows = Vec::new();
    if plan.many.is_empty() {
        rows.append(&mut ours::measured(plan, cancel)?);
        if plan.with_ipykernel && !cancel.is_cancelled() {
            output::note("measuring an ipykernel");
            let theirs = jupyter::measured(&plan.cases, plan.is_quick, &cache_directory()?);
            rows.append(&mut theirs.map_err(Failure::infrastructure)?);
        }
    } else {
        rows = many::measured(plan, cancel)?;
        if let Some(path) = &plan.svg {
            std::fs::write(path, svg::draw(&rows))
                .with_context(|| format!("cannot write `{}`", path.display()))
                .map_err(Failure::infrastructure)?;
        }
    }
    let targets = cases::targets(&rows);
    Ok(BenchReport { bench: "sessions".to_owned(), machine, rows, targets })
}

/// A row of these times.
fn row(case: &str, mode: &str, times: &[Duration]) -> BenchRow {
    let Spread { p50_ms, p90_ms, p99_ms } = Spread::of(times);
    let all: Duration = times.iter().sum();
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    let per_second = if all.is_zero() { 0.0 } else { f64::from(count) / all.as_secs_f64() };
    BenchRow {
        case: case.to_owned(),
        mode: mode.to_owned(),
        p50_ms,
        p90_ms,
        p99_ms,
        per_second: (per_second * 10.0).round() / 10.0,
        memory_kb: None,
    }
}
