//! Runs all probes in all modes and prints what each did.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::cage::PARTIAL;
use super::control::{self, ControlResult};
use super::modes::{MODE_FILTER, Mode};
use super::probe::{Expectation, Probe};
use super::scene::Scene;
use super::station::{StartError, Station};

/// Runs the probe of this name only.
const PROBE_FILTER: &str = "ROLLCAGE_PROBE";
/// Supervisors at work at once, beside the controls. Most attacks wait for a limit most of the time.
const STATIONS_AT_ONCE: usize = 2;
/// Controls at work at once. They too wait more than they work.
const CONTROLS_AT_ONCE: usize = 2;
/// What a hostile program says of itself is cut to a terminal's line.
const DETAIL_MAX: usize = 100;
/// How many slow cells are named.
const SLOWEST_TOLD: usize = 6;

/// What came of one probe in one mode.
#[derive(Clone, Debug)]
enum Cell {
    Held(String),
    /// Its own limit did not hold, and everybody else was spared.
    Partial(&'static str),
    Breached(String),
    NotApplicable(&'static str),
}

/// What came of all probes in one mode.
#[derive(Debug)]
struct Column {
    mode: Mode,
    cells: Vec<Cell>,
    /// How long each cell took.
    took: Vec<Duration>,
}

/// Runs the probes, prints the matrix and fails if any control or cage did not do as it should.
pub(crate) fn attack(probes: &[&Probe]) {
    if !rustix::process::geteuid().is_root() {
        say("skipped: the escape suite: controls and the watch over the host need root\n");
        return;
    }
    let begun = Instant::now();
    let filter = std::env::var(PROBE_FILTER).ok();
    let wanted = probes.iter().filter(|probe| filter.as_ref().is_none_or(|name| probe.name == name));
    let mut probes: Vec<&Probe> = wanted.copied().collect();
    probes.sort_by_key(|probe| probe.risk);
    assert!(!probes.is_empty(), "no probe is named {filter:?}");
    let stations = Mode::wanted();
    assert!(!stations.is_empty(), "no mode's name contains {:?}", std::env::var(MODE_FILTER));

    let queue: Mutex<VecDeque<_>> = Mutex::new(stations.into_iter().enumerate().collect());
    let (controls, mut columns) = thread::scope(|scope| {
        let controls = scope.spawn(|| controls(&probes));
        let workers: Vec<_> = (0..STATIONS_AT_ONCE).map(|_| scope.spawn(|| work(&queue, &probes))).collect();
        let columns: Vec<_> =
            workers.into_iter().flat_map(|worker| worker.join().expect("no station panics")).collect();
        (controls.join().expect("no control panics"), columns)
    });
    columns.sort_by_key(|(number, _)| *number);
    let columns: Vec<Column> = columns.into_iter().flat_map(|(_, columns)| columns).collect();
    say(&matrix(&probes, &controls, &columns));
    if filter.is_some() {
        say(&details(&probes, &controls, &columns));
    }
    say(&slowest(&probes, &columns));
    say(&totals(&probes, &controls, &columns, begun));
    let failures = failures(&probes, &controls, &columns);
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// What each control did. Those of one worker follow each other in the same directory.
fn controls(probes: &[&Probe]) -> Vec<ControlResult> {
    let mut results: Vec<(usize, ControlResult)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..CONTROLS_AT_ONCE)
            .map(|worker| {
                scope.spawn(move || {
                    let scene = Scene::make(&format!("control-{worker}"), 0);
                    let own = probes.iter().enumerate().skip(worker).step_by(CONTROLS_AT_ONCE);
                    own.map(|(row, probe)| (row, control::run(&scene, probe))).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no control panics")).collect()
    });
    results.sort_by_key(|(row, _)| *row);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Takes supervisors from the queue until there is none left.
fn work(queue: &Mutex<VecDeque<(usize, Vec<Mode>)>>, probes: &[&Probe]) -> Vec<(usize, Vec<Column>)> {
    let mut done = Vec::new();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((number, modes)) = next else { return done };
        done.push((number, columns(number, &modes, probes)));
    }
}

/// The columns of one supervisor; none where this machine lacks what it needs.
fn columns(number: usize, modes: &[Mode], probes: &[&Probe]) -> Vec<Column> {
    let number = u32::try_from(number).expect("modes are few");
    let mut station = Station::start(&modes[0], number);
    if let Err(StartError::Refused(why)) = &station {
        say(&format!("skipped: attacks in modes {}: {why}\n", modes[0].station()));
        return Vec::new();
    }
    let mut columns: Vec<Column> =
        modes.iter().map(|mode| Column { mode: *mode, cells: Vec::new(), took: Vec::new() }).collect();
    for probe in probes {
        for column in &mut columns {
            let begun = Instant::now();
            let cell = match (probe.exception(column.mode.name), &mut station) {
                (Some(exception), _) if matches!(exception.expectation, Expectation::NotApplicable) => {
                    Cell::NotApplicable(exception.reason)
                }
                (_, Ok(station)) => match station.run(probe, &column.mode) {
                    Ok(detail) => match probe.exception(column.mode.name) {
                        Some(exception) if detail.starts_with(PARTIAL) => Cell::Partial(exception.reason),
                        Some(_) | None => Cell::Held(detail),
                    },
                    Err(why) => Cell::Breached(why),
                },
                (_, Err(StartError::Refused(why) | StartError::Failed(why))) => Cell::Breached(why.clone()),
            };
            column.cells.push(cell);
            column.took.push(begun.elapsed());
            // An attack that took its supervisor along is one breach, not all that follow.
            if station.as_mut().is_ok_and(|station| !station.is_alive()) {
                drop(station);
                station = Station::start(&modes[0], number);
            }
        }
    }
    columns
}

fn matrix(probes: &[&Probe], controls: &[ControlResult], columns: &[Column]) -> String {
    let mut text = format!("\n{:<24} {:<8}", "probe", "control");
    for column in columns {
        text.push_str(&format!(" {}", column.mode.title()));
    }
    let mut risk = None;
    for (row, (probe, control)) in probes.iter().zip(controls).enumerate() {
        if risk.replace(probe.risk) != Some(probe.risk) {
            text.push_str(&format!("\n{}\n", probe.risk.as_str()));
        }
        let control = match control {
            ControlResult::Succeeded(_) => "works",
            ControlResult::Skipped(_) => "skipped",
            ControlResult::Failed(_) => "FAILED",
        };
        text.push_str(&format!("  {:<22} {control:<8}", probe.name));
        for column in columns {
            let cell = match &column.cells[row] {
                Cell::Held(_) => "held",
                Cell::Partial(_) => "partial",
                Cell::Breached(_) => "BREACHED",
                Cell::NotApplicable(_) => "n/a",
            };
            text.push_str(&format!(" {cell:<width$}", width = column.mode.name.len()));
        }
        text.push('\n');
    }
    for (probe, control) in probes.iter().zip(controls) {
        if let ControlResult::Skipped(why) = control {
            text.push_str(&format!("skipped control of {}: {why}\n", probe.name));
        }
    }
    for (probe, mode, cell) in cells(probes, columns) {
        match cell {
            Cell::Held(_) | Cell::Breached(_) => {}
            Cell::Partial(why) => {
                text.push_str(&format!("partial: {} in {}: {why}\n", probe.name, mode.title()));
            }
            Cell::NotApplicable(why) => {
                text.push_str(&format!("n/a: {} in {}: {why}\n", probe.name, mode.title()));
            }
        }
    }
    text
}

fn cells<'a>(
    probes: &'a [&Probe],
    columns: &'a [Column],
) -> impl Iterator<Item = (&'a Probe, &'a Mode, &'a Cell)> {
    columns.iter().flat_map(move |column| {
        probes.iter().zip(&column.cells).map(|(probe, cell)| (*probe, &column.mode, cell))
    })
}

/// What a control did and what a cage answered, in their own words.
fn details(probes: &[&Probe], controls: &[ControlResult], columns: &[Column]) -> String {
    let mut text = String::from("\n");
    for (probe, control) in probes.iter().zip(controls) {
        let (ControlResult::Succeeded(detail)
        | ControlResult::Skipped(detail)
        | ControlResult::Failed(detail)) = control;
        text.push_str(&format!("{}, control: {}\n", probe.name, shortened(detail)));
    }
    for (probe, mode, cell) in cells(probes, columns) {
        let detail = match cell {
            Cell::Held(detail) | Cell::Breached(detail) => detail,
            Cell::Partial(why) | Cell::NotApplicable(why) => *why,
        };
        text.push_str(&format!("{}, {}: {}\n", probe.name, mode.title(), shortened(detail)));
    }
    text
}

fn totals(probes: &[&Probe], controls: &[ControlResult], columns: &[Column], begun: Instant) -> String {
    let count = |test: fn(&Cell) -> bool| cells(probes, columns).filter(|(_, _, cell)| test(cell)).count();
    let works = controls.iter().filter(|control| matches!(control, ControlResult::Succeeded(_))).count();
    format!(
        "{} probes, {works} controls work; {} modes: {} held, {} in part, {} breached, {} n/a; {:.1} s\n",
        probes.len(),
        columns.len(),
        count(|cell| matches!(cell, Cell::Held(_))),
        count(|cell| matches!(cell, Cell::Partial(_))),
        count(|cell| matches!(cell, Cell::Breached(_))),
        count(|cell| matches!(cell, Cell::NotApplicable(_))),
        begun.elapsed().as_secs_f64(),
    )
}

/// Where the time went: the suite is run often, and a probe that only waits is worth a look.
fn slowest(probes: &[&Probe], columns: &[Column]) -> String {
    let mut all: Vec<_> = columns
        .iter()
        .flat_map(|column| {
            probes.iter().zip(&column.took).map(|(probe, took)| (*took, probe.name, column.mode.name))
        })
        .collect();
    all.sort_by(|a, b| b.cmp(a));
    let told: Vec<_> = all
        .iter()
        .take(SLOWEST_TOLD)
        .map(|(took, probe, mode)| format!("{probe} in {mode} {:.1} s", took.as_secs_f64()))
        .collect();
    format!("slowest: {}\n", told.join(", "))
}

fn failures(probes: &[&Probe], controls: &[ControlResult], columns: &[Column]) -> Vec<String> {
    let mut failures = Vec::new();
    for (probe, control) in probes.iter().zip(controls) {
        if let ControlResult::Failed(why) = control {
            failures.push(format!("{}: the control failed: {why}", probe.name));
        }
    }
    for (probe, mode, cell) in cells(probes, columns) {
        if let Cell::Breached(why) = cell {
            failures.push(format!("{} in {}: BREACHED: {why}", probe.name, mode.title()));
        }
    }
    failures
}

fn shortened(detail: &str) -> String {
    // What a hostile program printed does not reach a terminal raw.
    detail.chars().take(DETAIL_MAX).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Past libtest's capture: the matrix is wanted when all is well, too.
fn say(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).expect("standard error is open");
}
