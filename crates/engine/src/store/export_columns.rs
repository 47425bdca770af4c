//! The columns of exported tables.
//!
//! A column is added freely and never renamed: users' notebooks read them.

use rollcage_api::{
    JudgementRecord, JudgementResult, Record, TerminationRecord, TrajectoryRecord, TrajectoryStatus,
    TurnRecord,
};

use super::parquet_table::{Cell, ColumnKind};

/// A record as a row of a table.
pub(super) trait Row: Record {
    /// The table's name inside the file.
    const NAME: &'static str;
    /// Names and kinds; the last one is always `record`.
    const COLUMNS: &'static [(&'static str, ColumnKind)];

    /// One cell for each column.
    fn cells(&self) -> Vec<Cell>;
}

impl Row for TrajectoryRecord {
    const NAME: &'static str = "trajectories";
    const COLUMNS: &'static [(&'static str, ColumnKind)] = &[
        ("trajectory_id", ColumnKind::Text),
        ("run_id", ColumnKind::Text),
        ("task_id", ColumnKind::Text),
        ("group", ColumnKind::Text),
        ("sample_index", ColumnKind::Integer),
        ("seed", ColumnKind::Integer),
        ("language", ColumnKind::Text),
        ("status", ColumnKind::Text),
        ("stop_reason", ColumnKind::Text),
        ("reward", ColumnKind::Number),
        ("record", ColumnKind::Text),
    ];

    fn cells(&self) -> Vec<Cell> {
        let status = match self.status {
            TrajectoryStatus::Running => "running",
            TrajectoryStatus::Finished => "finished",
        };
        vec![
            Cell::text(&self.id),
            Cell::text(&self.run_id),
            Cell::text(&self.task_id),
            Cell::optional_text(self.group.as_deref()),
            Cell::Integer(Some(self.sample_index.into())),
            Cell::Integer(Some(self.seed)),
            Cell::optional_text(self.language.as_deref()),
            Cell::text(status),
            Cell::optional_text(self.stop_reason.as_deref()),
            Cell::Number(self.reward),
            whole(self),
        ]
    }
}

impl Row for TurnRecord {
    const NAME: &'static str = "turns";
    const COLUMNS: &'static [(&'static str, ColumnKind)] = &[
        ("trajectory_id", ColumnKind::Text),
        ("turn_index", ColumnKind::Integer),
        ("text", ColumnKind::Text),
        ("reasoning", ColumnKind::Text),
        ("finish_reason", ColumnKind::Text),
        ("prompt_tokens", ColumnKind::Integer),
        ("completion_tokens", ColumnKind::Integer),
        ("action", ColumnKind::Text),
        ("code", ColumnKind::Text),
        ("outcome", ColumnKind::Text),
        ("termination", ColumnKind::Text),
        ("cpu_time_us", ColumnKind::Integer),
        ("wall_time_us", ColumnKind::Integer),
        ("memory_bytes", ColumnKind::Integer),
        ("observation", ColumnKind::Text),
        ("policy_ms", ColumnKind::Integer),
        ("queue_ms", ColumnKind::Integer),
        ("compile_ms", ColumnKind::Integer),
        ("run_ms", ColumnKind::Integer),
        ("record", ColumnKind::Text),
    ];

    fn cells(&self) -> Vec<Cell> {
        let termination = self.outcome.termination.as_ref().map(|termination| match termination {
            TerminationRecord::Exited { code } => format!("exited {code}"),
            TerminationRecord::Signaled { signal } => format!("signaled {signal}"),
            TerminationRecord::LimitExceeded { limit } => format!("limit_exceeded {limit}"),
            TerminationRecord::Cancelled => "cancelled".to_owned(),
        });
        let shown: Vec<&str> = self.observation.iter().map(|message| message.content.as_str()).collect();
        let observation = (!shown.is_empty()).then(|| shown.join("\n"));
        vec![
            Cell::text(&self.trajectory_id),
            Cell::Integer(Some(self.index.into())),
            Cell::text(&self.completion.text),
            Cell::optional_text(self.completion.reasoning.as_deref()),
            Cell::text(&self.completion.finish_reason),
            Cell::Integer(self.completion.prompt_tokens),
            Cell::Integer(self.completion.completion_tokens),
            Cell::text(&self.action.kind),
            Cell::text(&self.action.content),
            Cell::text(&self.outcome.kind),
            Cell::Text(termination),
            Cell::Integer(self.usage.as_ref().map(|usage| usage.cpu_time_us)),
            Cell::Integer(self.usage.as_ref().map(|usage| usage.wall_time_us)),
            Cell::Integer(self.usage.as_ref().map(|usage| usage.memory_bytes)),
            Cell::Text(observation),
            Cell::Integer(Some(self.timings.policy_ms)),
            Cell::Integer(Some(self.timings.queue_ms)),
            Cell::Integer(Some(self.timings.compile_ms)),
            Cell::Integer(Some(self.timings.run_ms)),
            whole(self),
        ]
    }
}

impl Row for JudgementRecord {
    const NAME: &'static str = "judgements";
    const COLUMNS: &'static [(&'static str, ColumnKind)] = &[
        ("run_id", ColumnKind::Text),
        ("problem_id", ColumnKind::Text),
        ("sample_index", ColumnKind::Integer),
        ("language", ColumnKind::Text),
        ("verdict", ColumnKind::Text),
        ("score", ColumnKind::Number),
        ("blame", ColumnKind::Text),
        ("reason", ColumnKind::Text),
        ("fingerprint_id", ColumnKind::Text),
        ("solution_blake3", ColumnKind::Text),
        ("solution", ColumnKind::Text),
        ("record", ColumnKind::Text),
    ];

    fn cells(&self) -> Vec<Cell> {
        let (verdict, score, blame, reason) = match &self.result {
            JudgementResult::Scored { verdict, score } => (Some(verdict), Some(*score), None, None),
            JudgementResult::Unscorable { blame, reason, retryable: _ } => {
                (None, None, Some(blame), Some(reason))
            }
        };
        vec![
            Cell::text(&self.run_id),
            Cell::text(&self.problem_id),
            Cell::Integer(Some(self.sample_index.into())),
            Cell::text(&self.language),
            Cell::Text(verdict.cloned()),
            Cell::Number(score),
            Cell::Text(blame.cloned()),
            Cell::Text(reason.cloned()),
            Cell::text(&self.fingerprint_id),
            Cell::text(&self.solution_blake3),
            Cell::text(&self.solution),
            whole(self),
        ]
    }
}

/// The record as JSON, so that no field is lost to the choice of columns.
fn whole<R: Record>(record: &R) -> Cell {
    Cell::Text(Some(serde_json::to_string(record).expect("a record that was decoded has a JSON form")))
}
