//! A run as tables for people.

use rollcage_api::{JudgedRecord, JudgementResult, RunRecord, RunReport, SecondsReport, TrajectoryStatus};
use rollcage_engine::store::StoreReader;

use super::eval_report::pass_at_k_line;
use crate::engine_host::store_failed;
use crate::failure::Failure;
use crate::table;
use crate::visible_text::visible_line;

/// Characters of a task's name or a reason in a table.
const CELL_CHARACTERS_MAX: usize = 60;

/// The run in numbers.
pub(super) fn text(report: &RunReport) -> String {
    let RunReport { run_id, kind, status, created_at, tasks, samples, finished, scored, accepted, .. } =
        report;
    let mut text = format!("run {run_id}: {kind}, {status}, created {created_at}\n");
    text.push_str(&format!(
        "{tasks} tasks, {finished} of {samples} samples finished, {scored} scored, {accepted} accepted\n"
    ));
    if let Some(reward) = report.mean_reward {
        text.push_str(&format!("mean reward {reward:.4}\n"));
    }
    if finished > &0 {
        text.push('\n');
        let rows = report.verdicts.iter().flat_map(|(language, verdicts)| {
            verdicts.iter().map(move |(verdict, count)| {
                [visible_line(language, CELL_CHARACTERS_MAX), verdict.clone(), count.to_string()]
            })
        });
        text.push_str(&table::render(["language", "verdict", "samples"], rows));
    }
    if !report.stop_reasons.is_empty() {
        text.push('\n');
        let rows = report.stop_reasons.iter().map(|(stop, count)| [stop.clone(), count.to_string()]);
        text.push_str(&table::render(["stopped by", "samples"], rows));
    }
    if scored > &0 {
        text.push('\n');
        text.extend(report.pass_at_k.iter().map(pass_at_k_line));
    }
    if let Some(SecondsReport { policy, queue, compile, run }) = report.seconds {
        text.push('\n');
        let rows = [("policy", policy), ("queue", queue), ("compile", compile), ("run", run)];
        let rows = rows.map(|(name, seconds)| [name.to_owned(), format!("{seconds:.3}")]);
        text.push_str(&table::render(["where time went", "seconds"], rows));
    }
    text
}

/// The samples of a run, one line each: conversations, or solutions that were not accepted.
pub(super) fn samples_text(reader: &StoreReader, run: &RunRecord) -> Result<String, Failure> {
    let mut text = String::new();
    let mut rows = Vec::new();
    let turn_counts = reader.turn_counts(&run.id).map_err(store_failed)?;
    for record in reader.trajectories(&run.id).map_err(store_failed)? {
        let turns = turn_counts.get(&record.id).copied().unwrap_or(0);
        let verdict =
            record.judgement.as_ref().and_then(JudgedRecord::from_value).map(|judged| match judged {
                JudgedRecord::Scored { verdict, .. } => verdict,
                JudgedRecord::Unscorable { .. } => "unscorable".to_owned(),
            });
        let status = match record.status {
            TrajectoryStatus::Running => "not finished".to_owned(),
            TrajectoryStatus::Finished => record.stop_reason.unwrap_or_default(),
        };
        let id = record.id.strip_prefix(&run.id).unwrap_or(&record.id).trim_start_matches('-').to_owned();
        rows.push([
            id,
            visible_line(&record.task_id, CELL_CHARACTERS_MAX),
            record.sample_index.to_string(),
            turns.to_string(),
            status,
            verdict.unwrap_or_default(),
            record.reward.map(|reward| format!("{reward:.3}")).unwrap_or_default(),
        ]);
    }
    if !rows.is_empty() {
        let headings = ["trajectory", "task", "sample", "turns", "stopped by", "verdict", "reward"];
        text.push_str(&format!("\n{}", table::render(headings, rows)));
    }
    let mut rows = Vec::new();
    for record in reader.judgements(&run.id).map_err(store_failed)? {
        let (verdict, why) = match record.result {
            JudgementResult::Scored { verdict, .. } if verdict == "accepted" => continue,
            JudgementResult::Scored { verdict, .. } => {
                let detail = record.cases.iter().find_map(|case| case.detail.clone());
                (verdict, detail.unwrap_or_default())
            }
            JudgementResult::Unscorable { blame, reason, .. } => {
                ("not judged".to_owned(), format!("{blame}: {reason}"))
            }
        };
        rows.push([
            visible_line(&record.problem_id, CELL_CHARACTERS_MAX),
            record.sample_index.to_string(),
            verdict,
            visible_line(&why, CELL_CHARACTERS_MAX),
        ]);
    }
    if !rows.is_empty() {
        text.push_str(&format!("\n{}", table::render(["task", "sample", "verdict", "reason"], rows)));
    }
    Ok(text)
}
