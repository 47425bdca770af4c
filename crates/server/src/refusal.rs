//! Requests that are not done, and what they are answered with.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rollcage_api::http::{BodyError, ErrorBody, ErrorCode, ErrorReply};
use rollcage_engine::drive::{ToolchainError, error_chain};
use rollcage_language::UnknownLanguage;
use rollcage_sandbox::SandboxError;

use crate::admission::NoTurn;

/// Seconds after which a server that is ending may have a successor.
const RETRY_AFTER_DRAIN: u64 = 5;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) retryable: bool,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retry_after = (code == ErrorCode::Draining).then_some(RETRY_AFTER_DRAIN);
        Self { code, message: message.into(), hint: None, retryable: code.is_retryable(), retry_after }
    }

    pub(crate) fn with_hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The same about `field` of a body with many of them.
    pub(crate) fn within(self, field: &str) -> Self {
        Self { message: format!("`{field}`: {}", self.message), ..self }
    }

    /// No turn was to be had; `retry_after` in seconds.
    pub(crate) fn no_turn(why: NoTurn, retry_after: u64) -> Self {
        let (code, message) = match why {
            NoTurn::QueueFull => (ErrorCode::QueueFull, "as many requests wait as may"),
            NoTurn::QueueDeadline => (ErrorCode::QueueDeadline, "no cage became free in time"),
        };
        Self { retry_after: Some(retry_after), ..Self::new(code, message) }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::new(ErrorCode::BadRequest, error.to_string()).with_hint(error.hint)
    }
}

impl From<Box<UnknownLanguage>> for Refusal {
    fn from(error: Box<UnknownLanguage>) -> Self {
        Self::new(ErrorCode::UnknownLanguage, error.to_string()).with_hint(error.hint())
    }
}

impl From<ToolchainError> for Refusal {
    fn from(error: ToolchainError) -> Self {
        let code = if error.is_missing() { ErrorCode::MissingToolchain } else { ErrorCode::Infrastructure };
        Self::new(code, error_chain(&error)).with_hint(error.hint())
    }
}

impl From<SandboxError> for Refusal {
    fn from(error: SandboxError) -> Self {
        let code = match &error {
            SandboxError::Request(_)
            | SandboxError::NoProgram
            | SandboxError::NoNetwork { .. }
            | SandboxError::FilesTooLarge { .. } => ErrorCode::BadRequest,
            // The name of a file, or of a program: unless we ran out of something, the request's.
            SandboxError::Place { .. } if !error.is_retryable() => ErrorCode::BadRequest,
            SandboxError::Exec { .. } if !error.is_retryable() => ErrorCode::MissingToolchain,
            SandboxError::Place { .. }
            | SandboxError::Exec { .. }
            | SandboxError::Cage { .. }
            | SandboxError::System { .. }
            | SandboxError::NotReady { .. }
            | SandboxError::Unkillable { .. }
            | SandboxError::StubLost
            | SandboxError::Agent { .. }
            | SandboxError::HostExhausted { .. }
            | SandboxError::LauncherGone => ErrorCode::Infrastructure,
        };
        Self { retryable: error.is_retryable(), ..Self::new(code, error_chain(&error)) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { code, message, hint, retryable, retry_after } = self;
        let status = StatusCode::from_u16(code.status()).expect("a code's status is one of HTTP's");
        let body = ErrorReply { error: ErrorBody { code, message, hint, retryable } };
        let mut response = (status, json(&body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if code == ErrorCode::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(code);
        response
    }
}

/// A body of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Response {
    let text = serde_json::to_vec(value).expect("replies are structs of numbers, text and lists");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
