//! Why a policy gave no completion, told apart by what can be done about it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How servers say that a conversation is too long: OpenAI and vLLM, SGLang, llama.cpp.
const CONTEXT_LIMIT_PHRASES: [&str; 5] = [
    "context_length_exceeded",
    "maximum context length",
    "longer than the model's context length",
    "exceeds the available context size",
    "exceed_context_size",
];

/// The kinds of [`PolicyError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyErrorKind {
    /// No connection, or none that lasted until an answer began.
    Unreachable,
    /// The server answered with an error status.
    Refused,
    /// The answer was not what the protocol says.
    Garbage,
    /// The answer broke off.
    ClosedMidStream,
    /// A time limit passed.
    TooSlow,
    /// A recording has no further turn.
    PolicyStopped,
    /// A recording has nothing for this sample.
    NotRecorded,
}

/// The time limits of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// From the request to the first byte of the answer.
    FirstByte,
    /// Between two pieces of the answer.
    Idle,
    /// The whole call, retries included.
    Total,
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstByte => "first byte",
            Self::Idle => "idle",
            Self::Total => "total",
        })
    }
}

/// What had arrived of a completion that broke off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// The text.
    pub text: String,
    /// The reasoning beside it.
    pub reasoning: String,
}

/// Why a policy gave no completion. None of these says anything about the model's ability.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// See [`PolicyErrorKind::Unreachable`].
    #[error("cannot reach policy at {url}")]
    Unreachable {
        /// The endpoint.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// See [`PolicyErrorKind::Refused`].
    #[error("policy at {url} refused with status {status}: {body}")]
    Refused {
        /// The endpoint.
        url: String,
        /// The HTTP status, or the code of an error sent inside the stream.
        status: u16,
        /// The start of the body, printable.
        body: String,
    },
    /// See [`PolicyErrorKind::Garbage`].
    #[error("policy at {url} sent something else than a completion: {detail}")]
    Garbage {
        /// The endpoint.
        url: String,
        /// What was wrong, printable.
        detail: String,
    },
    /// See [`PolicyErrorKind::ClosedMidStream`].
    #[error("policy at {url} broke off after {} bytes of text: {reason}", partial.text.len())]
    ClosedMidStream {
        /// The endpoint.
        url: String,
        /// How it broke off, printable.
        reason: String,
        /// What had arrived.
        partial: Partial,
        /// What the connection said, where it said anything.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// See [`PolicyErrorKind::TooSlow`].
    #[error("policy at {url} exceeded the {limit} time limit of {} ms", after.as_millis())]
    TooSlow {
        /// The endpoint.
        url: String,
        /// Which limit.
        limit: TimeLimit,
        /// Its length.
        after: Duration,
        /// What had arrived.
        partial: Partial,
    },
    /// See [`PolicyErrorKind::PolicyStopped`].
    #[error("recording `{}`, line {line}, has {turns} turns for task `{task_id}`, turn {turn} was asked for",
        path.display())]
    PolicyStopped {
        /// The recording.
        path: PathBuf,
        /// The line of this sample.
        line: usize,
        /// The task.
        task_id: String,
        /// The turns recorded.
        turns: usize,
        /// The turn asked for, from 0.
        turn: u32,
    },
    /// See [`PolicyErrorKind::NotRecorded`].
    #[error("recording `{}` has nothing for sample {sample} of task `{task_id}`", path.display())]
    NotRecorded {
        /// The recording.
        path: PathBuf,
        /// The task.
        task_id: String,
        /// The sample.
        sample: u32,
    },
}

impl PolicyError {
    /// The kind, for counting and for deciding what follows.
    pub fn kind(&self) -> PolicyErrorKind {
        match self {
            Self::Unreachable { .. } => PolicyErrorKind::Unreachable,
            Self::Refused { .. } => PolicyErrorKind::Refused,
            Self::Garbage { .. } => PolicyErrorKind::Garbage,
            Self::ClosedMidStream { .. } => PolicyErrorKind::ClosedMidStream,
            Self::TooSlow { .. } => PolicyErrorKind::TooSlow,
            Self::PolicyStopped { .. } => PolicyErrorKind::PolicyStopped,
            Self::NotRecorded { .. } => PolicyErrorKind::NotRecorded,
        }
    }

    /// Whether the same call may succeed later. The policy has already retried what was worth retrying at once.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::ClosedMidStream { .. } | Self::TooSlow { .. } => true,
            Self::Refused { status, .. } => is_retryable_status(*status),
            Self::Garbage { .. } | Self::PolicyStopped { .. } | Self::NotRecorded { .. } => false,
        }
    }

    /// Whether the server says that the conversation does not fit the model's window. There is no status for it,
    /// so this knows the words of the common servers.
    pub fn is_context_limit(&self) -> bool {
        match self {
            Self::Refused { status: 400 | 413 | 422, body, .. } => {
                let body = body.to_ascii_lowercase();
                CONTEXT_LIMIT_PHRASES.iter().any(|phrase| body.contains(phrase))
            }
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Garbage { .. }
            | Self::ClosedMidStream { .. }
            | Self::TooSlow { .. }
            | Self::PolicyStopped { .. }
            | Self::NotRecorded { .. } => false,
        }
    }

    /// What had arrived before the failure.
    pub fn partial(&self) -> Option<&Partial> {
        match self {
            Self::ClosedMidStream { partial, .. } | Self::TooSlow { partial, .. } => Some(partial),
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Garbage { .. }
            | Self::PolicyStopped { .. }
            | Self::NotRecorded { .. } => None,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => {
                "check that the server runs and that the URL names its host, port and `/v1`; a proxy set in \
                 `HTTP_PROXY` is used too, unless `NO_PROXY` names the host"
            }
            Self::Refused { status: 401 | 403, .. } => {
                "the server wants another API key: put it in the variable that `api_key_env` names, \
                 `OPENAI_API_KEY` by default"
            }
            Self::Refused { status: 404, .. } => {
                "the server knows no such path or model: the URL should end in `/v1`, and `model` must be one \
                 that `GET /v1/models` lists"
            }
            Self::Refused { status: 400 | 413 | 422, .. } => {
                "the server does not accept this request: its message says why; a conversation longer than the \
                 model's context is the usual reason, so lower `max_tokens` or the number of turns"
            }
            Self::Refused { .. } => {
                "the server is overloaded or failing: lower the concurrency, or look into its log"
            }
            Self::Garbage { .. } => {
                "the URL may lead to something else than an OpenAI-compatible server that streams, such as a \
                 proxy's login page"
            }
            Self::ClosedMidStream { .. } => {
                "the server or a proxy closed the connection before `[DONE]`: look for a crash or a restart in \
                 its log, and for a time limit in the proxy"
            }
            Self::TooSlow { limit: TimeLimit::FirstByte, .. } => {
                "the server queues longer than `timeouts.first_byte`: lower the concurrency or raise the limit"
            }
            Self::TooSlow { limit: TimeLimit::Idle, .. } => {
                "the server went silent in the middle of an answer: look for a stall in its log, or raise \
                 `timeouts.idle`"
            }
            Self::TooSlow { limit: TimeLimit::Total, .. } => {
                "the answer takes longer than `timeouts.total`: lower `max_tokens` or raise the limit"
            }
            Self::PolicyStopped { .. } => {
                "the environment went on for longer than when this was recorded: record again, or lower the \
                 number of turns"
            }
            Self::NotRecorded { .. } => {
                "add a line for this task to the recording; a line without `sample` serves every sample"
            }
        }
    }
}

/// Why a policy could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum PolicySetupError {
    /// No endpoint was named.
    #[error("no policy url is given")]
    NoUrl,
    /// An endpoint is not an HTTP URL we would talk to.
    #[error("policy url `{url}` {why}")]
    BadUrl {
        /// The URL, without a password it may have held.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The API key is missing or cannot be sent.
    #[error("environment variable `{variable}` {why}")]
    BadKey {
        /// The variable; its value is never shown.
        variable: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The HTTP client could not be built.
    #[error("cannot set up the http client")]
    Client(#[source] reqwest::Error),
}

/// Whether a server that answered with this status may answer otherwise soon.
pub(super) fn is_retryable_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}
