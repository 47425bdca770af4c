//! Errors as one line of text, where a type must leave: in judgements, records and replies.

use std::error::Error;

/// The message of `error` and of everything that caused it.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
