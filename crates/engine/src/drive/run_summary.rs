//! A stored run, summed up.

use std::collections::{BTreeMap, BTreeSet};

use rollcage_api::{
    JudgedRecord, JudgementRecord, JudgementResult, PassAtKReport, RunKind, RunRecord, RunReport, RunStatus,
    SecondsReport, TimingsRecord, TrajectoryRecord, TrajectoryStatus,
};
use rollcage_judge::{Bootstrap, SampleCounts, Verdict};

use crate::store::{StoreError, StoreReader};

/// What stands for a verdict where the policy gave no answer.
const NO_ANSWER: &str = "no_answer";
/// What stands for a verdict where there is none.
const UNSCORABLE: &str = "unscorable";

/// One sample, whatever kind of run it is of.
struct Row {
    task: String,
    language: String,
    is_finished: bool,
    /// `None` where there is no number.
    reward: Option<f64>,
    is_accepted: bool,
    verdict: String,
    stop_reason: Option<String>,
}

/// How much of a run is read for its summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryDepth {
    /// What a list of runs shows: no pass@k, and no times, for which every turn would be read.
    Overview,
    /// Everything.
    Full,
}

/// Sums up a run. Blocks for as long as reading it takes; one record is in memory at a time.
pub fn summarise_run(
    reader: &StoreReader,
    run: &RunRecord,
    depth: SummaryDepth,
) -> Result<RunReport, StoreError> {
    let mut rows: Vec<Row> = Vec::new();
    reader.visit_trajectories(&run.id, |record| keep(&mut rows, record))?;
    let has_turns = !rows.is_empty();
    reader.visit_judgements(&run.id, |record| keep(&mut rows, record))?;
    match depth {
        SummaryDepth::Overview => Ok(report(run, &rows)),
        SummaryDepth::Full => Ok(RunReport {
            pass_at_k: pass_at_k(&rows),
            seconds: if has_turns { Some(seconds(reader, &run.id)?) } else { None },
            ..report(run, &rows)
        }),
    }
}

fn keep(rows: &mut Vec<Row>, record: impl Into<Row>) -> Result<(), StoreError> {
    rows.push(record.into());
    Ok(())
}

fn seconds(reader: &StoreReader, run_id: &str) -> Result<SecondsReport, StoreError> {
    let mut seconds = SecondsReport::default();
    reader.visit_turns(run_id, |turn| {
        let TimingsRecord { policy_ms, queue_ms, compile_ms, run_ms, elapsed_ms: _ } = turn.timings;
        seconds.policy += to_seconds(policy_ms);
        seconds.queue += to_seconds(queue_ms);
        seconds.compile += to_seconds(compile_ms);
        seconds.run += to_seconds(run_ms);
        Ok::<(), StoreError>(())
    })?;
    Ok(seconds)
}

/// For 1 and for the largest number of samples every task has.
fn pass_at_k(rows: &[Row]) -> Vec<PassAtKReport> {
    let mut counts: BTreeMap<&str, SampleCounts> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_finished && row.reward.is_some()) {
        let count = counts.entry(&row.task).or_insert(SampleCounts { samples: 0, correct: 0 });
        count.samples += 1;
        count.correct += u64::from(row.is_accepted);
    }
    let counts: Vec<_> = counts.into_values().collect();
    let samples_of_all = counts.iter().map(|count| count.samples).min().unwrap_or(1);
    let ks: BTreeSet<u64> = [1, samples_of_all].into_iter().collect();
    ks.into_iter().map(|k| PassAtKReport::new(&counts, k, &Bootstrap::default())).collect()
}

fn report(run: &RunRecord, rows: &[Row]) -> RunReport {
    let mut verdicts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut stop_reasons: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_finished) {
        *verdicts.entry(row.language.clone()).or_default().entry(row.verdict.clone()).or_default() += 1;
        if let Some(stop) = &row.stop_reason {
            *stop_reasons.entry(stop.clone()).or_default() += 1;
        }
    }
    let rewards: Vec<f64> = rows.iter().filter_map(|row| row.reward).collect();
    RunReport {
        run_id: run.id.clone(),
        kind: match run.kind {
            RunKind::Rollout => "rollout",
            RunKind::Eval => "eval",
            RunKind::Demo => "demo",
        }
        .to_owned(),
        status: match run.status {
            RunStatus::Running => "running",
            RunStatus::Finished => "finished",
            RunStatus::Interrupted => "interrupted",
        }
        .to_owned(),
        created_at: run.created_at.clone(),
        tasks: rows.iter().map(|row| row.task.as_str()).collect::<BTreeSet<_>>().len(),
        samples: rows.len(),
        finished: rows.iter().filter(|row| row.is_finished).count(),
        scored: rewards.len(),
        accepted: rows.iter().filter(|row| row.is_accepted).count(),
        mean_reward: (!rewards.is_empty()).then(|| rewards.iter().sum::<f64>() / rewards.len() as f64),
        verdicts,
        stop_reasons,
        pass_at_k: Vec::new(),
        seconds: None,
    }
}

impl From<TrajectoryRecord> for Row {
    fn from(record: TrajectoryRecord) -> Self {
        let judged = record.judgement.as_ref().and_then(JudgedRecord::from_value);
        let is_finished = match record.status {
            TrajectoryStatus::Finished => true,
            TrajectoryStatus::Running => false,
        };
        let verdict = match (&judged, record.reward) {
            // An answer may have been judged before what followed failed; then it is not the one that counts.
            (_, None) | (Some(JudgedRecord::Unscorable { .. }), Some(_)) => UNSCORABLE.to_owned(),
            (Some(JudgedRecord::Scored { verdict, .. }), Some(_)) => verdict.clone(),
            (None, Some(_)) => NO_ANSWER.to_owned(),
        };
        Self {
            task: record.task_id,
            language: record.language.unwrap_or_default(),
            is_finished,
            reward: record.reward,
            is_accepted: verdict == Verdict::Accepted.as_str(),
            verdict,
            stop_reason: record.stop_reason,
        }
    }
}

impl From<JudgementRecord> for Row {
    fn from(record: JudgementRecord) -> Self {
        let (verdict, reward) = match record.result {
            JudgementResult::Scored { verdict, score } => (verdict, Some(score)),
            JudgementResult::Unscorable { .. } => (UNSCORABLE.to_owned(), None),
        };
        Self {
            task: record.problem_id,
            language: record.language,
            is_finished: true,
            reward,
            is_accepted: verdict == Verdict::Accepted.as_str(),
            verdict,
            stop_reason: None,
        }
    }
}

fn to_seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_reward_makes_a_verdict_count() {
        let accepted = json!({"scored": {"verdict": "accepted", "reward": 1.0, "reason": null}});
        let wrong = json!({"scored": {"verdict": "wrong_answer", "reward": 0.0, "reason": null}});
        for (judgement, reward, verdict, is_accepted) in [
            (Some(&accepted), Some(1.0), "accepted", true),
            (Some(&wrong), Some(0.0), "wrong_answer", false),
            (Some(&wrong), None, UNSCORABLE, false),
            (None, Some(0.0), NO_ANSWER, false),
            (None, None, UNSCORABLE, false),
        ] {
            let row = Row::from(TrajectoryRecord {
                id: "i".to_owned(),
                run_id: "r".to_owned(),
                task_id: "t".to_owned(),
                group: None,
                sample_index: 0,
                seed: 0,
                language: None,
                status: TrajectoryStatus::Finished,
                stop_reason: Some("answered".to_owned()),
                failure: None,
                reward,
                reward_parts: std::collections::BTreeMap::new(),
                judgement: judgement.cloned(),
            });
            assert_eq!(
                (row.verdict.as_str(), row.is_accepted),
                (verdict, is_accepted),
                "{judgement:?} {reward:?}"
            );
        }
    }
}
