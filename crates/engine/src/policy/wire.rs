//! The OpenAI chat completion protocol, as far as we speak it. Fields we do not know are ignored.

use rollcage_rollout::{Message, Role};
use serde::{Deserialize, Serialize};

use super::request::PolicyRequest;

/// Seeds are cut to this many bits: some servers take a signed integer, and some proxies read numbers as doubles.
const SEED_BITS: u32 = 53;

/// The body of a request.
#[derive(Serialize)]
pub(super) struct ChatRequest<'a> {
    model: &'a str,
    messages: Vec<ChatMessage<'a>>,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "<[serde_json::Value]>::is_empty")]
    tools: &'a [serde_json::Value],
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct ChatMessage<'a> {
    role: &'static str,
    content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ChatToolCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ChatToolCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: ChatFunction<'a>,
}

#[derive(Serialize)]
struct ChatFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> ChatRequest<'a> {
    /// The body that asks `model` for one turn.
    pub(super) fn new(model: &'a str, request: PolicyRequest<'a>) -> Self {
        let PolicyRequest { task_id: _, sample: _, turn: _, messages, sampling, seed, tools } = request;
        Self {
            model,
            messages: messages.iter().map(ChatMessage::new).collect(),
            max_tokens: sampling.max_tokens,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            seed: seed.map(|seed| seed & ((1 << SEED_BITS) - 1)),
            stop: &sampling.stop,
            tools,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
        }
    }
}

impl<'a> ChatMessage<'a> {
    fn new(message: &'a Message) -> Self {
        // Reasoning is not sent back: chat templates drop it from earlier turns, and strict servers refuse the field.
        let Message { role, content, reasoning: _, tool_calls, tool_call_id } = message;
        let role = match role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let tool_calls = tool_calls
            .iter()
            .map(|call| ChatToolCall {
                id: &call.id,
                kind: "function",
                function: ChatFunction { name: &call.name, arguments: &call.arguments },
            })
            .collect();
        Self { role, content, tool_calls, tool_call_id: tool_call_id.as_deref() }
    }
}

/// One event of the answer.
#[derive(Debug, Deserialize)]
pub(super) struct Chunk {
    /// Absent in an error; empty beside the usage.
    pub(super) choices: Option<Vec<Choice>>,
    /// In the last event, or in each.
    pub(super) usage: Option<ChunkUsage>,
    /// What vLLM and others send when generation fails half-way.
    pub(super) error: Option<serde_json::Value>,
}

/// One of the answers; we ask for one.
#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    /// Which answer.
    #[serde(default)]
    pub(super) index: u32,
    /// What was added to it.
    pub(super) delta: Option<Delta>,
    /// Why it ended.
    pub(super) finish_reason: Option<String>,
}

/// What an event adds.
#[derive(Debug, Deserialize)]
pub(super) struct Delta {
    /// To the text.
    pub(super) content: Option<String>,
    /// To the reasoning, as DeepSeek, SGLang and older vLLM name it.
    pub(super) reasoning_content: Option<String>,
    /// To the reasoning, as newer vLLM and OpenRouter name it.
    pub(super) reasoning: Option<String>,
    /// To the tool calls.
    pub(super) tool_calls: Option<Vec<ToolCallDelta>>,
}

/// What an event adds to a tool call.
#[derive(Debug, Deserialize)]
pub(super) struct ToolCallDelta {
    /// Which call; its place in the event where a server leaves it out.
    pub(super) index: Option<usize>,
    /// Its id, sent once.
    pub(super) id: Option<String>,
    /// Its function.
    pub(super) function: Option<FunctionDelta>,
}

/// What an event adds to the function of a tool call.
#[derive(Debug, Deserialize)]
pub(super) struct FunctionDelta {
    /// Its name, sent once.
    pub(super) name: Option<String>,
    /// Appended to the arguments.
    pub(super) arguments: Option<String>,
}

/// Tokens as the server counted them.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct ChunkUsage {
    /// Read.
    #[serde(default)]
    pub(super) prompt_tokens: u32,
    /// Written.
    #[serde(default)]
    pub(super) completion_tokens: u32,
}
