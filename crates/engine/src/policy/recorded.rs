//! A policy that repeats what was recorded.
//!
//! A recording is a file of JSON lines: `{"task_id": …, "sample": 0, "turns": [{"content": …}]}`. What it says
//! depends on the task, the sample and the turn alone, so concurrent calls in any order get the same answers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use rollcage_rollout::{Completion, FinishReason, TokenUsage, ToolCall};
use serde::Deserialize;

use super::error::PolicyError;
use super::request::{Latency, PolicyReply, PolicyRequest};

/// Bytes of one line: a conversation of many turns with its reasoning.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Recorded turns, by task and sample.
#[derive(Debug)]
pub struct RecordedPolicy {
    path: PathBuf,
    /// A line without a sample is under `None` and serves the samples that have no line of their own.
    transcripts: HashMap<(String, Option<u32>), Transcript>,
}

#[derive(Debug)]
struct Transcript {
    line: usize,
    turns: Vec<Completion>,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// The file cannot be read.
    #[error("cannot read recording `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A line is not a transcript.
    #[error("line {line} of recording `{}` is not a transcript", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A line does not end.
    #[error("line {line} of recording `{}` is longer than {LINE_BYTES_MAX} bytes", path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Two lines record the same sample.
    #[error("line {line} of recording `{}` repeats the task and sample of line {first}", path.display())]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The second line, from 1.
        line: usize,
        /// The first line, from 1.
        first: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TranscriptLine {
    task_id: String,
    sample: Option<u32>,
    turns: Vec<TurnLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnLine {
    content: String,
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Vec<ToolCallLine>,
    finish_reason: Option<FinishReasonLine>,
    usage: Option<UsageLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolCallLine {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FinishReasonLine {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsageLine {
    prompt_tokens: u32,
    completion_tokens: u32,
}

impl RecordedPolicy {
    /// Reads a recording. Empty lines are skipped.
    pub fn load(path: &Path) -> Result<Self, TranscriptError> {
        let read_failed = |source| TranscriptError::Read { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(read_failed)?);
        let mut transcripts = HashMap::new();
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            if file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes).map_err(read_failed)? == 0 {
                break;
            }
            if bytes.len() as u64 == LINE_BYTES_MAX && !bytes.ends_with(b"\n") {
                return Err(TranscriptError::LineTooLong { path: path.to_owned(), line });
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let record: TranscriptLine = serde_json::from_slice(&bytes)
                .map_err(|source| TranscriptError::Malformed { path: path.to_owned(), line, source })?;
            let turns = record.turns.into_iter().map(Completion::from).collect();
            let key = (record.task_id, record.sample);
            let replaced: Option<Transcript> = transcripts.insert(key, Transcript { line, turns });
            if let Some(first) = replaced {
                return Err(TranscriptError::Duplicate { path: path.to_owned(), line, first: first.line });
            }
        }
        Ok(Self { path: path.to_owned(), transcripts })
    }

    /// The turn recorded for this task, sample and turn.
    pub fn complete(&self, request: PolicyRequest<'_>) -> Result<PolicyReply, PolicyError> {
        let task_id = request.task_id.as_str();
        let transcript = [Some(request.sample), None]
            .into_iter()
            .find_map(|sample| self.transcripts.get(&(task_id.to_owned(), sample)))
            .ok_or_else(|| PolicyError::NotRecorded {
                path: self.path.clone(),
                task_id: task_id.to_owned(),
                sample: request.sample,
            })?;
        let completion =
            transcript.turns.get(request.turn as usize).ok_or_else(|| PolicyError::PolicyStopped {
                path: self.path.clone(),
                line: transcript.line,
                task_id: task_id.to_owned(),
                turns: transcript.turns.len(),
                turn: request.turn,
            })?;
        Ok(PolicyReply { completion: completion.clone(), latency: Latency::default(), attempts: 1 })
    }
}

impl From<TurnLine> for Completion {
    fn from(turn: TurnLine) -> Self {
        let ends_by_itself =
            if turn.tool_calls.is_empty() { FinishReasonLine::Stop } else { FinishReasonLine::ToolCalls };
        let finish = match turn.finish_reason.unwrap_or(ends_by_itself) {
            FinishReasonLine::Stop => FinishReason::Stop,
            FinishReasonLine::Length => FinishReason::Length,
            FinishReasonLine::ToolCalls => FinishReason::ToolCalls,
            FinishReasonLine::ContentFilter => FinishReason::ContentFilter,
        };
        let tool_call =
            |call: ToolCallLine| ToolCall { id: call.id, name: call.name, arguments: call.arguments };
        Self {
            text: turn.content,
            reasoning: turn.reasoning,
            tool_calls: turn.tool_calls.into_iter().map(tool_call).collect(),
            finish,
            usage: turn
                .usage
                .map(|usage| TokenUsage { prompt: usage.prompt_tokens, completion: usage.completion_tokens }),
            tokens: None,
        }
    }
}
