//! From a line that a hook wrote to the answer it holds, or to what is wrong with it.
//!
//! What matters beyond the mistake itself is whether the process is still in step: an answer with the right `id` and a
//! useless value costs its request, a line that is no answer costs the process.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Why a line is not the answer that was waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookReplyError {
    /// It is no JSON object.
    #[error("the line `{line}` is not a JSON object: {why}")]
    Malformed {
        /// The beginning of the line.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// It answers something else.
    #[error("the answer has the id {found}, and the request has {expected}")]
    WrongId {
        /// The request's.
        expected: u64,
        /// What was found; `no id` where there was none.
        found: String,
    },
    /// A number in it is NaN or infinite.
    #[error("the answer `{line}` holds a number that is not finite")]
    NotFinite {
        /// The beginning of the line.
        line: String,
    },
    /// A field is missing, unknown, or of another type.
    #[error("the answer `{line}` cannot be used: {why}")]
    Fields {
        /// The beginning of the line.
        line: String,
        /// What is wrong.
        why: String,
    },
}

impl HookReplyError {
    /// Whether the line was an answer to the request, so that the process can be asked again.
    pub const fn is_in_step(&self) -> bool {
        match self {
            Self::Malformed { .. } | Self::WrongId { .. } => false,
            Self::NotFinite { .. } | Self::Fields { .. } => true,
        }
    }
}

/// Bytes of a line that a message shows.
const EXCERPT_BYTES_MAX: usize = 120;

/// One request as a line, its line feed included.
pub fn hook_line(request: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(request).expect("strings, bytes and finite numbers have a JSON form");
    line.push(b'\n');
    line
}

/// Reads the answer to the request numbered `id` from a line without its line feed.
pub fn read_hook_reply<T: DeserializeOwned>(line: &[u8], id: u64) -> Result<T, HookReplyError> {
    let (value, is_finite) = match serde_json::from_slice::<Value>(line) {
        Ok(value) => (value, true),
        // Python writes NaN and Infinity unless told not to; such a line is an answer all the same.
        Err(error) => match serde_json::from_slice(&without_non_finite(line)) {
            Ok(value) => (value, false),
            Err(_) => return Err(HookReplyError::Malformed { line: excerpt(line), why: error.to_string() }),
        },
    };
    let Value::Object(fields) = &value else {
        return Err(HookReplyError::Malformed { line: excerpt(line), why: "it is another value".to_owned() });
    };
    let found = fields.get("id");
    if found.and_then(Value::as_u64) != Some(id) {
        let found = found.map_or_else(|| "no id".to_owned(), |found| excerpt(found.to_string().as_bytes()));
        return Err(HookReplyError::WrongId { expected: id, found });
    }
    if !is_finite {
        return Err(HookReplyError::NotFinite { line: excerpt(line) });
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.inner());
        let why = if path == "." { inner.to_string() } else { format!("`{path}`: {inner}") };
        HookReplyError::Fields { line: excerpt(line), why }
    })
}

/// The line with `null` for each NaN and infinity that stands outside a string.
fn without_non_finite(line: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut plain = Vec::with_capacity(line.len());
    let (mut rest, mut is_string) = (line, false);
    while let Some((first, after)) = rest.split_first() {
        let word = WORDS.iter().find(|word| !is_string && rest.starts_with(word));
        if let Some(word) = word {
            plain.extend_from_slice(b"null");
            rest = &rest[word.len()..];
            continue;
        }
        plain.push(*first);
        rest = after;
        match first {
            b'"' => is_string = !is_string,
            b'\\' if is_string => {
                if let Some((escaped, after)) = rest.split_first() {
                    plain.push(*escaped);
                    rest = after;
                }
            }
            _ => {}
        }
    }
    plain
}

fn excerpt(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(EXCERPT_BYTES_MAX)]);
    if line.len() > EXCERPT_BYTES_MAX { format!("{text}…") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Reply {
        id: u64,
        reward: f64,
    }

    #[test]
    fn a_line_is_an_answer_or_says_what_it_lacks() {
        let check = |line: &str, in_step: Option<bool>, words: &str| {
            let read = read_hook_reply::<Reply>(line.as_bytes(), 7);
            assert_eq!(read.as_ref().err().map(HookReplyError::is_in_step), in_step, "{line}");
            let text = read.map_or_else(|error| error.to_string(), |reply| reply.reward.to_string());
            assert!(text.contains(words), "{line}: {text}");
        };
        check(r#"{"id": 7, "reward": 0.5}"#, None, "0.5");
        check(r#"{"id": 7, "reward": NaN}"#, Some(true), "not finite");
        check(r#"{"reward": -Infinity, "id": 7}"#, Some(true), "not finite");
        check(r#"{"id": 8, "reward": NaN}"#, Some(false), "id 8");
        check(r#"{"id": 8, "reward": 1}"#, Some(false), "has 7");
        check(r#"{"reward": 1}"#, Some(false), "no id");
        check(r#"{"id": "7", "reward": 1}"#, Some(false), "\"7\"");
        check(r#"{"id": 7}"#, Some(true), "missing field `reward`");
        check(r#"{"id": 7, "reward": "1"}"#, Some(true), "`reward`");
        check(r#"{"id": 7, "reward": 1, "x": 1}"#, Some(true), "unknown field `x`");
        check("loading the model", Some(false), "loading the model");
        check("[7]", Some(false), "another value");
        check("", Some(false), "EOF");
        // Too large for a number here, and no word of Python's.
        check(r#"{"id": 7, "reward": 1e999}"#, Some(false), "out of range");
    }

    #[test]
    fn words_in_strings_are_left_alone() {
        let line = br#"{"a": "NaN \" Infinity", "b": NaN, "c": [-Infinity]}"#;
        let plain = String::from_utf8(without_non_finite(line)).unwrap();
        assert_eq!(plain, r#"{"a": "NaN \" Infinity", "b": null, "c": [null]}"#);
    }
}
