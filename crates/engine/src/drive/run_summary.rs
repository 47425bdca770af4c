//! A stored run, summed up.

use std::collections::{BTreeMap, BTreeSet};

use rollcage_api::{
    JudgedRecord, JudgementRecord, JudgementResult, PassAtKReport, RunKind, RunRecord, RunReport, RunStatus,
    SecondsReport, TrajectoryRecord, TrajectoryStatus,
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

/// Sums up a run. Blocks for as long as reading all of it takes.
pub fn summarise_run(reader: &StoreReader, run: &RunRecord) -> Result<RunReport, StoreError> {
    let trajectories = reader.trajectories(&run.id)?;
    let mut seconds = SecondsReport::default();
    for trajectory in &trajectories {
        for turn in reader.turns(&trajectory.id)? {
            seconds.policy += to_seconds(turn.timings.policy_ms);
            seconds.queue += to_seconds(turn.timings.queue_ms);
            seconds.compile += to_seconds(turn.timings.compile_ms);
            seconds.run += to_seconds(turn.timings.run_ms);
        }
    }
    let has_turns = !trajectories.is_empty();
    let mut rows: Vec<Row> = trajectories.into_iter().map(Row::from).collect();
    rows.extend(reader.judgements(&run.id)?.into_iter().map(Row::from));
    Ok(report(run, &rows, has_turns.then_some(seconds)))
}

fn report(run: &RunRecord, rows: &[Row], seconds: Option<SecondsReport>) -> RunReport {
    let mut verdicts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let mut stop_reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut counts: BTreeMap<&str, SampleCounts> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_finished) {
        *verdicts.entry(row.language.clone()).or_default().entry(row.verdict.clone()).or_default() += 1;
        if let Some(stop) = &row.stop_reason {
            *stop_reasons.entry(stop.clone()).or_default() += 1;
        }
        if row.reward.is_some() {
            let count = counts.entry(&row.task).or_insert(SampleCounts { samples: 0, correct: 0 });
            count.samples += 1;
            count.correct += u64::from(row.is_accepted);
        }
    }
    let rewards: Vec<f64> = rows.iter().filter_map(|row| row.reward).collect();
    let counts: Vec<_> = counts.into_values().collect();
    let samples_of_all = counts.iter().map(|count| count.samples).min().unwrap_or(1);
    let ks: BTreeSet<u64> = [1, samples_of_all].into_iter().collect();
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
        pass_at_k: ks.into_iter().map(|k| PassAtKReport::new(&counts, k, &Bootstrap::default())).collect(),
        seconds,
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
