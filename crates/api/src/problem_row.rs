//! The native problem row: one JSON object per line, version 1.
//!
//! Owns the row's fields and its schema. [`crate::datasets`] reads files of them; the conversion to and from
//! tasks is in `problem_convert.rs`.

use std::collections::BTreeMap;

use rollcage_types::ByteSize;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::quantity::{BytesRow, DurationRow, FileRow, SizeRow};

/// A problem with its prompt, as users write it.
///
/// Either `prompt` or `messages` says what is asked; either `cases` or `test_code` says how an answer is tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProblemRow {
    /// A name unique within the file.
    // Checked with the rest of the row: a request to judge one solution needs no name for its problem.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1))]
    pub id: String,
    /// What is asked, as one user message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What is asked, as a conversation; the policy speaks next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub messages: Option<Vec<MessageRow>>,
    /// The language it must be solved in; without one the sample or the command line chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Inputs and the outputs expected for them: the solution is run once for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub cases: Option<Vec<TestCaseRow>>,
    /// Code placed after the solution; together they must run to their end with exit code 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub test_code: Option<String>,
    /// Code placed before the solution, which continues it; only with `test_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Code placed before a solution that is a whole program, in place of `prefix`; only with `test_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// A function of the solution: a last line `check(entry_point)` is added to `test_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_.]*$"))]
    pub entry_point: Option<String>,
    /// Limits that differ from the language's.
    #[serde(default, skip_serializing_if = "LimitsRow::is_empty")]
    pub limits: LimitsRow,
    /// How outputs are compared; `"exact"` unless said otherwise. Only with `cases`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checker: Option<CheckerRow>,
    /// Files placed beside the solution, by their path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, FileRow>,
    /// A solution known to be right, for checking the problem itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canonical_solution: Option<String>,
    /// Anything the author wants to keep with it. Never read.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub meta: Map<String, Value>,
}

/// One message of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageRow {
    /// Who speaks.
    pub role: RoleRow,
    /// The text.
    #[serde(default)]
    pub content: String,
    /// What a reasoning model thought before it spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Calls an assistant message makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCallRow>,
    /// The call a tool message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleRow {
    /// The instructions above the conversation.
    System,
    /// The task and observations.
    User,
    /// The policy.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// One tool call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCallRow {
    /// The id a tool message answers to.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// Its arguments, as JSON text.
    pub arguments: String,
}

/// One test case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestCaseRow {
    /// Standard input; nothing unless given.
    #[serde(default = "BytesRow::empty")]
    pub stdin: BytesRow,
    /// The expected standard output.
    pub expected: BytesRow,
}

/// How outputs are compared, or what decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckerRow {
    /// Equal after trailing white space of the whole output is removed.
    Exact,
    /// Equal token by token; numbers may differ by the tolerance.
    Tokens(TokensRow),
    /// What this program decides, in a cage of its own.
    Program(CheckerProgramRow),
}

/// A program that decides. It is run as `checker input output expected`, the names of three files in its directory: exit
/// code 0 accepts, 1 and 2 do not, and anything else says that the problem is wrong. A number from 0 to 1 alone on the
/// first line it prints is the case's score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckerProgramRow {
    /// The language it is written in.
    pub language: String,
    /// Its source text.
    #[schemars(length(min = 1))]
    pub source: String,
}

/// How far two numbers may lie apart; without either field tokens are compared as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokensRow {
    /// Largest accepted absolute difference; 0 if only the other is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub absolute: Option<f64>,
    /// Largest accepted difference relative to the expected value; 0 if only the other is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub relative: Option<f64>,
}

/// Limits on one run. What is not named keeps the language's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsRow {
    /// Processor time of the whole process tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time: Option<DurationRow>,
    /// Time on the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<DurationRow>,
    /// Time on the clock without a byte of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_time: Option<DurationRow>,
    /// Memory of the whole process tree, at least 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "memory")]
    pub memory: Option<SizeRow>,
    /// Processes and threads alive at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub processes: Option<std::num::NonZeroU32>,
    /// Bytes written to both streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<SizeRow>,
    /// Size of any one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_size: Option<SizeRow>,
    /// Size of all files together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<SizeRow>,
    /// Descriptors one process may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub open_files: Option<std::num::NonZeroU32>,
    /// Stack of the main thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<SizeRow>,
}

/// In less there is no room to make a cage, and a cage that cannot be made is a failure of ours.
const MEMORY_MIN: ByteSize = ByteSize::mib(1);

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SizeRow>, D::Error> {
    let size = Option::<SizeRow>::deserialize(deserializer)?;
    match size {
        Some(SizeRow(size)) if size < MEMORY_MIN => {
            Err(D::Error::custom(format!("a cage needs at least {MEMORY_MIN} of memory, and not {size}")))
        }
        Some(_) | None => Ok(size),
    }
}

impl LimitsRow {
    /// Whether no limit is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The JSON Schema of a problem row, as `docs/schemas/problem-row.v1.json` holds it.
pub fn problem_row_schema() -> Value {
    let mut schema = schemars::schema_for!(ProblemRow);
    let either =
        |one: &str, other: &str| serde_json::json!({"oneOf": [{"required": [one]}, {"required": [other]}]});
    schema.insert("required".to_owned(), vec!["id"].into());
    schema.insert("title".to_owned(), "Rollcage problem row, version 1".into());
    schema
        .insert("allOf".to_owned(), vec![either("prompt", "messages"), either("cases", "test_code")].into());
    schema.to_value()
}
