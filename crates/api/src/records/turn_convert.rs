//! Turns to records and back: one field at a time, exhaustively, so that a resumed trajectory is the one that was
//! cut off. Only streams are cut (to what a turn keeps), and times are rounded to what records hold.

use std::sync::Arc;
use std::time::Duration;

use rollcage_judge::{Blame, Unscorable, Verdict};
use rollcage_rollout::{
    CellResult, Completion, FinishReason, JudgedAnswer, Message, Reward, Role, SampledTokens, SessionState,
    TokenUsage, ToolCall, ToolResult, Turn, TurnOutcome, TurnStage, VoidReason,
};
use rollcage_types::{ByteSize, Captured, LimitKind, Termination, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::stream::StreamRecord;
use super::trajectory::{
    ActionRecord, CompletionRecord, MessageRecord, OutcomeRecord, TerminationRecord, TimingsRecord,
    TokensRecord, ToolCallRecord, TurnRecord, UsageRecord,
};

/// A stored turn that says something no turn can say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("turn {index} has `{field}` set to `{found}`, which is not known")]
pub struct TurnRecordError {
    /// The turn.
    pub index: u32,
    /// The field.
    pub field: &'static str,
    /// What it holds.
    pub found: String,
}

/// How an answer was judged, in a few fields: what turns and trajectories keep of a judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JudgedRecord {
    /// It was tried.
    Scored {
        /// The verdict, as `rollcage_judge::Verdict` names it.
        verdict: String,
        /// What it earned.
        reward: f64,
        /// Why it was not accepted.
        reason: Option<String>,
    },
    /// It was not, and it is not to blame.
    Unscorable {
        /// `problem` or `infrastructure`.
        blame: String,
        /// What went wrong.
        reason: String,
        /// Whether judging again may help.
        retryable: bool,
    },
}

/// A tool call, as the content of an action holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallRecord {
    name: String,
    arguments: Map<String, Value>,
}

impl From<&JudgedAnswer> for JudgedRecord {
    fn from(judged: &JudgedAnswer) -> Self {
        match judged {
            JudgedAnswer::Scored { verdict, reward, reason } => Self::Scored {
                verdict: verdict.as_str().to_owned(),
                reward: reward.value(),
                reason: reason.clone(),
            },
            JudgedAnswer::Unscorable(Unscorable { blame, reason, retryable }) => Self::Unscorable {
                blame: blame.as_str().to_owned(),
                reason: reason.clone(),
                retryable: *retryable,
            },
        }
    }
}

impl JudgedRecord {
    /// The JSON a record holds.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("strings and finite numbers have a JSON form")
    }

    /// Reads what [`JudgedRecord::to_value`] wrote.
    pub fn from_value(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }

    /// The answer in the vocabulary of the other crates; `None` for words this release does not know.
    pub fn to_judged(&self) -> Option<JudgedAnswer> {
        Some(match self {
            Self::Scored { verdict, reward, reason } => JudgedAnswer::Scored {
                verdict: Verdict::ALL.into_iter().find(|known| known.as_str() == verdict)?,
                reward: Reward::new(*reward).ok()?,
                reason: reason.clone(),
            },
            Self::Unscorable { blame, reason, retryable } => JudgedAnswer::Unscorable(Unscorable {
                blame: [Blame::Problem, Blame::Infrastructure]
                    .into_iter()
                    .find(|known| known.as_str() == blame)?,
                reason: reason.clone(),
                retryable: *retryable,
            }),
        })
    }
}

impl TurnRecord {
    /// The stored form of `turn`. The time it had taken is put into `timings` here.
    pub fn new(trajectory_id: &str, turn: &Turn, timings: &TimingsRecord) -> Self {
        let Turn { index, stage, completion, outcome, observation, elapsed } = turn;
        let (action, outcome, usage) = outcome_records(outcome);
        Self {
            trajectory_id: trajectory_id.to_owned(),
            index: *index,
            stage: stage_name(*stage).to_owned(),
            completion: completion_record(completion),
            action,
            outcome,
            usage,
            observation: observation.iter().map(message_record).collect(),
            timings: TimingsRecord { elapsed_ms: millis(*elapsed), ..timings.clone() },
        }
    }

    /// The turn that was stored.
    pub fn to_turn(&self) -> Result<Turn, TurnRecordError> {
        let fail = |field, found: &str| TurnRecordError { index: self.index, field, found: found.to_owned() };
        let stages = [TurnStage::Ordinary, TurnStage::Last, TurnStage::FinalAnswer];
        let stage = stages.into_iter().find(|stage| stage_name(*stage) == self.stage);
        let messages = self.observation.iter().map(|message| {
            let roles = [Role::System, Role::User, Role::Assistant, Role::Tool];
            let role = roles.into_iter().find(|role| role_name(*role) == message.role);
            let role = role.ok_or_else(|| fail("observation.role", &message.role))?;
            let MessageRecord { role: _, content, tool_call_id } = message.clone();
            Ok(Message { tool_call_id, ..Message::new(role, content) })
        });
        Ok(Turn {
            index: self.index,
            stage: stage.ok_or_else(|| fail("stage", &self.stage))?,
            completion: self.completion(&fail)?,
            outcome: self.turn_outcome(&fail)?,
            observation: messages.collect::<Result<_, TurnRecordError>>()?,
            elapsed: Duration::from_millis(self.timings.elapsed_ms),
        })
    }

    fn completion(
        &self,
        fail: &dyn Fn(&'static str, &str) -> TurnRecordError,
    ) -> Result<Completion, TurnRecordError> {
        let CompletionRecord {
            text,
            reasoning,
            tool_calls,
            finish_reason,
            prompt_tokens,
            completion_tokens,
            tokens,
        } = self.completion.clone();
        let reasons =
            [FinishReason::Stop, FinishReason::Length, FinishReason::ToolCalls, FinishReason::ContentFilter];
        let finish = reasons.into_iter().find(|reason| finish_name(*reason) == finish_reason);
        let count = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        Ok(Completion {
            text,
            reasoning,
            tool_calls: tool_calls
                .into_iter()
                .map(|ToolCallRecord { id, name, arguments }| ToolCall { id, name, arguments })
                .collect(),
            finish: finish.ok_or_else(|| fail("completion.finish_reason", &finish_reason))?,
            usage: prompt_tokens.zip(completion_tokens).map(|(prompt, completion)| TokenUsage {
                prompt: count(prompt),
                completion: count(completion),
            }),
            tokens: tokens.map(|TokensRecord { prompt, completion, log_probabilities }| {
                Arc::new(SampledTokens { prompt, completion, log_probabilities })
            }),
        })
    }

    fn turn_outcome(
        &self,
        fail: &dyn Fn(&'static str, &str) -> TurnRecordError,
    ) -> Result<TurnOutcome, TurnRecordError> {
        let OutcomeRecord { kind, why, judged, session, termination, stdout, stderr } = &self.outcome;
        Ok(match kind.as_str() {
            "ran" => {
                let termination = termination.as_ref().ok_or_else(|| fail("outcome.termination", ""))?;
                let session = match session.as_deref() {
                    Some("kept") => SessionState::Kept,
                    Some("lost") => SessionState::Lost,
                    other => return Err(fail("outcome.session", other.unwrap_or_default())),
                };
                TurnOutcome::Ran {
                    code: self.action.content.clone(),
                    stdin: self.action.stdin.clone(),
                    cell: CellResult {
                        termination: termination
                            .to_termination()
                            .ok_or_else(|| fail("outcome.termination", ""))?,
                        stdout: stdout.to_captured(),
                        stderr: stderr.to_captured(),
                        usage: self.usage.as_ref().map(UsageRecord::to_usage).unwrap_or_default(),
                        session,
                    },
                }
            }
            "called" => {
                let action = || fail("action.content", &self.action.content);
                let call: CallRecord =
                    serde_json::from_str(&self.action.content).map_err(|_unreadable| action())?;
                let CallRecord { name, arguments } = call;
                let output = rollcage_rollout::cut_text(&stdout.to_captured(), usize::MAX);
                TurnOutcome::Called { name, arguments, result: ToolResult { output, error: why.clone() } }
            }
            "answered" => {
                let judged = judged.as_ref().and_then(JudgedRecord::from_value);
                let judged =
                    judged.and_then(|judged| judged.to_judged()).ok_or_else(|| fail("outcome.judged", ""))?;
                TurnOutcome::Answered { answer: self.action.content.clone(), judged }
            }
            "void" => {
                let why = why.as_deref().unwrap_or_default();
                TurnOutcome::Void { why: void_reason(why).ok_or_else(|| fail("outcome.why", why))? }
            }
            "gave_up" => TurnOutcome::GaveUp,
            other => return Err(fail("outcome.kind", other)),
        })
    }
}

impl TerminationRecord {
    /// The termination that was stored; `None` for a limit this release does not know.
    pub fn to_termination(&self) -> Option<Termination> {
        Some(match self {
            Self::Exited { code } => Termination::Exited { code: *code },
            Self::Signaled { signal } => Termination::Signaled { signal: *signal },
            Self::LimitExceeded { limit } => {
                Termination::LimitExceeded(LimitKind::ALL.into_iter().find(|kind| kind.as_str() == limit)?)
            }
            Self::Cancelled => Termination::Cancelled,
        })
    }
}

impl UsageRecord {
    /// The usage that was stored, to the microsecond.
    pub fn to_usage(&self) -> Usage {
        let Self { cpu_time_us, wall_time_us, memory_bytes, processes, output_bytes, disk_bytes } = self;
        Usage {
            cpu_time: Duration::from_micros(*cpu_time_us),
            wall_time: Duration::from_micros(*wall_time_us),
            memory: ByteSize::bytes(*memory_bytes),
            processes: *processes,
            output: ByteSize::bytes(*output_bytes),
            disk: ByteSize::bytes(*disk_bytes),
        }
    }
}

fn completion_record(completion: &Completion) -> CompletionRecord {
    let Completion { text, reasoning, tool_calls, finish, usage, tokens } = completion.clone();
    CompletionRecord {
        text,
        reasoning,
        tool_calls: tool_calls
            .into_iter()
            .map(|ToolCall { id, name, arguments }| ToolCallRecord { id, name, arguments })
            .collect(),
        finish_reason: finish_name(finish).to_owned(),
        prompt_tokens: usage.map(|usage| usage.prompt.into()),
        completion_tokens: usage.map(|usage| usage.completion.into()),
        tokens: tokens.map(|tokens| {
            let SampledTokens { prompt, completion, log_probabilities } = tokens.as_ref().clone();
            TokensRecord { prompt, completion, log_probabilities }
        }),
    }
}

fn outcome_records(outcome: &TurnOutcome) -> (ActionRecord, OutcomeRecord, Option<UsageRecord>) {
    let action = |kind: &str, content: &str| ActionRecord {
        kind: kind.to_owned(),
        content: content.to_owned(),
        stdin: None,
    };
    let record = |kind: &str| OutcomeRecord {
        kind: kind.to_owned(),
        why: None,
        judged: None,
        session: None,
        termination: None,
        stdout: StreamRecord::default(),
        stderr: StreamRecord::default(),
    };
    match outcome {
        TurnOutcome::Ran { code, stdin, cell } => {
            let CellResult { termination, stdout, stderr, usage, session } = cell;
            let session = match session {
                SessionState::Kept => "kept",
                SessionState::Lost => "lost",
            };
            let outcome = OutcomeRecord {
                session: Some(session.to_owned()),
                termination: Some((*termination).into()),
                stdout: StreamRecord::new(stdout),
                stderr: StreamRecord::new(stderr),
                ..record("ran")
            };
            (ActionRecord { stdin: stdin.clone(), ..action("code", code) }, outcome, Some(usage.into()))
        }
        TurnOutcome::Called { name, arguments, result: ToolResult { output, error } } => {
            let call = CallRecord { name: name.clone(), arguments: arguments.clone() };
            let content = serde_json::to_string(&call).expect("a JSON object has a JSON form");
            let stdout = StreamRecord::new(&Captured::whole(output.as_str()));
            (action("tool", &content), OutcomeRecord { why: error.clone(), stdout, ..record("called") }, None)
        }
        TurnOutcome::Answered { answer, judged } => {
            let judged = Some(JudgedRecord::from(judged).to_value());
            (action("answer", answer), OutcomeRecord { judged, ..record("answered") }, None)
        }
        TurnOutcome::Void { why } => {
            (action("void", ""), OutcomeRecord { why: Some(void_text(why)), ..record("void") }, None)
        }
        TurnOutcome::GaveUp => (action("give_up", ""), record("gave_up"), None),
    }
}

/// What a policy reads carries no reasoning and makes no calls, so those fields of a message are not stored.
fn message_record(message: &Message) -> MessageRecord {
    let Message { role, content, reasoning: _, tool_calls: _, tool_call_id } = message.clone();
    MessageRecord { role: role_name(role).to_owned(), content, tool_call_id }
}

const fn stage_name(stage: TurnStage) -> &'static str {
    match stage {
        TurnStage::Ordinary => "ordinary",
        TurnStage::Last => "last",
        TurnStage::FinalAnswer => "final_answer",
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

const fn finish_name(finish: FinishReason) -> &'static str {
    match finish {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    }
}

/// A reason as `name` or `name: detail`.
fn void_text(why: &VoidReason) -> String {
    match why {
        VoidReason::NoAction => "no_action".to_owned(),
        VoidReason::Truncated => "truncated".to_owned(),
        VoidReason::OtherLanguage { tag } => format!("other_language: {tag}"),
        VoidReason::EmptyCode => "empty_code".to_owned(),
        VoidReason::MalformedToolCall { why } => format!("malformed_tool_call: {why}"),
        VoidReason::UnknownTool { name } => format!("unknown_tool: {name}"),
        VoidReason::NothingToSubmit => "nothing_to_submit".to_owned(),
    }
}

fn void_reason(text: &str) -> Option<VoidReason> {
    let (name, detail) = text.split_once(": ").unwrap_or((text, ""));
    let detail = detail.to_owned();
    Some(match name {
        "no_action" => VoidReason::NoAction,
        "truncated" => VoidReason::Truncated,
        "other_language" => VoidReason::OtherLanguage { tag: detail },
        "empty_code" => VoidReason::EmptyCode,
        "malformed_tool_call" => VoidReason::MalformedToolCall { why: detail },
        "unknown_tool" => VoidReason::UnknownTool { name: detail },
        "nothing_to_submit" => VoidReason::NothingToSubmit,
        _ => return None,
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rollcage_types::Captured;

    use super::*;

    fn turn(outcome: TurnOutcome) -> Turn {
        let call = ToolCall { id: "1".to_owned(), name: "run_code".to_owned(), arguments: "{".to_owned() };
        let tokens =
            SampledTokens { prompt: vec![1], completion: vec![2, 3], log_probabilities: vec![-0.5, 0.0] };
        Turn {
            index: 3,
            stage: TurnStage::Last,
            completion: Completion {
                reasoning: Some("hm".to_owned()),
                tool_calls: vec![call],
                finish: FinishReason::Length,
                usage: Some(TokenUsage { prompt: 7, completion: 8 }),
                tokens: Some(Arc::new(tokens)),
                ..Completion::text("```python\n1\n```")
            },
            outcome,
            observation: vec![Message {
                tool_call_id: Some("1".to_owned()),
                ..Message::new(Role::Tool, "stdout:\n1")
            }],
            elapsed: Duration::from_millis(1234),
        }
    }

    #[test]
    fn a_stored_turn_is_the_turn_that_was_stored() {
        let cell = |termination| CellResult {
            termination,
            stdout: Captured::whole(*b"\xff\x1b[2J"),
            stderr: Captured { head: b"a".to_vec(), tail: b"z".to_vec(), bytes_total: 26 },
            usage: Usage { cpu_time: Duration::from_micros(5), processes: 2, ..Usage::default() },
            session: SessionState::Kept,
        };
        let ran = |termination| TurnOutcome::Ran {
            code: "1".to_owned(),
            stdin: Some(String::new()),
            cell: cell(termination),
        };
        let called = |error| TurnOutcome::Called {
            name: "search".to_owned(),
            arguments: Map::from_iter([("query".to_owned(), Value::from("rust \u{1b}"))]),
            result: ToolResult { output: "found\n".to_owned(), error },
        };
        let judged = |judged| TurnOutcome::Answered { answer: "x".to_owned(), judged };
        let mut outcomes = vec![
            ran(Termination::Exited { code: 3 }),
            ran(Termination::Signaled { signal: 9 }),
            ran(Termination::Cancelled),
            TurnOutcome::GaveUp,
            called(None),
            called(Some("no such page".to_owned())),
            judged(JudgedAnswer::Unscorable(Unscorable::problem("no tests"))),
        ];
        outcomes.extend(LimitKind::ALL.map(|kind| ran(Termination::LimitExceeded(kind))));
        outcomes.extend(Verdict::ALL.map(|verdict| {
            let (reward, reason) = (Reward::new(0.1 + 0.2).unwrap(), Some("why".to_owned()));
            judged(JudgedAnswer::Scored { verdict, reward, reason })
        }));
        let detail = || "a: b".to_owned();
        outcomes.extend(
            [
                VoidReason::NoAction,
                VoidReason::Truncated,
                VoidReason::OtherLanguage { tag: detail() },
                VoidReason::EmptyCode,
                VoidReason::MalformedToolCall { why: detail() },
                VoidReason::UnknownTool { name: detail() },
                VoidReason::NothingToSubmit,
            ]
            .map(|why| TurnOutcome::Void { why }),
        );
        for outcome in outcomes {
            let turn = turn(outcome);
            let record = TurnRecord::new("t", &turn, &TimingsRecord::default());
            let text = crate::encode_record(&record).unwrap();
            let back: TurnRecord = crate::decode_record(&text).unwrap();
            assert_eq!(back.to_turn().unwrap(), turn);
        }
    }

    #[test]
    fn unknown_words_are_named() {
        let mut record = TurnRecord::new("t", &turn(TurnOutcome::GaveUp), &TimingsRecord::default());
        record.outcome.kind = "danced".to_owned();
        let error = record.to_turn().unwrap_err().to_string();
        assert_eq!(error, "turn 3 has `outcome.kind` set to `danced`, which is not known");
    }
}
