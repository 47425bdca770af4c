//! Our own sessions, in Python.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use rollcage_api::BenchRow;
use rollcage_language::{Language, LanguageSet};
use rollcage_sandbox::Cancel;
use rollcage_session::live::{AsideDirectory, Farm, FarmConfig, ForkWay, LiveCell, LiveSession, LiveSpec};
use rollcage_types::{ByteSize, Limits};

use super::cases::SessionCase;
use super::{OURS, PANDAS_CELL, SessionsPlan, row};
use crate::failure::Failure;
use crate::language_files::find;
use crate::{host, output};

/// A state of 200 MB.
const ARRAY: &str = "import numpy\nx = numpy.ones(25 << 20)\nlen(x)";
/// The same in small objects: a list of so many numbers, each an object of 32 bytes and a place of 8.
const OBJECTS: &str = "x = [n + 0.5 for n in range(6_500_000)]\nlen(x)";

/// Between two cases.
const SETTLING: Duration = Duration::from_secs(1);

/// A farm, and what is opened on it.
pub(super) struct Ground {
    pub(super) farm: Farm,
    pub(super) python: Arc<Language>,
    _directory: AsideDirectory,
}

impl Ground {
    pub(super) fn new(plan: &SessionsPlan, live_max: Option<usize>) -> Result<Self, Failure> {
        let python = find(&LanguageSet::built_in(), "python")?;
        let host = Arc::new(host::start_with(1, plan.host.clone())?);
        let directory =
            AsideDirectory::create().context("cannot create a directory").map_err(Failure::infrastructure)?;
        let config = FarmConfig {
            memory: plan.memory,
            live_max,
            directory: directory.path().join("sessions"),
            idle: None,
        };
        let farm = Farm::new(host, config).map_err(Failure::infrastructure)?;
        Ok(Self { farm, python, _directory: directory })
    }

    pub(super) fn open(&self, preload: Option<&str>) -> anyhow::Result<LiveSession> {
        let limits = Limits { memory: ByteSize::gib(1), ..Limits::default() };
        let preload = preload.map(str::to_owned);
        let spec = LiveSpec { limits, preload, forks: true, ..LiveSpec::default() };
        self.farm.open(&self.python, spec).context("cannot open a session")
    }

    fn memory_kb(&self) -> u64 {
        self.farm.counts().memory.as_u64() / 1024
    }
}

/// Runs a cell that shows `expected`.
pub(super) fn run(session: &LiveSession, source: &str, expected: Option<&str>) -> anyhow::Result<()> {
    let outcome = session.execute(&LiveCell::new(source), &mut |_prompt| None).context("a cell failed")?;
    let said = outcome.stderr.to_text();
    ensure!(outcome.termination.is_success(), "a cell ended with {:?}: {said}", outcome.termination);
    let shown = outcome.stdout.to_text();
    ensure!(expected.is_none_or(|expected| shown.trim_end() == expected), "a cell showed `{shown}`");
    Ok(())
}

pub(super) fn timed<T>(action: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(Duration, T)> {
    let began = Instant::now();
    let result = action()?;
    Ok((began.elapsed(), result))
}

/// Measures the cases of `plan`.
pub(super) fn measured(plan: &SessionsPlan, cancel: &Cancel) -> Result<Vec<BenchRow>, Failure> {
    let ground = Ground::new(plan, None)?;
    // The first interpreter is started for the first session.
    run(&ground.open(None).map_err(Failure::infrastructure)?, "1", Some("1"))
        .map_err(Failure::infrastructure)?;
    let mut rows = Vec::new();
    for case in &plan.cases {
        if cancel.is_cancelled() {
            break;
        }
        let scale = if plan.is_quick { 1 } else { 5 };
        // Namespaces of the last case's sessions, which the kernel takes down when it has time, are nothing of this one's.
        std::thread::sleep(SETTLING);
        match measure(&ground, *case, scale) {
            Ok(row) => rows.push(row),
            Err(error) if matches!(case, SessionCase::IdleMemoryPandas | SessionCase::Park) => {
                output::note(&format!("{} is left out: {error:#}", case.name()));
            }
            Err(error) => return Err(Failure::infrastructure(error.context(case.name()))),
        }
    }
    Ok(rows)
}

fn measure(ground: &Ground, case: SessionCase, scale: usize) -> anyhow::Result<BenchRow> {
    let name = case.name();
    match case {
        SessionCase::Create => {
            let times = repeat(40 * scale, || Ok(timed(|| ground.open(None))?.0))?;
            Ok(row(name, OURS, &times))
        }
        SessionCase::FirstCell => {
            let times = repeat(40 * scale, || {
                let session = ground.open(None)?;
                Ok(timed(|| run(&session, "x = 1\nx", Some("1")))?.0)
            })?;
            Ok(row(name, OURS, &times))
        }
        SessionCase::Cell => {
            let session = ground.open(None)?;
            run(&session, "x = 0", None)?;
            let mut number = 0;
            let times = repeat(400 * scale, || {
                number += 1;
                Ok(timed(|| run(&session, "x += 1\nx", Some(&number.to_string())))?.0)
            })?;
            Ok(row(name, OURS, &times))
        }
        SessionCase::ForkOne => fork(ground, name, &SMALL, 40 * scale),
        SessionCase::ForkRested => fork(ground, name, &Forking { rest: REST, ..SMALL }, 8 * scale),
        SessionCase::ForkSixteen => fork(ground, name, &Forking { count: 16, ..SMALL }, 4 * scale),
        SessionCase::ForkArray => {
            fork(ground, name, &Forking { preload: Some("numpy"), state: ARRAY, ..SMALL }, 8 * scale)
        }
        SessionCase::ForkObjects => fork(ground, name, &Forking { state: OBJECTS, ..SMALL }, 8 * scale),
        SessionCase::Park => {
            let times = repeat(20 * scale, || {
                let session = ground.open(None)?;
                run(&session, "x = 1\nx", None)?;
                let took = timed(|| session.park().context("cannot park"))?.0;
                run(&session, "x", Some("1"))?;
                Ok(took)
            })?;
            Ok(row(name, OURS, &times))
        }
        SessionCase::Evict | SessionCase::Rehydrate => {
            let mut there = Vec::new();
            let mut back = Vec::new();
            for _ in 0..20 * scale {
                let session = ground.open(None)?;
                for number in 0..10 {
                    run(&session, &format!("x = {number}\nx"), None)?;
                }
                there.push(timed(|| session.evict().context("cannot evict"))?.0);
                back.push(timed(|| session.rehydrate().context("cannot rehydrate"))?.0);
                run(&session, "x", Some("9"))?;
            }
            Ok(row(name, OURS, if case == SessionCase::Evict { &there } else { &back }))
        }
        SessionCase::IdleMemory => idle(ground, name, None, "x = 1\nx", 40 * scale),
        SessionCase::IdleMemoryPandas => idle(ground, name, Some("pandas"), PANDAS_CELL, 10 * scale),
    }
}

fn repeat(count: usize, mut once: impl FnMut() -> anyhow::Result<Duration>) -> anyhow::Result<Vec<Duration>> {
    (0..count).map(|_| once()).collect()
}

/// What is forked, and how.
struct Forking {
    preload: Option<&'static str>,
    /// The cell that makes the state.
    state: &'static str,
    /// Branches at once.
    count: usize,
    /// Before each time.
    rest: Duration,
}

const SMALL: Forking = Forking { preload: None, state: "x = 1\nx", count: 1, rest: Duration::ZERO };
/// The kernel forgets that somebody was moved to another control group; the next who is has to wait for it.
const REST: Duration = Duration::from_millis(500);

fn fork(ground: &Ground, name: &str, how: &Forking, times: usize) -> anyhow::Result<BenchRow> {
    let session = ground.open(how.preload)?;
    run(&session, how.state, None)?;
    let times = repeat(times, || {
        std::thread::sleep(how.rest);
        let (took, forked) = timed(|| session.fork(how.count).context("cannot fork"))?;
        ensure!(forked.way == ForkWay::Copied, "{:?}", forked.way);
        let last = forked.sessions.last().ok_or_else(|| anyhow!("there is no branch"))?;
        run(last, "x is not None", Some("True"))?;
        Ok(took)
    })?;
    Ok(row(name, OURS, &times))
}

/// Memory of each of so many, with what the kernel holds and what is charged to the interpreter they are copies of; and
/// the time of the cell that each has run.
fn idle(
    ground: &Ground,
    name: &str,
    preload: Option<&str>,
    source: &str,
    count: usize,
) -> anyhow::Result<BenchRow> {
    // The interpreter itself, and its copies that wait, are not the sessions'.
    run(&ground.open(preload)?, source, None)?;
    // Until what the last session held is given back.
    std::thread::sleep(Duration::from_millis(300));
    let before = ground.memory_kb();
    let mut kept = Vec::new();
    let times = repeat(count, || {
        let session = ground.open(preload)?;
        let took = timed(|| run(&session, source, None))?.0;
        kept.push(session);
        Ok(took)
    })?;
    let kb = ground.memory_kb().saturating_sub(before) / count as u64;
    Ok(BenchRow { memory_kb: Some(kb), ..row(name, OURS, &times) })
}
