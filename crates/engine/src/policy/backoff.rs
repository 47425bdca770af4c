//! How long to wait before the next attempt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How failed calls are retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPlan {
    /// Attempts of one call, the first included.
    pub attempts_max: u32,
    /// The wait after the first attempt; it doubles with each further one.
    pub wait_first: Duration,
    /// No wait of our own choosing is longer.
    pub wait_max: Duration,
}

impl Default for RetryPlan {
    /// Rides out the restart of a proxy, not that of a model server: the driver decides about those.
    fn default() -> Self {
        Self { attempts_max: 5, wait_first: Duration::from_millis(500), wait_max: Duration::from_secs(30) }
    }
}

impl RetryPlan {
    /// The wait after `attempt` (from 1) failed: between half and all of its doubled length, so that clients that
    /// failed together do not return together.
    pub(super) fn wait(&self, attempt: u32, jitter: &Jitter) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let full = self.wait_first.saturating_mul(1 << doublings).min(self.wait_max);
        full.mul_f64(0.5 + 0.5 * jitter.next_fraction())
    }
}

/// A stream of random numbers from a seed, shared by concurrent calls.
#[derive(Debug)]
pub(super) struct Jitter {
    state: AtomicU64,
}

impl Jitter {
    /// The stream of this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// The next number, from 0 to below 1: SplitMix64, whose state is a counter and so needs no lock.
    fn next_fraction(&self) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut bits = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let high = u32::try_from(bits >> 32).expect("the upper half of 64 bits fits 32");
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }
}

/// What a `Retry-After` header asks for: seconds, or a date.
pub(super) fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // A date that has passed asks for no wait.
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_scatter_below() {
        let plan = RetryPlan {
            attempts_max: 9,
            wait_first: Duration::from_millis(100),
            wait_max: Duration::from_secs(1),
        };
        let jitter = Jitter::new(7);
        for (attempt, full_ms) in
            [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (40, 1000), (u32::MAX, 1000)]
        {
            let full = Duration::from_millis(full_ms);
            let waits: Vec<Duration> = (0..50).map(|_| plan.wait(attempt, &jitter)).collect();
            assert!(waits.iter().all(|wait| (full / 2..=full).contains(wait)), "{attempt}: {waits:?}");
            assert!(waits.iter().max() > waits.iter().min(), "{attempt}: {waits:?}");
        }
    }

    #[test]
    fn the_same_seed_waits_the_same() {
        let waits = |seed| {
            let jitter = Jitter::new(seed);
            (1..6).map(|attempt| RetryPlan::default().wait(attempt, &jitter)).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(parse_retry_after(text, now), expected.map(Duration::from_secs), "{text:?}");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some(10));
        check("Sun, 06 Nov 1994 08:49:27 GMT", Some(0));
        check("-1", None);
        check("soon", None);
        check("", None);
    }
}
