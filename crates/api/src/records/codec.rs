//! The envelope around every stored record: its kind, its version, and a bound on its size.
//!
//! `{"kind":"turn","version":1,"record":{…}}`. The kind and the version are read before the rest, so that a
//! record from a newer release is refused by name and not by whichever field came first.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Something a store keeps.
pub trait Record: Serialize + DeserializeOwned + PartialEq {
    /// The name in the envelope.
    const KIND: &'static str;
    /// The version this release writes. Raise it with every change of a field, and add a sample.
    const VERSION: u32;
    /// The largest encoding written or read.
    const BYTES_MAX: usize;

    /// Why this record must not be stored, if so. JSON writes a number that is not finite as `null`, which would
    /// come back as a missing value.
    fn flaw(&self) -> Option<&'static str> {
        None
    }
}

/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The encoding is larger than its kind allows.
    #[error("{kind} record of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// The kind of record.
        kind: &'static str,
        /// The size found.
        bytes: usize,
        /// The size allowed.
        bytes_max: usize,
    },
    /// Another kind of record lies where this one was expected.
    #[error("found a record of kind `{found}` where a {expected} record was expected")]
    WrongKind {
        /// The kind asked for.
        expected: &'static str,
        /// The kind in the envelope.
        found: String,
    },
    /// The record was written by a release with another format.
    #[error("{kind} record has version {found}, this release reads version {known}")]
    UnknownVersion {
        /// The kind of record.
        kind: &'static str,
        /// The version in the envelope.
        found: u32,
        /// The version this release knows.
        known: u32,
    },
    /// A value has no faithful stored form.
    #[error("{kind} record cannot be stored: {why}")]
    Flawed {
        /// The kind of record.
        kind: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The text is not the JSON of this kind of record.
    #[error("{kind} record is malformed")]
    Malformed {
        /// The kind of record.
        kind: &'static str,
        /// Where and how.
        #[source]
        source: serde_json::Error,
    },
}

/// The stored form of `record`: one line of JSON.
pub fn encode_record<R: Record>(record: &R) -> Result<String, RecordError> {
    if let Some(why) = record.flaw() {
        return Err(RecordError::Flawed { kind: R::KIND, why });
    }
    let envelope = EnvelopeOut { kind: R::KIND, version: R::VERSION, record };
    let text = serde_json::to_string(&envelope)
        .map_err(|source| RecordError::Malformed { kind: R::KIND, source })?;
    check_size::<R>(&text)?;
    Ok(text)
}

/// Reads what [`encode_record`] wrote.
pub fn decode_record<R: Record>(text: &str) -> Result<R, RecordError> {
    check_size::<R>(text)?;
    let malformed = |source| RecordError::Malformed { kind: R::KIND, source };
    let header: Header = serde_json::from_str(text).map_err(malformed)?;
    if header.kind != R::KIND {
        return Err(RecordError::WrongKind { expected: R::KIND, found: header.kind });
    }
    if header.version != R::VERSION {
        return Err(RecordError::UnknownVersion { kind: R::KIND, found: header.version, known: R::VERSION });
    }
    let envelope: EnvelopeIn<R> = serde_json::from_str(text).map_err(malformed)?;
    match envelope.record.flaw() {
        Some(why) => Err(RecordError::Flawed { kind: R::KIND, why }),
        None => Ok(envelope.record),
    }
}

#[derive(Serialize)]
struct EnvelopeOut<'a, R> {
    kind: &'static str,
    version: u32,
    record: &'a R,
}

#[derive(Deserialize)]
struct Header {
    kind: String,
    version: u32,
}

#[derive(Deserialize)]
struct EnvelopeIn<R> {
    record: R,
}

fn check_size<R: Record>(text: &str) -> Result<(), RecordError> {
    if text.len() > R::BYTES_MAX {
        return Err(RecordError::TooLarge { kind: R::KIND, bytes: text.len(), bytes_max: R::BYTES_MAX });
    }
    Ok(())
}
