//! How single measurements scatter.

use std::time::Duration;

/// Percentiles of a set of durations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Spread {
    /// The percentiles of `durations`; all zero if there are none.
    pub(crate) fn of(durations: &[Duration]) -> Self {
        let mut sorted = durations.to_vec();
        sorted.sort_unstable();
        let at = |percent| percentile(&sorted, percent).map_or(0.0, milliseconds);
        Self { p50_ms: at(50), p90_ms: at(90), p99_ms: at(99) }
    }
}

/// Milliseconds to the tenth of a microsecond, which is finer than any clock call is short.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e7).round() / 1e4
}

/// The nearest rank: the smallest value that at least `percent` in a hundred do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let all: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        for (count, expected) in
            [(200, [100.0, 180.0, 198.0]), (1, [200.0; 3]), (0, [0.0; 3]), (2, [199.0, 200.0, 200.0])]
        {
            let Spread { p50_ms, p90_ms, p99_ms } = Spread::of(&all[..count]);
            assert_eq!([p50_ms, p90_ms, p99_ms], expected, "{count}");
        }
    }
}
