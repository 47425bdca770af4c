//! Measures ways of doing something against each other: one after the other, then many at once.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rollcage_api::BenchRow;
use rollcage_sandbox::{Cancel, HostConfig};

use crate::bench::spread::Spread;
use crate::failure::Failure;

/// One way of doing one thing.
pub(crate) struct Subject<'a> {
    /// What is done.
    pub(crate) case: &'a str,
    /// How.
    pub(crate) mode: &'a str,
    /// Done before each single run, and not timed.
    pub(crate) before: Option<&'a dyn Fn() -> Result<(), Failure>>,
    /// Does it once, on any thread.
    pub(crate) once: &'a (dyn Fn() -> Result<(), Failure> + Sync),
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// For the latencies of all subjects together.
    sequential: Duration,
    /// For the throughput of each subject.
    parallel: Duration,
}

impl Effort {
    /// Enough for percentiles that repeat; under a minute for three cases.
    pub(crate) const FULL: Self =
        Self { sequential: Duration::from_secs(10), parallel: Duration::from_secs(3) };
    /// A look: about ten seconds for three cases.
    pub(crate) const QUICK: Self =
        Self { sequential: Duration::from_millis(1800), parallel: Duration::from_millis(500) };
}

impl Effort {
    /// The time for the throughput of one subject.
    pub(crate) const fn parallel(self) -> Duration {
        self.parallel
    }
}

/// Not timed: the first runs fill caches and pools.
const WARM_UP_RUNS: usize = 5;
/// One subject runs for so long before the next has its turn: long enough to be in its stride, short against any drift.
const BLOCK_TIME: Duration = Duration::from_millis(100);
/// But at least so often,
const BLOCK_RUNS: usize = 10;
/// unless that takes longer than this.
const BLOCK_TIME_MAX: Duration = Duration::from_secs(1);
/// Turns each subject gets to be run many times at once.
const PARALLEL_TURNS: u32 = 4;

/// Measures each of `subjects`, in turns, and returns a row for each.
pub(crate) fn measure(
    subjects: &[Subject<'_>],
    effort: Effort,
    cancel: &Cancel,
) -> Result<Vec<BenchRow>, Failure> {
    let latencies = latencies(subjects, effort.sequential, cancel)?;
    let throughputs = throughputs(subjects, effort.parallel, cancel)?;
    let row = |((subject, latencies), per_second): ((&Subject<'_>, Vec<Duration>), f64)| {
        let Spread { p50_ms, p90_ms, p99_ms } = Spread::of(&latencies);
        BenchRow {
            case: subject.case.to_owned(),
            mode: subject.mode.to_owned(),
            p50_ms,
            p90_ms,
            p99_ms,
            per_second,
            memory_kb: None,
        }
    };
    Ok(subjects.iter().zip(latencies).zip(throughputs).map(row).collect())
}

impl Subject<'_> {
    fn time_one(&self) -> Result<Duration, Failure> {
        if let Some(before) = self.before {
            before()?;
        }
        let began = Instant::now();
        (self.once)()?;
        Ok(began.elapsed())
    }
}

/// Single runs, one at a time, in blocks that take turns.
fn latencies(
    subjects: &[Subject<'_>],
    budget: Duration,
    cancel: &Cancel,
) -> Result<Vec<Vec<Duration>>, Failure> {
    for subject in subjects {
        for _ in 0..WARM_UP_RUNS {
            subject.time_one()?;
        }
    }
    let mut latencies = vec![Vec::new(); subjects.len()];
    let began = Instant::now();
    while began.elapsed() < budget && !cancel.is_cancelled() {
        for (subject, latencies) in subjects.iter().zip(&mut latencies) {
            let (block_began, mut runs) = (Instant::now(), 0);
            loop {
                latencies.push(subject.time_one()?);
                runs += 1;
                let enough = if runs < BLOCK_RUNS { BLOCK_TIME_MAX } else { BLOCK_TIME };
                if block_began.elapsed() >= enough || cancel.is_cancelled() {
                    break;
                }
            }
        }
    }
    Ok(latencies)
}

/// Runs per second with as many threads as a host has slots, bare and caged alike, in slices that take turns.
fn throughputs(subjects: &[Subject<'_>], budget: Duration, cancel: &Cancel) -> Result<Vec<f64>, Failure> {
    let mut counts = vec![(0_u32, Duration::ZERO); subjects.len()];
    for _ in 0..PARALLEL_TURNS {
        for (subject, (runs, time)) in subjects.iter().zip(&mut counts) {
            let began = Instant::now();
            *runs += run_for(subject, budget / PARALLEL_TURNS, cancel)?;
            // To the end of the last run, so that a slow one is not counted as fast.
            *time += began.elapsed();
        }
    }
    Ok(counts
        .into_iter()
        .map(|(runs, time)| (f64::from(runs) / time.as_secs_f64() * 10.0).round() / 10.0)
        .collect())
}

fn run_for(subject: &Subject<'_>, slice: Duration, cancel: &Cancel) -> Result<u32, Failure> {
    let threads = HostConfig::default().slots;
    let (runs, failed) = (AtomicU32::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let work = || {
        while began.elapsed() < slice && !failed.load(Ordering::Relaxed) && !cancel.is_cancelled() {
            (subject.once)().inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            runs.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_panic| Err(Failure::infrastructure(anyhow::anyhow!("a thread panicked"))))
        })
    })?;
    Ok(runs.into_inner())
}
