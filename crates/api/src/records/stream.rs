//! Captured output in its stored form: exact for machines, readable for people.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rollcage_types::Captured;
use serde::{Deserialize, Serialize};

/// Bytes kept from the front of a stream. Larger outputs are of no use to a reader of trajectories, and two
/// streams of this size stay far below the bound on a turn even when every byte needs six to be escaped.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes kept from the end.
const TAIL_BYTES_MAX: usize = 64 * 1024;
/// Bytes kept from each end of the output of one test case, of which a judgement holds many.
const EXCERPT_BYTES_MAX: usize = 2 * 1024;

/// Bytes that are usually text.
///
/// Stored as `{"text": …}`, and where they are not UTF-8 as `{"text": …, "base64": …}`: the text then shows them
/// with replacement characters and the base64 keeps them exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BytesWire", try_from = "BytesWire")]
pub struct BytesRecord(pub Vec<u8>);

/// One stream of a finished program: its two ends and its whole length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamRecord {
    /// The first bytes.
    pub head: BytesRecord,
    /// The last bytes, where they are not already part of `head`.
    pub tail: BytesRecord,
    /// All bytes the program wrote.
    pub bytes_total: u64,
}

impl StreamRecord {
    /// The stream as a turn keeps it: at most 64 KiB from each end.
    pub fn new(captured: &Captured) -> Self {
        Self::cut(captured, HEAD_BYTES_MAX, TAIL_BYTES_MAX)
    }

    /// The stream as a test case keeps it: at most 2 KiB from each end.
    pub fn excerpt(captured: &Captured) -> Self {
        Self::cut(captured, EXCERPT_BYTES_MAX, EXCERPT_BYTES_MAX)
    }

    /// The stream in the vocabulary of the other crates.
    pub fn to_captured(&self) -> Captured {
        Captured { head: self.head.0.clone(), tail: self.tail.0.clone(), bytes_total: self.bytes_total }
    }

    fn cut(captured: &Captured, head_max: usize, tail_max: usize) -> Self {
        let Captured { head, tail, bytes_total } = captured.shortened(head_max, tail_max);
        Self { head: BytesRecord(head), tail: BytesRecord(tail), bytes_total }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BytesWire {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl From<BytesRecord> for BytesWire {
    fn from(bytes: BytesRecord) -> Self {
        match String::from_utf8(bytes.0) {
            Ok(text) => Self { text, base64: None },
            Err(error) => Self {
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                base64: Some(STANDARD.encode(error.as_bytes())),
            },
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum BytesError {
    #[error("the `base64` field is not base64")]
    Base64(#[source] base64::DecodeError),
    #[error("the `text` and `base64` fields disagree")]
    Disagree,
}

impl TryFrom<BytesWire> for BytesRecord {
    type Error = BytesError;

    fn try_from(wire: BytesWire) -> Result<Self, BytesError> {
        let Some(base64) = wire.base64 else { return Ok(Self(wire.text.into_bytes())) };
        let bytes = STANDARD.decode(base64).map_err(BytesError::Base64)?;
        // Two readers, one of the text and one of the bytes, must never see different programs.
        if String::from_utf8_lossy(&bytes) != wire.text {
            return Err(BytesError::Disagree);
        }
        Ok(Self(bytes))
    }
}
