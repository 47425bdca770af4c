//! How fast the canary was, minute by minute, and whether it became slower.

use std::time::Duration;

use serde::Serialize;

use crate::bench::spread::Spread;

/// One run of the canary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// When it began, from the start of the soak.
    pub(super) at: Duration,
    pub(super) took: Duration,
}

/// The canary's runs of one minute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Minute {
    pub(crate) minute: u64,
    pub(crate) runs: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Benign programs that ended in one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Throughput {
    pub(crate) at_s: u64,
    pub(crate) per_second: f64,
}

impl Throughput {
    pub(super) fn new(at: Duration, runs: u64, during: Duration) -> Self {
        let runs = u32::try_from(runs).map_or(f64::from(u32::MAX), f64::from);
        let per_second = runs / during.as_secs_f64().max(f64::MIN_POSITIVE);
        Self { at_s: at.as_secs(), per_second: (per_second * 10.0).round() / 10.0 }
    }
}

/// The beats minute by minute; minutes without any are left out.
pub(super) fn minutes(beats: &[Beat]) -> Vec<Minute> {
    let minute = |beat: &Beat| beat.at.as_secs() / 60;
    let mut sorted = beats.to_vec();
    sorted.sort_by_key(|beat| beat.at);
    let of = |beats: &[Beat]| {
        let Spread { p50_ms, p99_ms, .. } = spread(beats);
        Minute { minute: minute(&beats[0]), runs: beats.len(), p50_ms, p99_ms }
    };
    sorted.chunk_by(|a, b| minute(a) == minute(b)).map(of).collect()
}

/// Fewer in a third say nothing.
const BEATS_MIN: usize = 5;

/// How much longer, in percent, the canary took at the median in the last third of its runs than in the first.
pub(super) fn drift_percent(beats: &[Beat]) -> Option<f64> {
    let mut sorted = beats.to_vec();
    sorted.sort_by_key(|beat| beat.at);
    let third = sorted.len() / 3;
    if third < BEATS_MIN {
        return None;
    }
    let first = spread(&sorted[..third]).p50_ms;
    let last = spread(&sorted[sorted.len() - third..]).p50_ms;
    (first > 0.0).then(|| ((last / first - 1.0) * 1000.0).round() / 10.0)
}

fn spread(beats: &[Beat]) -> Spread {
    Spread::of(&beats.iter().map(|beat| beat.took).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(took_ms: impl Fn(u64) -> u64, count: u64) -> Vec<Beat> {
        // Not in the order of time: threads report when they can.
        let beat = |i| Beat { at: Duration::from_secs(i * 10), took: Duration::from_millis(took_ms(i)) };
        (0..count).rev().map(beat).collect()
    }

    #[test]
    fn minutes_hold_their_own_beats() {
        let minutes = minutes(&beats(|i| i + 1, 13));
        let told: Vec<_> = minutes.iter().map(|m| (m.minute, m.runs, m.p50_ms, m.p99_ms)).collect();
        assert_eq!(told, [(0, 6, 3.0, 6.0), (1, 6, 9.0, 12.0), (2, 1, 13.0, 13.0)]);
        assert!(super::minutes(&[]).is_empty());
    }

    #[test]
    fn drift_compares_the_ends() {
        assert_eq!(drift_percent(&beats(|_| 10, 30)), Some(0.0));
        assert_eq!(drift_percent(&beats(|i| if i < 10 { 10 } else { 15 }, 30)), Some(50.0));
        assert_eq!(drift_percent(&beats(|i| if i < 20 { 20 } else { 15 }, 30)), Some(-25.0));
        assert_eq!(drift_percent(&beats(|_| 10, 14)), None);
    }
}
