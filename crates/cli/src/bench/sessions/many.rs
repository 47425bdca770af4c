//! Many sessions open at once, within a budget of memory: who is live, who was put aside, and what a cell takes in each.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rollcage_api::BenchRow;
use rollcage_sandbox::Cancel;
use rollcage_session::live::{LiveCell, LiveSession};
use rollcage_session::{Cell, Session, SessionSpec};

use super::ours::{Ground, run, timed};
use super::{SessionsPlan, jupyter, row};
use crate::cache_directory::cache_directory;
use crate::failure::Failure;
use crate::output;

/// Ours, whose interpreters ran.
pub(super) const LIVE: &str = "live";
/// Ours, which were brought back for the cell.
pub(super) const REHYDRATED: &str = "rehydrated";
/// Every turn replays the history in a fresh cage.
pub(super) const REPLAY: &str = "replay every turn";
/// Turns before the one that is measured.
const TURNS: usize = 3;
/// Sessions of those that replay every turn: each is as slow as any other.
const REPLAYED_MAX: usize = 30;
/// An ipykernel takes half a second to start and 40 MB.
const KERNELS_MAX: usize = 100;

/// For each of the numbers of `plan`: rows for cells of sessions that were live, were brought back, or replay every turn.
pub(super) fn measured(plan: &SessionsPlan, cancel: &Cancel) -> Result<Vec<BenchRow>, Failure> {
    let mut rows = Vec::new();
    for &count in &plan.many {
        rows.append(&mut one(plan, count, cancel).map_err(Failure::infrastructure)?);
        if cancel.is_cancelled() {
            break;
        }
    }
    Ok(rows)
}

fn one(plan: &SessionsPlan, count: usize, cancel: &Cancel) -> anyhow::Result<Vec<BenchRow>> {
    let ground = Ground::new(plan, None).map_err(|failure| failure.error)?;
    let name = format!("open-{count}");
    let began = Instant::now();
    let mut sessions: Vec<LiveSession> = Vec::with_capacity(count);
    for index in 0..count {
        let session = ground.open(None)?;
        run(&session, &format!("n = {index}"), None)?;
        for turn in 1..TURNS {
            run(&session, &format!("n = n + {turn}"), None)?;
        }
        sessions.push(session);
        if cancel.is_cancelled() {
            return Ok(Vec::new());
        }
    }
    let counts = ground.farm.counts();
    output::note(&format!(
        "{count} sessions opened in {:.1} s: {} live, {} parked, {} evicted, {} in all",
        began.elapsed().as_secs_f64(),
        counts.live - counts.parked,
        counts.parked,
        counts.evicted,
        counts.memory,
    ));
    let memory_kb = counts.memory.as_u64() / 1024;
    let (mut live, mut back) = (Vec::new(), Vec::new());
    let added: usize = (1..TURNS).sum();
    for index in shuffled(count) {
        let cell = LiveCell::new("n");
        let (took, outcome) = timed(|| {
            sessions[index].execute(&cell, &mut |_prompt| None).with_context(|| format!("session {index}"))
        })?;
        let shown = outcome.stdout.to_text();
        ensure!(shown.trim_end() == (index + added).to_string(), "session {index} answered `{shown}`");
        if outcome.rehydrated.is_some() {
            back.push(took);
        } else {
            live.push(took);
        }
        if cancel.is_cancelled() {
            break;
        }
    }
    output::note(&format!(
        "a cell in each, in random order: {} live, {} brought back, all right",
        live.len(),
        back.len()
    ));
    let mut rows = Vec::new();
    for (mode, times) in [(LIVE, live), (REHYDRATED, back)] {
        if !times.is_empty() {
            rows.push(BenchRow { memory_kb: Some(memory_kb), ..row(&name, mode, &times) });
        }
    }
    drop(sessions);
    let times = replayed(&ground, count.min(REPLAYED_MAX))?;
    // They are texts between their turns.
    rows.push(BenchRow { memory_kb: Some(0), ..row(&name, REPLAY, &times) });
    if plan.with_ipykernel && count <= KERNELS_MAX {
        let cache = cache_directory().map_err(|failure| failure.error)?;
        rows.push(jupyter::open_together(count, &name, &cache)?);
    }
    Ok(rows)
}

/// The last cell of sessions that replay every turn.
fn replayed(ground: &Ground, count: usize) -> anyhow::Result<Vec<Duration>> {
    let cancel = Cancel::new();
    (0..count)
        .map(|index| {
            let language = std::sync::Arc::clone(&ground.python);
            let mut session =
                Session::open(language, SessionSpec::default()).context("cannot open a session")?;
            let mut run = |source: String| {
                session.run(ground.farm.host(), Cell::new(source), &cancel).context("a replay failed")
            };
            run(format!("n = {index}"))?;
            for turn in 1..TURNS {
                run(format!("n = n + {turn}"))?;
            }
            Ok(timed(|| run("n".to_owned()))?.0)
        })
        .collect()
}

/// All numbers below `count`, in an order that is the same every time and no other's.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..count).rev() {
        // xorshift64: https://www.jstatsoft.org/article/view/v008i14
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (last as u64 + 1)).unwrap_or(0);
        order.swap(last, other);
    }
    order
}
