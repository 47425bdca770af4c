//! Calls to an OpenAI-compatible server: one attempt after another, each streamed.
//!
//! What is worth retrying at once is retried here, until the first piece of a completion has arrived; after that a
//! retry would be a second sample, which is for the caller to decide.

use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url, redirect};
use rollcage_rollout::Completion;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use super::assembly::{Assembly, Fault};
use super::backoff::{Jitter, RetryPlan, parse_retry_after};
use super::endpoint::{ApiKey, home_endpoint, parse_endpoint};
use super::error::{PolicyError, PolicySetupError, TimeLimit, is_retryable_status};
use super::request::{Latency, PolicyReply, PolicyRequest};
use super::sse::SseDecoder;
use super::wire::ChatRequest;

/// Characters quoted from what a server sent.
const EXCERPT_CHARS_MAX: usize = 500;

/// Bytes read of the body of a refusal; its message stands at the front.
const REFUSAL_BYTES_MAX: usize = 16 * 1024;

/// How long each part of a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until a connection stands.
    pub connect: Duration,
    /// From the request to the first byte of the answer's body. Busy servers queue, so this is long.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// The whole call, retries included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(300),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(1800),
        }
    }
}

/// Where the model is, and how it is called.
#[derive(Clone, Debug)]
pub struct OpenAiConfig {
    /// Servers that serve the same model, each up to its `/v1`. The samples of a task are spread over them, the
    /// turns of a sample stay with one, and a retry goes to the next.
    pub urls: Vec<String>,
    /// The model's name.
    pub model: String,
    /// The variable that holds the API key. `None` takes `OPENAI_API_KEY` where it is set.
    pub api_key_env: Option<String>,
    /// How long each part of a call may take.
    pub timeouts: Timeouts,
    /// How failed calls are retried.
    pub retries: RetryPlan,
}

impl OpenAiConfig {
    /// One server, everything else by default.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            model: model.into(),
            api_key_env: None,
            timeouts: Timeouts::default(),
            retries: RetryPlan::default(),
        }
    }
}

/// An OpenAI-compatible server, or several that serve the same model.
#[derive(Debug)]
pub struct OpenAiPolicy {
    client: Client,
    endpoints: Vec<Url>,
    model: String,
    key: Option<ApiKey>,
    timeouts: Timeouts,
    retries: RetryPlan,
    jitter: Jitter,
}

/// What one attempt gave up with, and what may follow.
struct Failure {
    error: PolicyError,
    retry: Retry,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    Never,
    AfterBackoff,
    /// The server said how long.
    After(Duration),
}

impl OpenAiPolicy {
    /// Checks the configuration; connects to nothing. The seed makes the waits between retries repeatable.
    pub fn new(config: OpenAiConfig, jitter_seed: u64) -> Result<Self, PolicySetupError> {
        let OpenAiConfig { urls, model, api_key_env, timeouts, retries } = config;
        if urls.is_empty() {
            return Err(PolicySetupError::NoUrl);
        }
        let endpoints = urls.iter().map(|url| parse_endpoint(url)).collect::<Result<_, _>>()?;
        let client = Client::builder()
            .connect_timeout(timeouts.connect)
            // A redirect would carry the conversation, and on the same host the key, to who knows where.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(PolicySetupError::Client)?;
        let key = ApiKey::from_env(api_key_env)?;
        Ok(Self { client, endpoints, model, key, timeouts, retries, jitter: Jitter::new(jitter_seed) })
    }

    /// Asks for one turn.
    pub async fn complete(&self, request: PolicyRequest<'_>) -> Result<PolicyReply, PolicyError> {
        let started = Instant::now();
        let deadline = started + self.timeouts.total;
        let body = serde_json::to_vec(&ChatRequest::new(&self.model, request))
            .expect("a request of strings and numbers has a JSON form");
        let home = home_endpoint(request, self.endpoints.len());
        let mut attempt = 1;
        loop {
            let url = &self.endpoints[(home + attempt as usize - 1) % self.endpoints.len()];
            let failure = match self.attempt(url, body.clone(), deadline).await {
                Ok((completion, first_byte)) => {
                    let latency = Latency { first_byte, total: started.elapsed() };
                    return Ok(PolicyReply { completion, latency, attempts: attempt });
                }
                Err(failure) => failure,
            };
            let wait = match failure.retry {
                Retry::Never => return Err(failure.error),
                Retry::AfterBackoff => self.retries.wait(attempt, &self.jitter),
                Retry::After(wait) => wait,
            };
            // Waiting past the end of the call would turn a clear error into a vague one.
            let Some(resume) = Instant::now().checked_add(wait).filter(|resume| *resume < deadline) else {
                return Err(failure.error);
            };
            if attempt >= self.retries.attempts_max {
                return Err(failure.error);
            }
            debug!(%url, attempt, wait_ms = wait.as_millis(), kind = ?failure.error.kind(), "policy call retried");
            sleep_until(resume).await;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        url: &Url,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<(Completion, Duration), Failure> {
        let started = Instant::now();
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(key) = &self.key {
            headers.insert(AUTHORIZATION, key.header.clone());
        }
        let clock = Clock {
            url,
            timeouts: self.timeouts,
            deadline,
            first_byte_by: started + self.timeouts.first_byte,
        };
        let sent = self.client.post(url.clone()).headers(headers).body(body).send();
        let bound = clock.first_byte();
        let response = match timeout_at(bound.by, sent).await {
            Err(_elapsed) => return Err(clock.too_slow(bound, Assembly::default())),
            Ok(Err(source)) => {
                let error = PolicyError::Unreachable { url: url.to_string(), source: source.without_url() };
                return Err(Failure { error, retry: Retry::AfterBackoff });
            }
            Ok(Ok(response)) => response,
        };
        if !response.status().is_success() {
            return Err(self.refusal(url, response, &clock).await);
        }
        self.read_stream(response, &clock, started).await
    }

    /// Reads the events of an answer until `[DONE]`.
    async fn read_stream(
        &self,
        mut response: Response,
        clock: &Clock<'_>,
        started: Instant,
    ) -> Result<(Completion, Duration), Failure> {
        let mut decoder = SseDecoder::default();
        let mut assembly = Assembly::default();
        let mut first_byte = None;
        let mut events = Vec::new();
        let (mut bytes, mut has_events) = (0, false);
        loop {
            let bound = if first_byte.is_none() { clock.first_byte() } else { clock.idle() };
            let piece = match timeout_at(bound.by, response.chunk()).await {
                Err(_elapsed) => return Err(clock.too_slow(bound, assembly)),
                Ok(Err(source)) => {
                    let reason = "the connection failed".to_owned();
                    return Err(broke_off(clock.url, reason, assembly, Some(source.without_url())));
                }
                // Bytes without a single event are a page of some kind, not a stream that broke off.
                Ok(Ok(None)) if bytes > 0 && !has_events => {
                    let detail = format!("{bytes} bytes of `{}` without an event", content_type(&response));
                    return Err(garbage(clock.url, detail));
                }
                Ok(Ok(None)) => {
                    let reason = "the stream ended without `[DONE]`".to_owned();
                    return Err(broke_off(clock.url, reason, assembly, None));
                }
                Ok(Ok(Some(piece))) => piece,
            };
            let first = *first_byte.get_or_insert_with(|| started.elapsed());
            decoder.push(&piece, &mut events).map_err(|error| garbage(clock.url, error.to_string()))?;
            bytes += piece.len();
            has_events |= !events.is_empty();
            for data in events.drain(..) {
                if data.trim() == "[DONE]" {
                    return match assembly.finish() {
                        Ok(completion) => Ok((completion, first)),
                        Err(fault) => Err(self.fault(clock.url, fault, Assembly::default())),
                    };
                }
                if let Err(fault) = assembly.add(&data) {
                    return Err(self.fault(clock.url, fault, assembly));
                }
            }
        }
    }

    /// The error for a status that is no success.
    async fn refusal(&self, url: &Url, mut response: Response, clock: &Clock<'_>) -> Failure {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| parse_retry_after(text, SystemTime::now()));
        let mut body = Vec::new();
        // The status is what counts; a body that does not arrive in full is quoted as far as it came.
        while body.len() < REFUSAL_BYTES_MAX {
            match timeout_at(clock.idle().by, response.chunk()).await {
                Ok(Ok(Some(piece))) => body.extend_from_slice(&piece),
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
        body.truncate(REFUSAL_BYTES_MAX);
        let body = self.quote(&String::from_utf8_lossy(&body));
        let retry = match retry_after {
            _ if !is_retryable_status(status) => Retry::Never,
            Some(wait) => Retry::After(wait),
            None => Retry::AfterBackoff,
        };
        Failure { error: PolicyError::Refused { url: url.to_string(), status, body }, retry }
    }

    fn fault(&self, url: &Url, fault: Fault, assembly: Assembly) -> Failure {
        match fault {
            Fault::Garbage(detail) => garbage(url, self.quote(&detail)),
            Fault::ServerError { status: Some(status), message } => {
                let retry = if is_retryable_status(status) && assembly.is_empty() {
                    Retry::AfterBackoff
                } else {
                    Retry::Never
                };
                let body = self.quote(&message);
                Failure { error: PolicyError::Refused { url: url.to_string(), status, body }, retry }
            }
            Fault::ServerError { status: None, message } => {
                let reason = format!("the server reported: {}", self.quote(&message));
                broke_off(url, reason, assembly, None)
            }
        }
    }

    /// What a server sent, fit for a message. Servers quote what they were sent, so the key goes first: cutting
    /// before could leave half of it.
    fn quote(&self, text: &str) -> String {
        match &self.key {
            Some(key) => excerpt(&key.hide_in(text)),
            None => excerpt(text),
        }
    }
}

/// The time limits of one attempt.
struct Clock<'a> {
    url: &'a Url,
    timeouts: Timeouts,
    deadline: Instant,
    first_byte_by: Instant,
}

/// Until when to wait, and which limit passes then.
#[derive(Clone, Copy)]
struct Bound {
    by: Instant,
    limit: TimeLimit,
    after: Duration,
}

impl Clock<'_> {
    fn first_byte(&self) -> Bound {
        self.nearest(self.first_byte_by, TimeLimit::FirstByte, self.timeouts.first_byte)
    }

    fn idle(&self) -> Bound {
        self.nearest(Instant::now() + self.timeouts.idle, TimeLimit::Idle, self.timeouts.idle)
    }

    fn nearest(&self, by: Instant, limit: TimeLimit, after: Duration) -> Bound {
        if self.deadline < by {
            Bound { by: self.deadline, limit: TimeLimit::Total, after: self.timeouts.total }
        } else {
            Bound { by, limit, after }
        }
    }

    /// The error for a limit that passed. A server that is too slow is not helped by a second request.
    fn too_slow(&self, bound: Bound, assembly: Assembly) -> Failure {
        let Bound { by: _, limit, after } = bound;
        let partial = assembly.into_partial();
        let error = PolicyError::TooSlow { url: self.url.to_string(), limit, after, partial };
        Failure { error, retry: Retry::Never }
    }
}

fn garbage(url: &Url, detail: String) -> Failure {
    Failure { error: PolicyError::Garbage { url: url.to_string(), detail }, retry: Retry::Never }
}

fn broke_off(url: &Url, reason: String, assembly: Assembly, source: Option<reqwest::Error>) -> Failure {
    let retry = if assembly.is_empty() { Retry::AfterBackoff } else { Retry::Never };
    let partial = assembly.into_partial();
    let error = PolicyError::ClosedMidStream { url: url.to_string(), reason, partial, source };
    Failure { error, retry }
}

/// The start of a text, on one line and without control characters.
fn excerpt(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut out: String = text.trim().chars().take(EXCERPT_CHARS_MAX).map(printable).collect();
    if text.trim().chars().nth(EXCERPT_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

fn content_type(response: &Response) -> String {
    let header = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    excerpt(header.unwrap_or("no content type"))
}
