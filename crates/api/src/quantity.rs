//! Values that people write in more than one way: durations, sizes, and bytes that are usually text.
//!
//! Each has its own visitor instead of an untagged enum, so that a mistake is answered with what was expected.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rollcage_types::{ByteSize, format_duration, parse_duration};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration: `"2s"`, `"250ms"`, or a whole number of milliseconds. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationRow(pub Duration);

/// A size: `"256MiB"`, or a whole number of bytes. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRow(pub ByteSize);

/// Bytes: text where they are UTF-8, `{"base64": …}` where they are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BytesRow(pub Arc<[u8]>);

impl BytesRow {
    /// No bytes.
    pub fn empty() -> Self {
        Self(Arc::from([].as_slice()))
    }
}

/// A file: its text, or `{"text" or "base64": …, "executable": …}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// What it holds.
    pub content: Arc<[u8]>,
    /// Whether the owner may execute it.
    pub executable: bool,
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = DurationRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"2s\" or a whole number of milliseconds")
    }

    fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<DurationRow, E> {
        non_zero(DurationRow(Duration::from_millis(millis)), millis == 0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DurationRow, E> {
        require_unit(text, "s` or `", "ms")?;
        let duration = parse_duration(text).map_err(E::custom)?;
        non_zero(DurationRow(duration), duration.is_zero())
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = SizeRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"256MiB\" or a whole number of bytes")
    }

    fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<SizeRow, E> {
        non_zero(SizeRow(ByteSize::bytes(bytes)), bytes == 0)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SizeRow, E> {
        require_unit(text, "B` or `", "MiB")?;
        let size: ByteSize = text.parse().map_err(E::custom)?;
        non_zero(SizeRow(size), size == ByteSize::default())
    }
}

/// A bare number in quotes could be either of two units, so it is neither.
fn require_unit<E: serde::de::Error>(text: &str, first: &str, second: &str) -> Result<(), E> {
    if text.trim().ends_with(|c: char| c.is_ascii_digit() || c == '.') {
        let number = text.trim();
        return Err(E::custom(format!("`{number}` has no unit; write `{number}{first}{number}{second}`")));
    }
    Ok(())
}

fn non_zero<T, E: serde::de::Error>(value: T, is_zero: bool) -> Result<T, E> {
    if is_zero { Err(E::custom("a limit of nothing lets nothing run")) } else { Ok(value) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    text: Option<String>,
    base64: Option<String>,
    executable: Option<bool>,
}

impl Content {
    fn bytes<E: serde::de::Error>(&self) -> Result<Arc<[u8]>, E> {
        match (&self.text, &self.base64) {
            (Some(text), None) => Ok(text.as_bytes().into()),
            (None, Some(text)) => {
                let bytes = STANDARD.decode(text);
                bytes.map(Into::into).map_err(|error| E::custom(format!("`base64` is not base64: {error}")))
            }
            (Some(_), Some(_)) | (None, None) => Err(E::custom("expected one of `text` and `base64`")),
        }
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = BytesRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or {\"base64\": …}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<BytesRow, E> {
        Ok(BytesRow(text.as_bytes().into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BytesRow, A::Error> {
        let content = Content::deserialize(MapAccessDeserializer::new(map))?;
        if content.executable.is_some() {
            return Err(A::Error::custom("only files have `executable`"));
        }
        content.bytes().map(BytesRow)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = FileRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file's text or {\"base64\": …}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FileRow, E> {
        Ok(FileRow { content: text.as_bytes().into(), executable: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FileRow, A::Error> {
        let content = Content::deserialize(MapAccessDeserializer::new(map))?;
        Ok(FileRow { content: content.bytes()?, executable: content.executable.unwrap_or(false) })
    }
}

impl<'de> Deserialize<'de> for DurationRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

impl<'de> Deserialize<'de> for SizeRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl<'de> Deserialize<'de> for BytesRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor)
    }
}

impl<'de> Deserialize<'de> for FileRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FileVisitor)
    }
}

impl Serialize for DurationRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(self.0))
    }
}

impl Serialize for SizeRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

#[derive(Serialize)]
struct ContentOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
}

fn serialize_content<S: Serializer>(
    bytes: &[u8],
    executable: bool,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match (std::str::from_utf8(bytes), executable) {
        (Ok(text), false) => serializer.serialize_str(text),
        (Ok(text), true) => ContentOut { text: Some(text), base64: None, executable }.serialize(serializer),
        (Err(_), _) => {
            ContentOut { text: None, base64: Some(STANDARD.encode(bytes)), executable }.serialize(serializer)
        }
    }
}

impl Serialize for BytesRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_content(&self.0, false, serializer)
    }
}

impl Serialize for FileRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_content(&self.content, self.executable, serializer)
    }
}

impl JsonSchema for DurationRow {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A duration with its unit, or a whole number of milliseconds.",
            "anyOf": [
                {"type": "string", "pattern": "^\\s*[0-9][0-9_.]*\\s*(ns|us|µs|ms|s|m|min|h)\\s*$"},
                {"type": "integer", "minimum": 1}
            ]
        })
    }
}

impl JsonSchema for SizeRow {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A size with its unit, or a whole number of bytes.",
            "anyOf": [
                {"type": "string", "pattern": "^\\s*[0-9][0-9_.]*\\s*([bB]|[kKmMgG]([iI]?[bB])?)\\s*$"},
                {"type": "integer", "minimum": 1}
            ]
        })
    }
}

impl JsonSchema for BytesRow {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Text, or the base64 of bytes that are not UTF-8.",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"text": {"type": "string"}, "base64": {"type": "string"}},
                    "oneOf": [{"required": ["text"]}, {"required": ["base64"]}],
                    "additionalProperties": false
                }
            ]
        })
    }
}

impl JsonSchema for FileRow {
    fn schema_name() -> Cow<'static, str> {
        "File".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The text of a file, or its content with more said about it.",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string"},
                        "base64": {"type": "string"},
                        "executable": {"type": "boolean"}
                    },
                    "oneOf": [{"required": ["text"]}, {"required": ["base64"]}],
                    "additionalProperties": false
                }
            ]
        })
    }
}
