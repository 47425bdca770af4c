//! Puts a completion together from the events of a stream.

use rollcage_rollout::{Completion, FinishReason, TokenUsage, ToolCall};

use super::error::Partial;
use super::wire::{Chunk, Delta, ToolCallDelta};

/// Bytes of text, reasoning and arguments together: more than any context window holds.
const COMPLETION_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Tool calls in one completion; a larger index is a broken server, and would be a large allocation.
const TOOL_CALLS_MAX: usize = 128;

/// Why an event cannot be used. Texts are quoted as they came; the caller cuts them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not part of a completion.
    Garbage(String),
    /// It says that the server failed, with a status where one was given.
    ServerError {
        /// The HTTP status it would have answered with.
        status: Option<u16>,
        /// What it said.
        message: String,
    },
}

/// A completion so far.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    text: String,
    reasoning: Option<String>,
    tool_calls: Vec<ToolCall>,
    finish: Option<FinishReason>,
    usage: Option<TokenUsage>,
    bytes: usize,
}

impl Assembly {
    /// Whether nothing the model wrote has arrived.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.tool_calls.is_empty()
    }

    /// Adds the event with this data.
    pub(super) fn add(&mut self, data: &str) -> Result<(), Fault> {
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|error| Fault::Garbage(format!("{error} in event `{data}`")))?;
        if let Some(error) = chunk.error {
            return Err(server_error(&error));
        }
        if let Some(usage) = chunk.usage {
            self.usage =
                Some(TokenUsage { prompt: usage.prompt_tokens, completion: usage.completion_tokens });
        }
        let Some(choices) = chunk.choices else {
            return Err(Fault::Garbage(format!("no choices in event `{data}`")));
        };
        for choice in choices.into_iter().filter(|choice| choice.index == 0) {
            if let Some(delta) = choice.delta {
                self.add_delta(delta)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(parse_finish_reason(&reason)?);
            }
        }
        Ok(())
    }

    /// The completion, once the stream has ended as it should.
    pub(super) fn finish(self) -> Result<Completion, Fault> {
        let Some(finish) = self.finish else {
            return Err(Fault::Garbage("the stream ended without a finish reason".to_owned()));
        };
        Ok(Completion {
            text: self.text,
            reasoning: self.reasoning,
            tool_calls: self.tool_calls,
            finish,
            usage: self.usage,
            tokens: None,
        })
    }

    /// What has arrived, for an error.
    pub(super) fn into_partial(self) -> Partial {
        Partial { text: self.text, reasoning: self.reasoning.unwrap_or_default() }
    }

    fn add_delta(&mut self, delta: Delta) -> Result<(), Fault> {
        if let Some(content) = delta.content {
            self.count(content.len())?;
            self.text.push_str(&content);
        }
        // A server that sends both names sends the same text twice.
        if let Some(reasoning) = delta.reasoning_content.or(delta.reasoning) {
            self.count(reasoning.len())?;
            self.reasoning.get_or_insert_default().push_str(&reasoning);
        }
        for (place, call) in delta.tool_calls.into_iter().flatten().enumerate() {
            self.add_tool_call(place, call)?;
        }
        Ok(())
    }

    fn add_tool_call(&mut self, place: usize, delta: ToolCallDelta) -> Result<(), Fault> {
        let index = delta.index.unwrap_or(place);
        if index >= TOOL_CALLS_MAX {
            return Err(Fault::Garbage(format!("tool call {index} is beyond the limit of {TOOL_CALLS_MAX}")));
        }
        if index >= self.tool_calls.len() {
            let empty = ToolCall { id: String::new(), name: String::new(), arguments: String::new() };
            self.tool_calls.resize(index + 1, empty);
        }
        let function = delta.function.unwrap_or(super::wire::FunctionDelta { name: None, arguments: None });
        let arguments = function.arguments.unwrap_or_default();
        self.count(arguments.len())?;
        let call = &mut self.tool_calls[index];
        call.arguments.push_str(&arguments);
        // Some servers repeat the id and the name in every event.
        fill(&mut call.id, delta.id);
        fill(&mut call.name, function.name);
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes += bytes;
        if self.bytes > COMPLETION_BYTES_MAX {
            return Err(Fault::Garbage(format!("the completion exceeds {COMPLETION_BYTES_MAX} bytes")));
        }
        Ok(())
    }
}

fn fill(field: &mut String, value: Option<String>) {
    if field.is_empty() {
        *field = value.unwrap_or_default();
    }
}

fn parse_finish_reason(reason: &str) -> Result<FinishReason, Fault> {
    match reason {
        "length" | "max_tokens" => Ok(FinishReason::Length),
        "tool_calls" | "function_call" => Ok(FinishReason::ToolCalls),
        "content_filter" => Ok(FinishReason::ContentFilter),
        // The server gave up on the request, so what it wrote is not what the model would have written.
        "abort" | "error" => {
            Err(Fault::ServerError { status: None, message: format!("generation ended with `{reason}`") })
        }
        // Servers name what ended the text in many ways, such as `eos` or the stop sequence.
        _ => Ok(FinishReason::Stop),
    }
}

fn server_error(error: &serde_json::Value) -> Fault {
    let code = error.get("code").and_then(serde_json::Value::as_u64);
    let status = code.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..600).contains(code));
    let message = match error.get("message").and_then(serde_json::Value::as_str) {
        Some(message) => message.to_owned(),
        None => error.to_string(),
    };
    Fault::ServerError { status, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assemble(events: &[&str]) -> Result<Completion, Fault> {
        let mut assembly = Assembly::default();
        for event in events {
            assembly.add(event)?;
        }
        assembly.finish()
    }

    const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;

    #[test]
    fn text_and_reasoning_stay_apart() {
        let completion = assemble(&[
            r#"{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}"#,
            r#"{"choices":[{"delta":{"reasoning_content":"hm","reasoning":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"reasoning":"m"}}]}"#,
            r#"{"choices":[{"delta":{"content":"he"}},{"index":1,"delta":{"content":"other"}}]}"#,
            r#"{"choices":[{"delta":{"content":"llo"},"finish_reason":"length"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#,
        ])
        .unwrap();
        assert_eq!((completion.text.as_str(), completion.reasoning.as_deref()), ("hello", Some("hmm")));
        assert_eq!(completion.finish, FinishReason::Length);
        assert_eq!(completion.usage, Some(TokenUsage { prompt: 3, completion: 4 }));
    }

    #[test]
    fn tool_calls_are_merged_by_index() {
        let completion = assemble(&[
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"run","arguments":""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"ask"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"run","arguments":"{\"x\""}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":":1}"}},{"function":{"arguments":"{}"}}]}}]}"#,
            r#"{"choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
        ])
        .unwrap();
        let call = |id: &str, name: &str, arguments: &str| ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        assert_eq!(completion.tool_calls, [call("a", "run", r#"{"x":1}"#), call("b", "ask", "{}")]);
        assert_eq!(completion.finish, FinishReason::ToolCalls);
    }

    #[test]
    fn what_is_no_completion_is_named() {
        let garbage = |events: &[&str], part: &str| match assemble(events) {
            Err(Fault::Garbage(detail)) => assert!(detail.contains(part), "{detail}"),
            other => panic!("{other:?}"),
        };
        garbage(&["<html>"], "`<html>`");
        garbage(&["{}"], "no choices");
        garbage(&[r#"{"choices":[{"delta":{"tool_calls":[{"index":128}]}}]}"#], "tool call 128");
        garbage(&[r#"{"choices":[{"delta":{"content":"x"}}]}"#], "without a finish reason");
        let large = format!(r#"{{"choices":[{{"delta":{{"content":"{}"}}}}]}}"#, "x".repeat(1 << 20));
        garbage(&[large.as_str(); 17], "exceeds");
    }

    #[test]
    fn errors_inside_the_stream_are_the_servers() {
        let check = |event: &str, status: Option<u16>, message: &str| {
            let message = message.to_owned();
            assert_eq!(assemble(&[STOP, event]), Err(Fault::ServerError { status, message }));
        };
        check(r#"{"error":{"message":"too\nlong","code":400}}"#, Some(400), "too\nlong");
        check(r#"{"error":{"code":"x"}}"#, None, r#"{"code":"x"}"#);
        check(r#"{"error":"oom"}"#, None, r#""oom""#);
        check(r#"{"choices":[{"finish_reason":"abort"}]}"#, None, "generation ended with `abort`");
    }
}
