//! The JSON Schemas of hooks, one document for each kind: every line that is written or read.

use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::{
    CheckerReply, CheckerRequest, DescribeReply, DescribeRequest, HookKind, RewardReply, RewardRequest,
    ToolReply, ToolRequest,
};

/// The schema of the lines of one kind, as `docs/schemas/hook-KIND.v1.json` holds it: a line is what one of its `anyOf`
/// describes, and `$defs` has each by name.
pub fn hook_schema(kind: HookKind) -> Value {
    let mut generator = SchemaGenerator::default();
    let asked = [generator.subschema_for::<DescribeRequest>(), generator.subschema_for::<DescribeReply>()];
    let own = match kind {
        HookKind::Checker => {
            [generator.subschema_for::<CheckerRequest>(), generator.subschema_for::<CheckerReply>()]
        }
        HookKind::Reward => {
            [generator.subschema_for::<RewardRequest>(), generator.subschema_for::<RewardReply>()]
        }
        HookKind::Tool => [generator.subschema_for::<ToolRequest>(), generator.subschema_for::<ToolReply>()],
    };
    let lines: Vec<Value> = asked.into_iter().chain(own).map(|schema| schema.to_value()).collect();
    let mut definitions = generator.take_definitions(true);
    // What the types alone do not say: one of two fields, never both and never neither.
    let either = |one: &str, other: &str| json!([{"required": [one]}, {"required": [other]}]);
    let reply = match kind {
        HookKind::Checker => ("CheckerReply", "oneOf", either("passed", "unscorable")),
        HookKind::Reward => ("RewardReply", "oneOf", either("reward", "unscorable")),
        HookKind::Tool => ("ToolReply", "anyOf", either("output", "error")),
    };
    if let Some(Value::Object(definition)) = definitions.get_mut(reply.0) {
        definition.insert(reply.1.to_owned(), reply.2);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Lines of a Rollcage {kind} hook, version 1"),
        "anyOf": lines,
        "$defs": definitions,
    })
}
