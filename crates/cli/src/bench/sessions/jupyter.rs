//! The same work by an ipykernel, driven by jupyter_client: what people use today.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rollcage_api::BenchRow;

use super::cases::SessionCase;
use super::{IPYKERNEL, PANDAS_CELL, row};

/// From PyPI, at these versions.
const PACKAGES: [&str; 2] = ["jupyter_client==8.9.1", "ipykernel==7.3.0"];
/// What cages find.
const PYTHON: &str = "/usr/bin/python3";
const DRIVER: &str = include_str!("jupyter.py");

/// What the driver measured.
#[derive(serde::Deserialize)]
struct Measured {
    #[serde(flatten)]
    times: BTreeMap<String, Value>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Value {
    Times(Vec<f64>),
    Idle { cell: Vec<f64>, kb: u64 },
}

/// Measures it, in an environment that is made below `cache` the first time.
pub(super) fn measured(cases: &[SessionCase], is_quick: bool, cache: &Path) -> anyhow::Result<Vec<BenchRow>> {
    let (starts, cells, idle) = if is_quick { ("3", "100", "2") } else { ("15", "500", "8") };
    let measured = drive(&[starts, cells, idle, PANDAS_CELL], cache)?;
    let rows = cases.iter().filter_map(|case| Some(measured.times.get(case.name())?.row(case.name())));
    Ok(rows.collect())
}

/// Memory of so many of them that are open together, and a cell in each.
pub(super) fn open_together(count: usize, case: &str, cache: &Path) -> anyhow::Result<BenchRow> {
    let measured = drive(&["open", &count.to_string()], cache)?;
    let value = measured.times.get("open").context("the driver of the ipykernel measured nothing")?;
    Ok(value.row(case))
}

impl Value {
    fn row(&self, case: &str) -> BenchRow {
        let times =
            |seconds: &[f64]| seconds.iter().map(|one| Duration::from_secs_f64(*one)).collect::<Vec<_>>();
        match self {
            Self::Times(seconds) => row(case, IPYKERNEL, &times(seconds)),
            Self::Idle { cell, kb } => {
                BenchRow { memory_kb: Some(*kb), ..row(case, IPYKERNEL, &times(cell)) }
            }
        }
    }
}

fn drive(arguments: &[&str], cache: &Path) -> anyhow::Result<Measured> {
    let output = Command::new(PYTHON)
        .args(["-c", DRIVER])
        .args(arguments)
        .env("PYTHONPATH", packages(cache)?)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .context("cannot run Python")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.contains("WARNING")).unwrap_or_default();
    ensure!(output.status.success(), "the driver of the ipykernel failed: {last}");
    serde_json::from_slice(&output.stdout).context("the driver of the ipykernel printed no report")
}

/// A directory with the packages, for the interpreter that cages use: others have other libraries.
fn packages(cache: &Path) -> anyhow::Result<PathBuf> {
    let directory = cache.join("bench-ipykernel");
    let mark = directory.join(PACKAGES.join(" "));
    if !mark.exists() {
        let output = Command::new("python3")
            .args(["-m", "pip", "--python", PYTHON, "install", "--quiet", "--upgrade", "--target"])
            .arg(&directory)
            .args(PACKAGES)
            .output()
            .context("cannot run pip")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cannot install the ipykernel: {}", said.trim());
        std::fs::write(&mark, "").context("cannot write into the cache")?;
    }
    Ok(directory)
}
