//! What one call of a policy returned.

use std::sync::Arc;

use crate::message::{Message, Role, ToolCall};

/// Why a policy stopped writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// It ended its turn, or wrote a stop sequence.
    Stop,
    /// It reached the token limit of the call.
    Length,
    /// It ended its turn with tool calls.
    ToolCalls,
    /// The server withheld the rest.
    ContentFilter,
}

/// Tokens as the server counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub prompt: u32,
    /// Tokens of the completion, reasoning included.
    pub completion: u32,
}

/// The tokens of one call as the server sampled them, for training on exactly what was sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampledTokens {
    /// The prompt as the server saw it.
    pub prompt: Vec<u32>,
    /// What was sampled.
    pub completion: Vec<u32>,
    /// The log-probability of each token of `completion`.
    pub log_probabilities: Vec<f32>,
}

/// What one call of a policy returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// What a reasoning server returned beside the text. Kept for the record, never parsed for code.
    pub reasoning: Option<String>,
    /// Tool calls that the server parsed.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: FinishReason,
    /// Token counts, where the server gives them.
    pub usage: Option<TokenUsage>,
    /// The sampled tokens, where the server gives them. Shared: a turn is copied to the store.
    pub tokens: Option<Arc<SampledTokens>>,
}

impl Completion {
    /// A completion of nothing but text that ended by itself.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            reasoning: None,
            tool_calls: Vec::new(),
            finish: FinishReason::Stop,
            usage: None,
            tokens: None,
        }
    }

    /// Whether it may end in the middle of something.
    pub fn is_truncated(&self) -> bool {
        match self.finish {
            FinishReason::Length | FinishReason::ContentFilter => true,
            FinishReason::Stop | FinishReason::ToolCalls => false,
        }
    }

    /// The assistant message it adds to the conversation.
    pub fn to_message(&self) -> Message {
        Message {
            reasoning: self.reasoning.clone(),
            tool_calls: self.tool_calls.clone(),
            ..Message::new(Role::Assistant, self.text.clone())
        }
    }

    /// Bytes it adds to the conversation, for estimating tokens nobody counted.
    pub(crate) fn bytes(&self) -> usize {
        let calls: usize = self.tool_calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
        self.text.len() + self.reasoning.as_ref().map_or(0, String::len) + calls
    }
}
