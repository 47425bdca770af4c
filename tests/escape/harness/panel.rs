//! Runs all probes and prints what each did.

use std::io::Write as _;
use std::time::{Duration, Instant};

use rollcage_sandbox::HostError;

use super::cage::{CageResult, Cages};
use super::control::{self, ControlResult};
use super::probe::{Companion, Probe};
use super::scene::Scene;

/// Runs one probe only.
const FILTER: &str = "ROLLCAGE_PROBE";
/// Details longer than this are for the failure report, not for the table.
const DETAIL_MAX: usize = 44;

struct Row<'a> {
    probe: &'a Probe,
    control: ControlResult,
    cage: CageResult,
    /// How long control and cage took together.
    took: Duration,
}

/// Runs the probes, prints the panel and fails if any control or cage did not do as it should.
pub(crate) fn attack(probes: &[&Probe]) {
    let begun = Instant::now();
    let cages = match Cages::start(3) {
        Err(error @ (HostError::NotRoot { .. } | HostError::NoCgroups { .. })) => {
            say(&format!("skipped: the escape suite: {error}\n"));
            return;
        }
        other => other.expect("the host starts"),
    };
    // With one slot, the next run is in the same slot.
    let reused = Cages::start(1).expect("a second host starts beside the first");
    let scene = Scene::make();
    let filter = std::env::var(FILTER).ok();
    let wanted = probes.iter().filter(|probe| filter.as_ref().is_none_or(|name| probe.name == name));
    let rows: Vec<Row<'_>> = wanted
        .map(|probe| {
            let on = if matches!(probe.companion, Companion::Earlier(_)) { &reused } else { &cages };
            let begun = Instant::now();
            let (control, cage) = (control::run(&scene, probe), on.run(&scene, probe));
            Row { probe, control, cage, took: begun.elapsed() }
        })
        .collect();
    drop((cages, reused, scene));
    print(&rows);
    let seconds = begun.elapsed().as_secs_f64();
    let count = |test: fn(&Row<'_>) -> bool| rows.iter().filter(|row| test(row)).count();
    let held = count(|row| row.cage.is_ok());
    let succeeded = count(|row| matches!(row.control, ControlResult::Succeeded(_)));
    let skipped = count(|row| matches!(row.control, ControlResult::Skipped(_)));
    say(&format!(
        "{} probes: {held} held, {succeeded} controls succeeded, {skipped} skipped; {seconds:.1} s\n",
        rows.len()
    ));
    let failures: Vec<String> = rows.iter().flat_map(failures).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(!rows.is_empty(), "no probe is named {filter:?}");
}

fn failures(row: &Row<'_>) -> Vec<String> {
    let mut failures = Vec::new();
    if let ControlResult::Failed(why) = &row.control {
        failures.push(format!("{}: the control failed: {why}", row.probe.name));
    }
    if let Err(why) = &row.cage {
        failures.push(format!("{}: BREACHED: {why}", row.probe.name));
    }
    failures
}

fn print(rows: &[Row<'_>]) {
    let mut text = format!("\n{:<22} {:<17} {:>5} {:<52} cage\n", "probe", "risk", "ms", "control");
    for Row { probe, control, cage, took } in rows {
        let control = match control {
            ControlResult::Succeeded(detail) => format!("works: {}", shortened(detail)),
            ControlResult::Skipped(why) => format!("skipped control: {why}"),
            ControlResult::Failed(_) => "FAILED".to_owned(),
        };
        let cage = match cage {
            Ok(detail) => format!("held: {}", shortened(detail)),
            Err(detail) => format!("BREACHED: {}", shortened(detail)),
        };
        let (name, risk, took) = (probe.name, probe.risk.as_str(), took.as_millis());
        text.push_str(&format!("{name:<22} {risk:<17} {took:>5} {control:<52} {cage}\n"));
    }
    say(&text);
}

fn shortened(detail: &str) -> String {
    // What a hostile program printed does not reach a terminal raw.
    detail.chars().take(DETAIL_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Past libtest's capture: the panel is wanted when all is well, too.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).expect("standard error is open");
}
