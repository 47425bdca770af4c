//! Statistics over many judgements: pass@k, proportions and their intervals.
//!
//! Randomness comes in as a seed, so that a report can be computed again to the last digit.

/// How often a problem was tried and how often it was solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleCounts {
    /// Solutions that were scored.
    pub samples: u64,
    /// Solutions that were accepted.
    pub correct: u64,
}

/// A range with a stated confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// A mean and how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean over all problems.
    pub mean: f64,
    /// Where the mean lies with the confidence asked for.
    pub interval: Interval,
}

/// How an interval is bootstrapped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// How many times the problems are drawn anew.
    pub resamples: u32,
    /// The share of resampled means inside the interval, above 0 and below 1.
    pub confidence: f64,
    /// Where the stream of random numbers starts.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// Enough resamples for two stable digits of a 95 % interval, in milliseconds for a thousand problems.
    fn default() -> Self {
        Self { resamples: 2000, confidence: 0.95, seed: 0 }
    }
}

/// Why a statistic is not defined.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// More samples are drawn than exist, so the estimator says nothing.
    #[error("pass@{k} needs {k} samples of each problem, and one has {samples}")]
    TooFewSamples {
        /// The samples drawn.
        k: u64,
        /// The samples there are.
        samples: u64,
    },
    /// A draw of no samples.
    #[error("pass@0 is not defined")]
    NoDraw,
    /// More correct samples than samples.
    #[error("{correct} of {samples} samples cannot be correct")]
    Counts {
        /// The samples there are.
        samples: u64,
        /// Those said to be correct.
        correct: u64,
    },
    /// A mean of nothing.
    #[error("there is nothing to take a mean of")]
    Empty,
    /// A confidence outside (0, 1), or no resamples.
    #[error("an interval needs a confidence between 0 and 1 and at least one resample")]
    Bootstrap,
}

/// The chance that at least one of `k` samples, drawn without replacement, is correct.
///
/// Asking for more samples than there are is an error: the estimator is unbiased only up to the sample count.
pub fn pass_at_k(counts: SampleCounts, k: u64) -> Result<f64, StatsError> {
    let SampleCounts { samples, correct } = counts;
    if correct > samples {
        return Err(StatsError::Counts { samples, correct });
    }
    if k == 0 {
        return Err(StatsError::NoDraw);
    }
    if k > samples {
        return Err(StatsError::TooFewSamples { k, samples });
    }
    let wrong = samples - correct;
    if wrong < k {
        return Ok(1.0);
    }
    // C(wrong, k) / C(samples, k) as a product of factors below 1, which cannot overflow.
    let none_correct: f64 = (wrong + 1..=samples).map(|i| 1.0 - k as f64 / i as f64).product();
    Ok(1.0 - none_correct)
}

/// The mean of pass@k over problems, with an interval from drawing the problems anew.
pub fn mean_pass_at_k(
    counts: &[SampleCounts],
    k: u64,
    bootstrap: &Bootstrap,
) -> Result<Estimate, StatsError> {
    if counts.is_empty() {
        return Err(StatsError::Empty);
    }
    if bootstrap.resamples == 0 || !(bootstrap.confidence > 0.0 && bootstrap.confidence < 1.0) {
        return Err(StatsError::Bootstrap);
    }
    let values = counts.iter().map(|counts| pass_at_k(*counts, k)).collect::<Result<Vec<_>, _>>()?;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mut stream = SplitMix64(bootstrap.seed);
    let mut means: Vec<f64> = (0..bootstrap.resamples)
        .map(|_| values.iter().map(|_| values[stream.below(values.len())]).sum::<f64>() / values.len() as f64)
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - bootstrap.confidence) / 2.0;
    let interval = Interval { low: quantile(&means, tail), high: quantile(&means, 1.0 - tail) };
    Ok(Estimate { mean, interval })
}

/// Wilson's score interval for `successes` out of `trials`; `z` is 1.96 for 95 %. `None` without trials.
pub fn wilson(successes: u64, trials: u64, z: f64) -> Option<Interval> {
    if trials == 0 || successes > trials {
        return None;
    }
    let n = trials as f64;
    let share = successes as f64 / n;
    let denominator = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / denominator;
    let half = z / denominator * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    // At the ends the formula is exact in theory and off by a rounding error in practice.
    let low = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if successes == trials { 1.0 } else { (centre + half).min(1.0) };
    Some(Interval { low, high })
}

/// The value below which `share` of the sorted, non-empty `sorted` lies, interpolated linearly.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 <= share <= 1 keeps it in range"
)]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    let place = share * last as f64;
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Steele, Lea and Flood's generator: one word of state, and every seed is a good seed.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An index below `bound`. The multiplication favours some indices by at most `bound` in 2^64.
    #[expect(clippy::cast_possible_truncation, reason = "the product shifted by 64 is below bound")]
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(samples: u64, correct: u64) -> SampleCounts {
        SampleCounts { samples, correct }
    }

    #[test]
    fn pass_at_k_is_a_share_of_draws() {
        for (samples, correct, k, expected) in
            [(1, 0, 1, 0.0), (2, 1, 1, 0.5), (5, 2, 2, 0.7), (4, 1, 4, 1.0), (10, 0, 10, 0.0)]
        {
            let value = pass_at_k(counts(samples, correct), k).unwrap();
            assert!((value - expected).abs() < 1e-12, "{samples} {correct} {k}: {value}");
        }
        assert_eq!(pass_at_k(counts(3, 1), 0), Err(StatsError::NoDraw));
        assert_eq!(pass_at_k(counts(3, 1), 4), Err(StatsError::TooFewSamples { k: 4, samples: 3 }));
        assert_eq!(pass_at_k(counts(3, 4), 1), Err(StatsError::Counts { samples: 3, correct: 4 }));
    }

    #[test]
    fn wilson_matches_the_published_examples() {
        for (successes, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = wilson(successes, trials, 1.959_963_984_540_054).unwrap();
            assert!((interval.low - low).abs() < 1e-4 && (interval.high - high).abs() < 1e-4, "{interval:?}");
        }
        assert_eq!(wilson(0, 0, 1.96), None);
        assert_eq!(wilson(5, 5, 1.96).unwrap().high, 1.0);
    }

    #[test]
    fn the_bootstrap_surrounds_the_mean_and_repeats_itself() {
        let problems: Vec<_> = (0..50).map(|i| counts(10, i % 11)).collect();
        let estimate = mean_pass_at_k(&problems, 3, &Bootstrap::default()).unwrap();
        assert!(estimate.interval.low < estimate.mean && estimate.mean < estimate.interval.high);
        assert_eq!(estimate, mean_pass_at_k(&problems, 3, &Bootstrap::default()).unwrap());
        let other = mean_pass_at_k(&problems, 3, &Bootstrap { seed: 1, ..Bootstrap::default() }).unwrap();
        assert_ne!(estimate.interval, other.interval);
        // A normal interval of the same width: the two must agree to a fifth of it.
        let values: Vec<f64> = problems.iter().map(|counts| pass_at_k(*counts, 3).unwrap()).collect();
        let variance = values.iter().map(|value| (value - estimate.mean).powi(2)).sum::<f64>() / 50.0;
        let half = 1.96 * (variance / 50.0).sqrt();
        assert!((estimate.interval.high - estimate.interval.low - 2.0 * half).abs() < 0.2 * 2.0 * half);
    }

    #[test]
    fn certainty_has_no_width() {
        let estimate = mean_pass_at_k(&[counts(4, 4), counts(2, 2)], 2, &Bootstrap::default()).unwrap();
        assert_eq!(estimate, Estimate { mean: 1.0, interval: Interval { low: 1.0, high: 1.0 } });
        assert_eq!(mean_pass_at_k(&[], 1, &Bootstrap::default()), Err(StatsError::Empty));
        let wild = Bootstrap { confidence: f64::NAN, ..Bootstrap::default() };
        assert_eq!(mean_pass_at_k(&[counts(1, 1)], 1, &wild), Err(StatsError::Bootstrap));
    }

    #[test]
    fn the_generator_is_the_published_one() {
        let mut stream = SplitMix64(1_234_567);
        assert_eq!(stream.next(), 6_457_827_717_110_365_317);
        assert_eq!(stream.next(), 3_203_168_211_198_807_973);
    }
}
