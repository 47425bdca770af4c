//! What a tool hook is asked to do, and what it may answer.

use rollcage_rollout::ToolResult;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{HOOK_VERSION, HookKind};

/// One tool call of a policy, to be carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolRequest {
    /// The version of the protocol: 1.
    pub v: u32,
    /// Always `tool`.
    #[schemars(extend("const" = "tool"))]
    pub kind: HookKind,
    /// Returned with the answer.
    pub id: u64,
    /// The tool: one of those the hook described.
    pub name: String,
    /// Its arguments, as the policy wrote them; they may not fit the tool's schema.
    pub arguments: Map<String, Value>,
    /// The task's id.
    pub task: String,
    /// The trajectory's id in the store; a call that is repeated after an interruption has the same id and turn.
    pub trajectory: String,
    /// The turn, counted from 0.
    pub turn: u32,
}

impl ToolRequest {
    /// The request for one call.
    pub fn new(
        id: u64,
        name: &str,
        arguments: &Map<String, Value>,
        task: &str,
        trajectory: &str,
        turn: u32,
    ) -> Self {
        Self {
            v: HOOK_VERSION,
            kind: HookKind::Tool,
            id,
            name: name.to_owned(),
            arguments: arguments.clone(),
            task: task.to_owned(),
            trajectory: trajectory.to_owned(),
            turn,
        }
    }
}

/// What a tool call came to. The policy reads it; that a tool says no is a result like any other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolReply {
    /// The request's.
    pub id: u64,
    /// What the tool returns; may be left out beside `error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What the tool refuses or could not do, in words for the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ToolReply {
    /// The result; the error says what is wrong with the answer.
    pub fn into_result(self) -> Result<ToolResult, String> {
        let Self { id: _, output, error } = self;
        match (output, error) {
            (None, None) => Err("it has neither `output` nor `error`".to_owned()),
            (output, error) => Ok(ToolResult { output: output.unwrap_or_default(), error }),
        }
    }
}
