//! Actions written as tool calls: the OpenAI field, or JSON between tags in the text.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::dialect::VoidReason;
use crate::completion::Completion;
use crate::message::ToolCall;

/// How tool calls spell code, input and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolForm {
    /// The function that runs code.
    pub function: String,
    /// Its argument with the code.
    pub code_argument: String,
    /// Its optional argument with the standard input.
    pub stdin_argument: String,
    /// `Some("tool_call")` reads `<tool_call>{"name": …, "arguments": {…}}</tool_call>` from the text;
    /// `None` reads the calls the server parsed.
    pub text_tag: Option<String>,
    /// Functions that others carry out, by name.
    pub others: Vec<Arc<str>>,
}

impl Default for ToolForm {
    fn default() -> Self {
        Self {
            function: "run_code".to_owned(),
            code_argument: "code".to_owned(),
            stdin_argument: "input".to_owned(),
            text_tag: None,
            others: Vec::new(),
        }
    }
}

/// A call whose arguments were read.
pub(super) struct ReadCall {
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
}

impl ReadCall {
    /// Reads a call that the server parsed.
    pub(super) fn from_call(call: &ToolCall) -> Result<Self, VoidReason> {
        // Some servers send an empty string for a call without arguments.
        let text = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        let arguments = serde_json::from_str(text).map_err(|error| VoidReason::MalformedToolCall {
            why: format!("its arguments are not a JSON object: {error}"),
        })?;
        Ok(Self { name: call.name.clone(), arguments })
    }

    /// Reads a call written as JSON in the text.
    pub(super) fn from_text(text: &str) -> Result<Self, VoidReason> {
        let malformed = |why: String| VoidReason::MalformedToolCall { why };
        let mut object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| malformed(format!("it is not a JSON object: {error}")))?;
        let Some(Value::String(name)) = object.remove("name") else {
            return Err(malformed("`name` is missing or not a string".to_owned()));
        };
        match object.remove("arguments") {
            Some(Value::Object(arguments)) => Ok(Self { name, arguments }),
            None => Ok(Self { name, arguments: Map::new() }),
            Some(_) => Err(malformed("`arguments` is not an object".to_owned())),
        }
    }

    /// A string argument; absent and `null` are the same.
    pub(super) fn string(&self, argument: &str) -> Result<Option<String>, VoidReason> {
        match self.arguments.get(argument) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(VoidReason::MalformedToolCall { why: format!("`{argument}` is not a string") }),
        }
    }

    /// The call's only string, whatever it is called: an answer's argument has no agreed name.
    pub(super) fn only_string(&self) -> Option<String> {
        let mut strings = self.arguments.values().filter_map(Value::as_str);
        strings.next().filter(|_| strings.next().is_none()).map(str::to_owned)
    }
}

/// The first tool call of a completion, or `None` if it makes none.
pub(super) fn first_call(
    form: &ToolForm,
    completion: &Completion,
    visible: &str,
) -> Option<Result<ReadCall, VoidReason>> {
    let Some(tag) = &form.text_tag else {
        return completion.tool_calls.first().map(ReadCall::from_call);
    };
    let span = super::tags::tag_spans(visible, tag, &[]).into_iter().next()?;
    if !span.closed && completion.is_truncated() {
        return Some(Err(VoidReason::Truncated));
    }
    Some(ReadCall::from_text(span.content))
}
