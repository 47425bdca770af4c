//! What a policy reads and writes.

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The instructions above the conversation.
    System,
    /// The task and, in most dialects, observations.
    User,
    /// The policy.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// A call the policy made in the OpenAI tool-call form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The id the server gave it; the observation answers to it.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// Its arguments, as the JSON text the policy wrote, which may be malformed.
    pub arguments: String,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The text.
    pub content: String,
    /// What a reasoning server returned beside the text. Kept for the record, never parsed for code.
    pub reasoning: Option<String>,
    /// Tool calls of an assistant message.
    pub tool_calls: Vec<ToolCall>,
    /// The call a tool message answers.
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A plain message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), reasoning: None, tool_calls: Vec::new(), tool_call_id: None }
    }
}
