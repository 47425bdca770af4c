//! From what happened to the text a policy reads.
//!
//! Owns wording and cuts. Nothing is silent: a cut states how many bytes are missing, a limit is named with its
//! value, and empty output is said to be empty. Bytes that are not UTF-8 are shown as replacement characters.

use std::fmt::Write as _;

use rollcage_types::{ByteSize, Captured, LimitKind, Limits, Termination, Usage, format_duration};

use crate::reward::JudgedAnswer;

/// Whether the interpreter survived a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// What earlier cells defined is still there.
    Kept,
    /// The interpreter was started afresh.
    Lost,
}

/// How a cell ended. A crash or a limit is a result; our own failures never come in this form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellResult {
    /// How it ended.
    pub termination: Termination,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// What it used.
    pub usage: Usage,
    /// Whether the interpreter survived.
    pub session: SessionState,
}

/// What a tool that others carry out returned. That it says no is a result; that it failed never comes in this form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolResult {
    /// What it returned.
    pub output: String,
    /// What it refuses or could not do, in words for the policy.
    pub error: Option<String>,
}

/// What stands around an observation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing.
    #[default]
    Plain,
    /// A line before it, such as `Observation:`.
    Heading(String),
    /// `<name>` and `</name>`.
    Tag(String),
}

/// What the policy reads of a judgement when it may try again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Feedback {
    /// That the answer was not accepted.
    #[default]
    Rejected,
    /// The verdict.
    Verdict,
    /// The verdict and the judge's reason.
    Reason,
}

/// How observations are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservationStyle {
    /// Most bytes of program output in one observation, both streams together.
    pub output_bytes_max: ByteSize,
    /// What stands around it.
    pub envelope: Envelope,
    /// What is said of an answer that was not accepted.
    pub feedback: Feedback,
}

/// A cell rarely prints more that helps; beyond this the policy's context pays for noise.
const OUTPUT_BYTES_MAX: ByteSize = ByteSize::kib(8);

impl Default for ObservationStyle {
    fn default() -> Self {
        Self {
            output_bytes_max: OUTPUT_BYTES_MAX,
            envelope: Envelope::default(),
            feedback: Feedback::default(),
        }
    }
}

impl ObservationStyle {
    /// The text for a finished cell.
    pub fn cell_text(&self, cell: &CellResult, limits: &Limits) -> String {
        let mut lines = Vec::new();
        lines.extend(termination_text(cell.termination, limits));
        let budget = self.output_bytes_max.as_usize();
        let (stdout_max, stderr_max) = share(budget, wanted(&cell.stdout), wanted(&cell.stderr));
        for (name, stream, bytes_max) in
            [("stdout", &cell.stdout, stdout_max), ("stderr", &cell.stderr, stderr_max)]
        {
            if stream.bytes_total > 0 {
                let text = cut_text(stream, bytes_max);
                lines.push(format!("{name}:\n{}", text.trim_end_matches('\n')));
            }
        }
        if cell.stdout.bytes_total == 0 && cell.stderr.bytes_total == 0 {
            lines.push("(no output)".to_owned());
        }
        if cell.session == SessionState::Lost {
            lines.push("The interpreter was restarted: what earlier code defined is gone.".to_owned());
        }
        lines.join("\n")
    }

    /// The text for what a tool returned.
    pub fn tool_text(&self, result: &ToolResult) -> String {
        let cut = |text: &str| {
            let text = cut_text(&Captured::whole(text), self.output_bytes_max.as_usize());
            text.trim_end_matches('\n').to_owned()
        };
        match &result.error {
            None if result.output.is_empty() => "(no output)".to_owned(),
            None => cut(&result.output),
            Some(error) if result.output.is_empty() => format!("error: {}", cut(error)),
            Some(error) => format!("{}\nerror: {}", cut(&result.output), cut(error)),
        }
    }

    /// The text for an answer that was judged and not the last allowed.
    pub fn judged_text(&self, judged: &JudgedAnswer, answers_left: u32) -> String {
        let mut text = match (judged, self.feedback) {
            (JudgedAnswer::Unscorable(_), _) => "The answer could not be judged.".to_owned(),
            (JudgedAnswer::Scored { .. }, Feedback::Rejected) => "The answer was not accepted.".to_owned(),
            (JudgedAnswer::Scored { verdict, .. }, Feedback::Verdict) => {
                format!("The answer was judged: {verdict}.")
            }
            (JudgedAnswer::Scored { verdict, reason, .. }, Feedback::Reason) => match reason {
                Some(reason) => format!("The answer was judged: {verdict}: {reason}."),
                None => format!("The answer was judged: {verdict}."),
            },
        };
        match answers_left {
            1 => text.push_str("\n1 answer left."),
            left => {
                let _infallible = write!(text, "\n{left} answers left.");
            }
        }
        text
    }

    /// Puts the envelope around a finished text.
    pub fn enclose(&self, text: &str) -> String {
        match &self.envelope {
            Envelope::Plain => text.to_owned(),
            Envelope::Heading(heading) => format!("{heading}\n{text}"),
            Envelope::Tag(name) => format!("<{name}>\n{text}\n</{name}>"),
        }
    }
}

/// What is said of a termination; nothing of a success.
fn termination_text(termination: Termination, limits: &Limits) -> Option<String> {
    match termination {
        Termination::Exited { code: 0 } => None,
        Termination::Exited { code } => Some(format!("exit code {code}")),
        Termination::Signaled { signal } => Some(match signal_name(signal) {
            Some(name) => format!("killed by signal {signal} ({name})"),
            None => format!("killed by signal {signal}"),
        }),
        Termination::LimitExceeded(kind) => {
            Some(format!("stopped: {} limit {} exceeded", kind.as_str(), limit_text(kind, limits)))
        }
        Termination::Cancelled => Some("stopped: cancelled".to_owned()),
    }
}

fn limit_text(kind: LimitKind, limits: &Limits) -> String {
    match kind {
        LimitKind::CpuTime => format_duration(limits.cpu_time),
        LimitKind::WallTime => format_duration(limits.wall_time),
        LimitKind::IdleTime => format_duration(limits.idle_time.unwrap_or(limits.wall_time)),
        LimitKind::Memory => limits.memory.to_string(),
        LimitKind::Output => limits.output.to_string(),
        LimitKind::Processes => limits.processes.to_string(),
        LimitKind::FileSize => limits.file_size.to_string(),
        LimitKind::DiskSpace => limits.disk.to_string(),
    }
}

/// The signals programs die of; the numbers are Linux's on every architecture we run on.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        31 => "SIGSYS",
        _ => return None,
    })
}

/// Bytes a stream would need to be shown whole, replacement characters included.
fn wanted(stream: &Captured) -> usize {
    if stream.is_truncated() {
        return usize::MAX;
    }
    String::from_utf8_lossy(&stream.head).len() + String::from_utf8_lossy(&stream.tail).len()
}

/// Splits a budget: each stream gets half, and what one leaves unused goes to the other.
fn share(budget: usize, first: usize, second: usize) -> (usize, usize) {
    let half = budget / 2;
    let first_max = first.min(budget - second.min(half));
    (first_max, second.min(budget - first_max))
}

/// A stream within `text_bytes_max` bytes of text, cut in the middle at character boundaries; the line that
/// states the cut comes on top.
pub fn cut_text(stream: &Captured, text_bytes_max: usize) -> String {
    if let Some(bytes) = stream.complete() {
        let text = String::from_utf8_lossy(&bytes);
        if text.len() <= text_bytes_max {
            return text.into_owned();
        }
    }
    let shortened = stream.shortened(text_bytes_max / 2, text_bytes_max - text_bytes_max / 2);
    let front = characters(before_cut(&shortened.head));
    let back = characters(after_cut(&shortened.tail));
    let (head, head_bytes) = take_within(front.into_iter(), text_bytes_max / 2);
    let (tail, tail_bytes) = take_within(back.into_iter().rev(), text_bytes_max - text_bytes_max / 2);
    let omitted = stream.bytes_total.saturating_sub(head_bytes + tail_bytes);
    let tail: String = tail.chars().rev().collect();
    format!("{head}\n[… {omitted} of {} bytes omitted …]\n{tail}", stream.bytes_total)
}

/// Bytes a UTF-8 sequence has after its first.
const CONTINUATION_BYTES_MAX: usize = 3;

/// Without a sequence that the cut at the end of `bytes` left incomplete: the cut is ours, not the program's.
fn before_cut(bytes: &[u8]) -> &[u8] {
    let lead = bytes.iter().rev().take(CONTINUATION_BYTES_MAX + 1).position(|byte| !is_continuation(*byte));
    let at = bytes.len() - lead.map_or(0, |from_end| from_end + 1);
    let is_incomplete = std::str::from_utf8(&bytes[at..]).is_err_and(|error| error.error_len().is_none());
    if is_incomplete { &bytes[..at] } else { bytes }
}

/// Without what the cut before `bytes` left of a sequence.
fn after_cut(bytes: &[u8]) -> &[u8] {
    let stray = bytes.iter().take(CONTINUATION_BYTES_MAX).take_while(|byte| is_continuation(**byte)).count();
    &bytes[stray..]
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Each character with the number of bytes it was read from.
fn characters(bytes: &[u8]) -> Vec<(char, u64)> {
    let mut characters = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        characters.extend(chunk.valid().chars().map(|character| (character, character.len_utf8() as u64)));
        if !chunk.invalid().is_empty() {
            characters.push((char::REPLACEMENT_CHARACTER, chunk.invalid().len() as u64));
        }
    }
    characters
}

/// Characters while they fit, with the bytes they were read from.
fn take_within(characters: impl Iterator<Item = (char, u64)>, text_bytes_max: usize) -> (String, u64) {
    let (mut text, mut bytes) = (String::new(), 0);
    for (character, source_bytes) in characters {
        if text.len() + character.len_utf8() > text_bytes_max {
            break;
        }
        text.push(character);
        bytes += source_bytes;
    }
    (text, bytes)
}
