//! A policy's answers to a data set, in the form `eval` reports: one judgement per sample.

use rollcage_api::{JudgedRecord, TrajectoryStatus};
use rollcage_judge::{Judgement, Score, Scored, Unscorable, Verdict};
use rollcage_rollout::JudgedAnswer;
use rollcage_types::TaskId;

use crate::store::{StoreError, StoreReader};

/// The judgement of every sample of a run of single turns, by task and sample. Blocks.
///
/// A policy that gave no program answered wrongly: it was asked for one. What we or its server failed to do is
/// unscorable, as everywhere.
pub fn policy_judgements(
    reader: &StoreReader,
    run_id: &str,
) -> Result<Vec<(TaskId, u32, Judgement)>, StoreError> {
    let trajectories = reader.trajectories(run_id)?;
    let judged = trajectories.into_iter().map(|record| {
        let answer = record.judgement.as_ref().and_then(JudgedRecord::from_value);
        let answer = answer.and_then(|judged| judged.to_judged());
        let stop = record.stop_reason.unwrap_or_default();
        let judgement = match (record.status, record.reward, answer) {
            (TrajectoryStatus::Running, _, _) => unscorable("the sample is not finished", true),
            (TrajectoryStatus::Finished, _, Some(JudgedAnswer::Unscorable(why))) => {
                Judgement::Unscorable(why)
            }
            // Without a reward there is no number, whatever was judged before we or the server failed.
            (TrajectoryStatus::Finished, None, Some(JudgedAnswer::Scored { .. }) | None) => {
                unscorable(record.failure.as_deref().unwrap_or(&stop), false)
            }
            (TrajectoryStatus::Finished, Some(_), Some(JudgedAnswer::Scored { verdict, reward, reason })) => {
                let score = Score::new(reward.value()).unwrap_or(Score::ZERO);
                scored(verdict, score, reason)
            }
            (TrajectoryStatus::Finished, Some(_), None) => {
                let reason = format!("the policy gave no program ({stop})");
                scored(Verdict::WrongAnswer, Score::ZERO, Some(reason))
            }
        };
        (TaskId::new(record.task_id), record.sample_index, judgement)
    });
    Ok(judged.collect())
}

fn scored(verdict: Verdict, score: Score, reason: Option<String>) -> Judgement {
    Judgement::Scored(Scored { verdict, score, refusal: reason, compile: None, cases: Vec::new() })
}

fn unscorable(reason: &str, retryable: bool) -> Judgement {
    Judgement::Unscorable(Unscorable::infrastructure(reason, retryable))
}
