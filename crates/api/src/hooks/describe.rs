//! The first line of every hook: it says what it is, and by answering that it is ready.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::HOOK_VERSION;

/// What a hook does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookKind {
    /// It decides whether outputs are right.
    Checker,
    /// It says what trajectories earn.
    Reward,
    /// It carries out tool calls of a policy.
    Tool,
}

impl HookKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Checker, Self::Reward, Self::Tool];

    /// The name used in requests, files and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checker => "checker",
            Self::Reward => "reward",
            Self::Tool => "tool",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Asks a process to describe itself: the first line each process of a hook gets, and only that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeRequest {
    /// The version of the protocol: 1.
    pub v: u32,
    /// What the hook is used as.
    pub kind: HookKind,
    /// Returned with the answer; no other request to a process has the same.
    pub id: u64,
    /// Always true.
    pub describe: bool,
}

impl DescribeRequest {
    /// The request for a hook of this kind.
    pub const fn new(kind: HookKind, id: u64) -> Self {
        Self { v: HOOK_VERSION, kind, id, describe: true }
    }
}

/// A process's description of itself, given when it is ready for requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeReply {
    /// The request's.
    pub id: u64,
    /// What a tool hook can do; empty for the other kinds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<HookTool>,
}

/// One tool, as the policy is told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookTool {
    /// What it is called by: letters, digits, `_` and `-`, at most 64 of them.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub name: String,
    /// What it does, for the policy to read.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its arguments, which are an object.
    #[serde(default)]
    pub parameters: Map<String, Value>,
}

impl HookTool {
    /// The tool as OpenAI-compatible servers want it described.
    pub fn to_function(&self) -> Value {
        let mut parameters = self.parameters.clone();
        parameters.entry("type").or_insert_with(|| "object".into());
        parameters.entry("properties").or_insert_with(|| json!({}));
        json!({
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": parameters},
        })
    }
}

/// Characters of a tool's name: what servers accept.
const NAME_CHARACTERS_MAX: usize = 64;

impl DescribeReply {
    /// What is wrong with the description of a hook of this kind; `taken` are names that a policy knows already.
    pub fn flaw(&self, kind: HookKind, taken: &[&str]) -> Option<String> {
        match kind {
            HookKind::Checker | HookKind::Reward => {
                return (!self.tools.is_empty()).then(|| format!("a {kind} hook has no `tools`"));
            }
            HookKind::Tool if self.tools.is_empty() => return Some("it offers no `tools`".to_owned()),
            HookKind::Tool => {}
        }
        let mut names: BTreeSet<&str> = taken.iter().copied().collect();
        self.tools.iter().find_map(|HookTool { name, .. }| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || name.len() > NAME_CHARACTERS_MAX || !name.chars().all(is_name) {
                return Some(format!("`{}` is not the name of a tool", name.escape_default()));
            }
            (!names.insert(name)).then(|| format!("there is another tool `{name}`"))
        })
    }
}
