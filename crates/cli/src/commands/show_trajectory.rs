//! A conversation, turn by turn, for people. Everything in it was written by a model or a program.

use rollcage_api::{
    ActionRecord, JudgedRecord, OutcomeRecord, StreamRecord, TerminationRecord, TimingsRecord,
    TrajectoryRecord, TurnRecord, UsageRecord,
};

use crate::visible_text::visible;

/// The whole conversation.
pub(super) fn text(trajectory: &TrajectoryRecord, turns: &[TurnRecord]) -> String {
    let TrajectoryRecord { id, task_id, sample_index, seed, language, .. } = trajectory;
    let language = language.as_deref().unwrap_or("no language");
    let mut text = format!("trajectory {id}\n");
    text.push_str(&format!(
        "task {}, sample {sample_index}, {}, seed {seed}\n",
        visible(task_id),
        visible(language)
    ));
    for turn in turns {
        text.push_str(&turn_text(turn));
    }
    text.push_str(&ending(trajectory));
    text
}

fn turn_text(turn: &TurnRecord) -> String {
    let TurnRecord { index, stage, completion, action, outcome, usage, observation, timings, .. } = turn;
    let mut text = format!("\n── turn {index} ({stage}) {}\n", timings_text(timings));
    if let Some(reasoning) = &completion.reasoning {
        text.push_str(&section("reasoning", reasoning));
    }
    text.push_str(&section("policy", &completion.text));
    for call in &completion.tool_calls {
        text.push_str(&section(&format!("calls {}", visible(&call.name)), &call.arguments));
    }
    if completion.finish_reason != "stop" {
        text.push_str(&format!("(the completion ended by {})\n", visible(&completion.finish_reason)));
    }
    text.push_str(&outcome_text(action, outcome, usage.as_ref()));
    for message in observation {
        text.push_str(&section(&format!("{} reads", visible(&message.role)), &message.content));
    }
    text
}

fn outcome_text(action: &ActionRecord, outcome: &OutcomeRecord, usage: Option<&UsageRecord>) -> String {
    let OutcomeRecord { kind, why, judged, session: _, termination, stdout, stderr } = outcome;
    let mut text = match kind.as_str() {
        "ran" => {
            let ended = termination.as_ref().map(termination_text).unwrap_or_default();
            section(&format!("ran, {ended}{}", usage.map(usage_text).unwrap_or_default()), &action.content)
        }
        "answered" => {
            let judged = judged.as_ref().and_then(JudgedRecord::from_value);
            section(
                &format!("answered, {}", judged.as_ref().map(judged_text).unwrap_or_default()),
                &action.content,
            )
        }
        "void" => format!("nothing was done: {}\n", visible(why.as_deref().unwrap_or("no reason"))),
        "gave_up" => "gave up\n".to_owned(),
        other => format!("{}\n", visible(other)),
    };
    for (name, stream) in [("stdout", stdout), ("stderr", stderr)] {
        if stream.bytes_total > 0 {
            text.push_str(&section(name, &stream_text(stream)));
        }
    }
    text
}

fn ending(trajectory: &TrajectoryRecord) -> String {
    let TrajectoryRecord { stop_reason, failure, reward, judgement, .. } = trajectory;
    let Some(stop) = stop_reason else { return "\nnot finished\n".to_owned() };
    let mut text = format!("\nstopped by {}", visible(stop));
    if let Some(judged) = judgement.as_ref().and_then(JudgedRecord::from_value) {
        text.push_str(&format!(", {}", judged_text(&judged)));
    }
    match reward {
        Some(reward) => text.push_str(&format!(", reward {reward}")),
        None => text.push_str(", no reward"),
    }
    if let Some(failure) = failure {
        text.push_str(&format!("\nfailed: {}", visible(failure)));
    }
    text.push('\n');
    text
}

/// A titled block, each line indented, so that no output can pass for a title.
fn section(title: &str, content: &str) -> String {
    let mut text = format!("{title}:\n");
    for line in visible(content).lines() {
        text.push_str(&format!("    {line}\n"));
    }
    text
}

fn stream_text(stream: &StreamRecord) -> String {
    stream.to_captured().to_text()
}

fn termination_text(termination: &TerminationRecord) -> String {
    match termination {
        TerminationRecord::Exited { code } => format!("exit code {code}"),
        TerminationRecord::Signaled { signal } => format!("signal {signal}"),
        TerminationRecord::LimitExceeded { limit } => format!("{} limit exceeded", visible(limit)),
        TerminationRecord::Cancelled => "cancelled".to_owned(),
    }
}

fn usage_text(usage: &UsageRecord) -> String {
    let (cpu, wall) = (usage.cpu_time_us as f64 / 1000.0, usage.wall_time_us as f64 / 1000.0);
    let memory = usage.memory_bytes as f64 / (1024.0 * 1024.0);
    format!(", cpu {cpu:.1} ms, wall {wall:.1} ms, memory {memory:.1} MiB")
}

fn judged_text(judged: &JudgedRecord) -> String {
    match judged {
        JudgedRecord::Scored { verdict, reason: None, .. } => visible(verdict),
        JudgedRecord::Scored { verdict, reason: Some(reason), .. } => {
            format!("{} ({})", visible(verdict), visible(reason))
        }
        JudgedRecord::Unscorable { blame, reason, .. } => {
            format!("not judged ({}: {})", visible(blame), visible(reason))
        }
    }
}

fn timings_text(timings: &TimingsRecord) -> String {
    let TimingsRecord { policy_ms, queue_ms, compile_ms, run_ms, elapsed_ms } = timings;
    format!(
        "policy {policy_ms} ms, queue {queue_ms} ms, compile {compile_ms} ms, run {run_ms} ms; {elapsed_ms} ms in all"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_output_stays_in_its_place() {
        let shown = section("stdout", "\x1b[2J\rx\n── turn 9\n");
        assert_eq!(shown, "stdout:\n    ␛[2J␍x\n    ── turn 9\n");
    }
}
