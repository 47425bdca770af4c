//! The Agnostics verifier protocol over a pair of streams: one line in, one line out, in order.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rollcage_api::{AgnosticsDetail, AgnosticsReply, AgnosticsRequest, AgnosticsRequestError};
use rollcage_judge::{JudgeOptions, Judgement, StopRule};
use rollcage_language::Language;
use rollcage_types::{ByteSize, ProblemId};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::engine::Engine;
use super::judge::judge;

/// Bytes of one request. Published problems stay below ten megabytes with all their tests; beyond this a peer is
/// not speaking the protocol.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of each stream in a reply. Peers are known to read replies into five megabytes.
const KEEP_OUTPUT: ByteSize = ByteSize::kib(512);

/// What was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgnosticsSummary {
    /// Replies written.
    pub replies: u64,
    /// Those that were `success`.
    pub accepted: u64,
}

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
pub enum AgnosticsError {
    /// Requests could not be read.
    #[error("cannot read requests")]
    Read(#[source] std::io::Error),
    /// Replies could not be written.
    #[error("cannot write replies")]
    Write(#[source] std::io::Error),
}

/// One line of input.
enum Line {
    Whole(Vec<u8>),
    /// It was longer than any request, and was skipped to its end.
    TooLong,
    End,
}

/// Answers each line of `input` with a line on `output`, until `input` ends. A line that is no request is answered
/// too, and serving goes on.
pub async fn serve_agnostics(
    engine: &Engine,
    language: &Arc<Language>,
    detail: AgnosticsDetail,
    mut input: impl AsyncBufRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> Result<AgnosticsSummary, AgnosticsError> {
    let mut summary = AgnosticsSummary::default();
    loop {
        let reply = match read_line(&mut input).await.map_err(AgnosticsError::Read)? {
            Line::End => return Ok(summary),
            Line::TooLong => {
                let why = format!("it is longer than {LINE_BYTES_MAX} bytes");
                AgnosticsRequestError::Malformed(why).into()
            }
            Line::Whole(bytes) if bytes.trim_ascii().is_empty() => continue,
            Line::Whole(bytes) => answer(engine, language, detail, &bytes, summary.replies).await,
        };
        summary.replies += 1;
        summary.accepted += u64::from(matches!(reply, AgnosticsReply::Success { .. }));
        let mut text = serde_json::to_vec(&reply).expect("a reply of strings and numbers has a JSON form");
        text.push(b'\n');
        output.write_all(&text).await.map_err(AgnosticsError::Write)?;
        output.flush().await.map_err(AgnosticsError::Write)?;
    }
}

async fn answer(
    engine: &Engine,
    language: &Arc<Language>,
    detail: AgnosticsDetail,
    line: &[u8],
    number: u64,
) -> AgnosticsReply {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => return AgnosticsRequestError::Malformed(error.to_string()).into(),
    };
    let request = match AgnosticsRequest::parse(text) {
        Ok(request) => request,
        Err(error) => return error.into(),
    };
    if let Err(error) = engine.toolchain(language).await {
        return AgnosticsReply::RunFailed { details: super::error_chain(&error) };
    }
    let problem = Arc::new(request.problem(ProblemId::new(format!("request {}", number + 1))));
    let options = JudgeOptions {
        stop: match detail {
            AgnosticsDetail::FirstFailure => StopRule::FirstFailure,
            AgnosticsDetail::EveryTest => StopRule::RunAll,
        },
        // A test's limit is time on the clock, so tests at once must not wait for each other's processors.
        parallel: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        keep_output: KEEP_OUTPUT,
    };
    let judgement: Judgement = judge(engine, &problem, language, &request.code, options).await.judgement;
    AgnosticsReply::new(&judgement, &request, detail)
}

/// Reads to the next line feed or the end of input, holding no more than a request may have.
async fn read_line(input: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Line> {
    let mut line = Vec::new();
    let (mut is_too_long, mut has_begun) = (false, false);
    loop {
        let available = input.fill_buf().await?;
        if available.is_empty() {
            return Ok(match (has_begun, is_too_long) {
                (false, _) => Line::End,
                (true, true) => Line::TooLong,
                (true, false) => Line::Whole(line),
            });
        }
        has_begun = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        if line.len() + part.len() > LINE_BYTES_MAX {
            is_too_long = true;
            line = Vec::new();
        }
        if !is_too_long {
            line.extend_from_slice(part);
        }
        let used = end.map_or(available.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Ok(if is_too_long { Line::TooLong } else { Line::Whole(line) });
        }
    }
}
