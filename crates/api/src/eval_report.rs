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

/// Judgements summed up one after the other, so that none has to be kept. Their order changes nothing.
#[derive(Debug)]
pub struct EvalTally {
    disclosure: Disclosure,
    tasks: BTreeMap<TaskId, TaskTally>,
    total: usize,
    judge_errors: usize,
    rows: Vec<EvalRow>,
}

#[derive(Debug)]
struct TaskTally {
    /// Judged or not.
    samples: u64,
    scored: SampleCounts,
}

impl EvalTally {
    /// Of nothing. Reasons will say no more about outputs than `disclosure` allows.
    pub fn new(disclosure: Disclosure) -> Self {
        Self { disclosure, tasks: BTreeMap::new(), total: 0, judge_errors: 0, rows: Vec::new() }
    }

    /// Adds the judgement of one sample, which is added once.
    pub fn add(&mut self, task_id: &TaskId, sample: u32, judgement: &Judgement) {
        let none = TaskTally { samples: 0, scored: SampleCounts { samples: 0, correct: 0 } };
        let task = self.tasks.entry(task_id.clone()).or_insert(none);
        task.samples += 1;
        self.total += 1;
        let (verdict, reason) = match judgement {
            Judgement::Scored(scored) => {
                task.scored.samples += 1;
                if scored.verdict == Verdict::Accepted {
                    task.scored.correct += 1;
                    return;
                }
                let reason = scored.reason(self.disclosure).unwrap_or_default();
                (Some(scored.verdict.as_str().to_owned()), reason)
            }
            Judgement::Unscorable(unscorable) => {
                self.judge_errors += 1;
                (None, format!("{}: {}", unscorable.blame.as_str(), unscorable.reason))
            }
        };
        self.rows.push(EvalRow { id: task_id.to_string(), sample, verdict, reason });
    }

    /// The number of samples that every task has at least; `None` without tasks.
    pub fn samples_of_each(&self) -> Option<u64> {
        self.tasks.values().map(|task| task.samples).min()
    }

    /// Samples accepted.
    pub fn accepted(&self) -> u64 {
        self.tasks.values().map(|task| task.scored.correct).sum()
    }

    /// The sum; `ks` are the k of pass@k.
    pub fn report(self, dataset: &str, ks: &[u64], bootstrap: &Bootstrap) -> EvalReport {
        let accepted = self.accepted();
        let Self { disclosure: _, tasks, total, judge_errors, mut rows } = self;
        rows.sort_by(|a, b| (&a.id, a.sample).cmp(&(&b.id, b.sample)));
        let single = total == tasks.len();
        // A task none of whose samples could be judged says nothing about the solutions.
        let counts: Vec<_> =
            tasks.into_values().map(|task| task.scored).filter(|count| count.samples > 0).collect();
        let scored = counts.iter().map(|count| count.samples).sum();
        let interval = if single { wilson(accepted, scored, Z_95) } else { None };
        EvalReport {
            dataset: dataset.to_owned(),
            total,
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
