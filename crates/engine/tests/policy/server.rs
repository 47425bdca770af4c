//! An HTTP server on a local port that answers each connection with scripted bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollcage_engine::policy::{
    OpenAiConfig, OpenAiPolicy, PolicyError, PolicyReply, PolicyRequest, RetryPlan, Sampling, Timeouts,
};
use rollcage_rollout::{Message, Role};
use rollcage_types::TaskId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does on one connection once it has read the request.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Says nothing more until the client leaves.
    Hang,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The server; it ends with the runtime of its test.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers the first connection with the first script, and so on; the last one serves all that follow.
    pub(crate) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a local port is free");
        let url = format!("http://{}/v1", listener.local_addr().expect("it is bound"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let seen_by_server = Arc::clone(&seen);
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept().await else { break };
                let script = scripts[connection.min(scripts.len() - 1)].clone();
                tokio::spawn(serve(stream, script, Arc::clone(&seen_by_server)));
            }
        });
        Self { url, seen }
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no holder panics").clone()
    }
}

async fn serve(mut stream: TcpStream, script: Vec<Step>, seen: Arc<Mutex<Vec<Seen>>>) {
    let Some(request) = read_request(&mut stream).await else { return };
    seen.lock().expect("no holder panics").push(request);
    for step in script {
        match step {
            Step::Send(bytes) => {
                // A client that has heard enough may close first.
                let _closed = stream.write_all(&bytes).await;
            }
            Step::Hang => {
                let mut rest = Vec::new();
                let _closed = stream.read_to_end(&mut rest).await;
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = head_end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length: usize =
                header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
                return Some(Seen { head, body });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// The value of a header, whatever the case of its name.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A whole answer with this status line and these header lines.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let length = body.len();
    let text =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}");
    vec![Step::Send(text.into_bytes())]
}

/// An event stream of these pieces, each in a chunk of its own, ended as HTTP says.
pub(crate) fn stream<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Step> {
    let mut steps = cut_stream(pieces);
    steps.push(Step::Send(b"0\r\n\r\n".to_vec()));
    steps
}

/// The same without the end: the connection just closes.
pub(crate) fn cut_stream<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Step> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut steps = vec![Step::Send(head.as_bytes().to_vec())];
    for piece in pieces {
        let size = format!("{:x}\r\n", piece.len());
        steps.push(Step::Send([size.as_bytes(), piece, b"\r\n"].concat()));
    }
    steps
}

/// An event that adds this text.
pub(crate) fn text_event(text: &str) -> String {
    format!("data: {}\n\n", serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]}))
}

/// The events that end a completion.
pub(crate) const END: &str =
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A completion that says `ok`.
pub(crate) fn ok() -> Vec<Step> {
    stream([text_event("ok").as_bytes(), END.as_bytes()])
}

/// Limits no test reaches unless it means to, and waits too short to notice.
pub(crate) fn config(urls: &[&str]) -> OpenAiConfig {
    OpenAiConfig {
        urls: urls.iter().map(|&url| url.to_owned()).collect(),
        timeouts: Timeouts {
            connect: Duration::from_secs(20),
            first_byte: Duration::from_secs(20),
            idle: Duration::from_secs(20),
            total: Duration::from_secs(60),
        },
        retries: RetryPlan {
            attempts_max: 3,
            wait_first: Duration::from_millis(1),
            wait_max: Duration::from_millis(1),
        },
        ..OpenAiConfig::new("", "test-model")
    }
}

/// Asks for one turn of a short conversation.
pub(crate) async fn ask(config: OpenAiConfig) -> Result<PolicyReply, PolicyError> {
    let policy = OpenAiPolicy::new(config, 1).expect("the configuration is sound");
    let messages = [Message::new(Role::User, "hi")];
    policy.complete(request(&TaskId::new("t"), &messages, &Sampling::default())).await
}

/// A request for the first turn.
pub(crate) fn request<'a>(
    task_id: &'a TaskId,
    messages: &'a [Message],
    sampling: &'a Sampling,
) -> PolicyRequest<'a> {
    PolicyRequest { task_id, sample: 0, turn: 0, messages, sampling, seed: None, tools: &[] }
}
