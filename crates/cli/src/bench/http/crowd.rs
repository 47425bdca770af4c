//! Many clients at once, each with a connection of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rollcage_api::BenchRow;
use rollcage_sandbox::Cancel;

use super::client::Client;
use super::{CLIENTS, Work};
use crate::bench::measure::Effort;
use crate::bench::spread::Spread;
use crate::failure::Failure;

/// What each of the clients sees, and what the server does for all of them.
pub(super) fn measure(
    case: &str,
    mode: &str,
    address: SocketAddr,
    work: &Work,
    effort: Effort,
    cancel: &Cancel,
) -> Result<BenchRow, Failure> {
    let failed = AtomicBool::new(false);
    let began = Instant::now();
    let time = effort.parallel();
    let client = || {
        let mut client = Client::connect(address)?;
        let mut latencies: Vec<Duration> = Vec::new();
        while began.elapsed() < time && !failed.load(Ordering::Relaxed) && !cancel.is_cancelled() {
            let asked = Instant::now();
            work.over_http(&mut client).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            latencies.push(asked.elapsed());
        }
        Ok(latencies)
    };
    let all = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let joined = clients.into_iter().map(|client| {
            let panicked = |_| Err(Failure::infrastructure(anyhow::anyhow!("a thread panicked")));
            client.join().unwrap_or_else(panicked)
        });
        joined.collect::<Result<Vec<_>, Failure>>()
    })?;
    let latencies = all.concat();
    // To the end of the last reply, so that a slow one is not counted as fast.
    let per_second = latencies.len() as f64 / began.elapsed().as_secs_f64();
    let Spread { p50_ms, p90_ms, p99_ms } = Spread::of(&latencies);
    Ok(BenchRow {
        case: case.to_owned(),
        mode: mode.to_owned(),
        p50_ms,
        p90_ms,
        p99_ms,
        per_second: (per_second * 10.0).round() / 10.0,
        memory_kb: None,
    })
}
