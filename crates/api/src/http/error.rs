//! What a request is answered with that was not done.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of every answer that is not the result asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorReply {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong. Nothing was run, or what was run has no result: an error never says anything about a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// Which kind of failure.
    pub code: ErrorCode,
    /// What happened, in one line; a mistake in a body begins with its field.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

/// Which kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The body cannot be read, or asks for what cannot be.
    BadRequest,
    /// The token is missing or wrong.
    Unauthorized,
    /// Nothing lies at this path.
    NotFound,
    /// Something does, and takes other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is larger than the server takes.
    TooLarge,
    /// The body is not JSON by its own account.
    UnsupportedMediaType,
    /// No language has this name.
    UnknownLanguage,
    /// The language's toolchain is not on this host.
    MissingToolchain,
    /// As many requests wait as may.
    QueueFull,
    /// We failed.
    Infrastructure,
    /// The server is ending.
    Draining,
    /// No cage became free in time.
    QueueDeadline,
}

impl ErrorCode {
    /// Every code, in the order of their statuses.
    pub const ALL: [Self; 13] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::UnknownLanguage,
        Self::MissingToolchain,
        Self::QueueFull,
        Self::Infrastructure,
        Self::Draining,
        Self::QueueDeadline,
    ];

    /// The HTTP status (RFC 9110).
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::UnknownLanguage | Self::MissingToolchain => 422,
            Self::QueueFull => 429,
            Self::Infrastructure => 500,
            Self::Draining => 503,
            Self::QueueDeadline => 504,
        }
    }

    /// The name used on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UnknownLanguage => "unknown_language",
            Self::MissingToolchain => "missing_toolchain",
            Self::QueueFull => "queue_full",
            Self::Infrastructure => "infrastructure",
            Self::Draining => "draining",
            Self::QueueDeadline => "queue_deadline",
        }
    }

    /// Whether the same request may succeed later, where nothing more is known.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::RequestTimeout
            | Self::QueueFull
            | Self::Infrastructure
            | Self::Draining
            | Self::QueueDeadline => true,
            Self::BadRequest
            | Self::Unauthorized
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::UnknownLanguage
            | Self::MissingToolchain => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_uses_the_names() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
