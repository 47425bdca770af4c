//! The outcome of `rollcage eval`: how many solutions hold, and how sure that number is.

use std::collections::BTreeMap;

use rollcage_judge::{
    Bootstrap, Disclosure, Interval, Judgement, SampleCounts, Verdict, mean_pass_at_k, wilson,
};
use rollcage_types::TaskId;
use serde::{Deserialize, Serialize};

/// A data set judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalReport {
    /// What it was, as the caller names it.
    pub dataset: String,
    /// Samples, judged or not.
    pub total: usize,
    /// Samples accepted.
    pub accepted: usize,
    /// Samples that could not be judged. They count neither for nor against the solutions.
    pub judge_errors: usize,
    /// Wilson's 95 % interval for the share accepted of those judged; only with one sample per task, because
    /// samples of one task are not independent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_interval: Option<IntervalReport>,
    /// pass@k for each k asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_at_k: Vec<PassAtKReport>,
    /// Every sample that was not accepted.
    pub rows: Vec<EvalRow>,
}

/// A sample that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalRow {
    /// The task.
    pub id: String,
    /// Which of its samples, counted from 0.
    pub sample: u32,
    /// The verdict; absent if it could not be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// Why.
    pub reason: String,
}

/// A range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "a range has two ends")]
pub struct IntervalReport {
    pub low: f64,
    pub high: f64,
}

/// The mean of pass@k over tasks, or why it is not defined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassAtKReport {
    /// Samples drawn.
    pub k: u64,
    /// The mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Its interval, bootstrapped over tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<IntervalReport>,
    /// Why there is no mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
}

/// The quantile of the normal distribution that leaves 2.5 % on each side.
const Z_95: f64 = 1.959_963_984_540_054;

impl EvalReport {
    /// Sums up judgements, one per sample and in any order; `ks` are the k of pass@k.
    pub fn new(
        dataset: &str,
        judged: &[(TaskId, u32, Judgement)],
        ks: &[u64],
        bootstrap: &Bootstrap,
        disclosure: Disclosure,
    ) -> Self {
        let mut counts: BTreeMap<&TaskId, SampleCounts> = BTreeMap::new();
        let mut rows = Vec::new();
        let (mut accepted, mut judge_errors) = (0, 0);
        for (id, sample, judgement) in judged {
            let count = counts.entry(id).or_insert(SampleCounts { samples: 0, correct: 0 });
            let (verdict, reason) = match judgement {
                Judgement::Scored(scored) => {
                    count.samples += 1;
                    if scored.verdict == Verdict::Accepted {
                        count.correct += 1;
                        accepted += 1;
                        continue;
                    }
                    (Some(scored.verdict.as_str().to_owned()), scored.reason(disclosure).unwrap_or_default())
                }
                Judgement::Unscorable(unscorable) => {
                    judge_errors += 1;
                    (None, format!("{}: {}", unscorable.blame.as_str(), unscorable.reason))
                }
            };
            rows.push(EvalRow { id: id.to_string(), sample: *sample, verdict, reason });
        }
        rows.sort_by(|a, b| (&a.id, a.sample).cmp(&(&b.id, b.sample)));
        let single = judged.len() == counts.len();
        // A task none of whose samples could be judged says nothing about the solutions.
        let counts: Vec<_> = counts.into_values().filter(|count| count.samples > 0).collect();
        let scored = counts.iter().map(|count| count.samples).sum();
        let interval = if single { wilson(accepted, scored, Z_95) } else { None };
        Self {
            dataset: dataset.to_owned(),
            total: judged.len(),
            accepted: usize::try_from(accepted).unwrap_or(usize::MAX),
            judge_errors,
            accepted_interval: interval.map(IntervalReport::from),
            pass_at_k: ks.iter().map(|k| PassAtKReport::new(&counts, *k, bootstrap)).collect(),
            rows,
        }
    }
}

impl PassAtKReport {
    /// The mean of pass@k over `counts`, one per task.
    pub fn new(counts: &[SampleCounts], k: u64, bootstrap: &Bootstrap) -> Self {
        match mean_pass_at_k(counts, k, bootstrap) {
            Ok(estimate) => Self {
                k,
                mean: Some(estimate.mean),
                interval: Some(estimate.interval.into()),
                undefined: None,
            },
            Err(error) => Self { k, mean: None, interval: None, undefined: Some(error.to_string()) },
        }
    }
}

impl From<Interval> for IntervalReport {
    fn from(Interval { low, high }: Interval) -> Self {
        Self { low, high }
    }
}
