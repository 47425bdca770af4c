//! How a run file names a hook: its command alone, or with what differs from the defaults.

use std::fmt;
use std::num::NonZeroU32;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::quantity::DurationRow;

/// A hook: `[python3, reward.py]`, or a mapping with `command` and what differs from the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HookConfig {
    /// The program and its arguments; the program is looked for in `PATH`, everything else from the file's directory.
    pub command: Vec<String>,
    /// Processes at once; as many as there are processors unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<NonZeroU32>,
    /// How long an answer may take; `30s` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DurationRow>,
    /// How long a process may take until it is ready; `5m` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<DurationRow>,
}

/// Who decides whether outputs of test cases are right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckerConfig {
    /// A process of your own, on the host; takes the place of every problem's own checker.
    pub hook: HookConfig,
}

/// Who carries out tool calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolsConfig {
    /// A process of your own, on the host; it says which tools there are.
    pub hook: HookConfig,
}

/// The mapping, as it is read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HookFields")]
struct Fields {
    /// The program and its arguments; the program is looked for in `PATH`, everything else from the file's directory.
    #[schemars(length(min = 1))]
    command: Vec<String>,
    /// Processes at once; as many as there are processors unless given.
    #[serde(default)]
    #[schemars(range(min = 1))]
    processes: Option<NonZeroU32>,
    /// How long an answer may take; `30s` unless given.
    #[serde(default)]
    deadline: Option<DurationRow>,
    /// How long a process may take until it is ready; `5m` unless given.
    #[serde(default)]
    start: Option<DurationRow>,
}

impl HookConfig {
    /// A command with the defaults.
    pub fn new(command: Vec<String>) -> Self {
        Self { command, processes: None, deadline: None, start: None }
    }
}

struct HookVisitor;

impl<'de> Visitor<'de> for HookVisitor {
    type Value = HookConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command such as [python3, hook.py], or a mapping with `command`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<HookConfig, A::Error> {
        let command = Vec::deserialize(SeqAccessDeserializer::new(sequence))?;
        non_empty(HookConfig::new(command))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HookConfig, A::Error> {
        let Fields { command, processes, deadline, start } =
            Fields::deserialize(MapAccessDeserializer::new(map))?;
        non_empty(HookConfig { command, processes, deadline, start })
    }
}

fn non_empty<E: serde::de::Error>(config: HookConfig) -> Result<HookConfig, E> {
    if config.command.first().is_none_or(|program| program.is_empty()) {
        return Err(E::custom("a hook's command names at least a program"));
    }
    Ok(config)
}

impl<'de> Deserialize<'de> for HookConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HookVisitor)
    }
}

impl JsonSchema for HookConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hook".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let fields = generator.subschema_for::<Fields>();
        json_schema!({
            "description": "A hook: its command alone, or with what differs from the defaults.",
            "anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 1}, fields],
        })
    }
}
