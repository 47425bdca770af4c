//! What came of a cell of a live session.

use std::time::Duration;

use rollcage_sandbox::{Message, TurnEnd, TurnOutcome, TurnUsage};
use rollcage_types::{ByteSize, Captured, Limits, Termination};

use crate::cell::{CellEffect, LostReason};
use crate::live::agent::Agent;
use crate::live::bundle::MimeBundle;
use crate::report::Ending;

/// What one cell may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellLimits {
    /// Processor time of all processes of the session.
    pub cpu_time: Duration,
    /// Time on the clock.
    pub wall_time: Duration,
    /// Time on the clock without a byte of output.
    pub idle_time: Option<Duration>,
    /// Bytes of output.
    pub output: ByteSize,
}

impl From<&Limits> for CellLimits {
    fn from(limits: &Limits) -> Self {
        let Limits { cpu_time, wall_time, idle_time, output, .. } = *limits;
        Self { cpu_time, wall_time, idle_time, output }
    }
}

/// What a bundle is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisplayKind {
    /// The value of the cell's last line.
    Result,
    /// What the cell showed on its way.
    Display,
}

/// Something that a cell showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    /// What it is of.
    pub kind: DisplayKind,
    /// The forms it has.
    pub bundle: MimeBundle,
}

/// What was done before a cell could run whose session had been put aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehydrated {
    /// Cells that were replayed.
    pub cells: u32,
    /// Those whose output was another, addresses aside.
    pub diverged: Vec<u32>,
    /// Those that were not replayed: what they had done was cut off by an interrupt, or is not done twice.
    pub skipped: Vec<u32>,
    /// Time on the clock.
    pub time: Duration,
}

/// What came of a cell.
#[derive(Clone, Debug)]
pub struct LiveOutcome {
    /// Cells count from 1; tracebacks name cells by this number.
    pub number: u32,
    /// As of a run: an exit code of 0 for a cell that came to its end, the limit that a cell was interrupted for, how the
    /// interpreter ended if it did.
    pub termination: Termination,
    /// How the cell ended in its interpreter's terms, as the program claims it; `None` if it did not.
    pub ending: Option<Ending>,
    /// Standard output. What earlier cells left running writes here too.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// What the cell showed, in order.
    pub displays: Vec<Display>,
    /// Things it showed that were too many, too long or no MIME bundles.
    pub displays_dropped: u64,
    /// What the kernel counted.
    pub usage: TurnUsage,
    /// What the cell left behind.
    pub effect: CellEffect,
    /// If the session had been put aside.
    pub rehydrated: Option<Rehydrated>,
}

impl LiveOutcome {
    pub(super) fn of(number: u32, turn: TurnOutcome, rehydrated: Option<Rehydrated>) -> Self {
        let TurnOutcome { end, interrupted, messages, mut messages_dropped, stdout, stderr, usage } = turn;
        let mut displays = Vec::new();
        for message in messages {
            match display(&message) {
                Some(display) => displays.push(display),
                None => messages_dropped += 1,
            }
        }
        let (ending, termination, effect) = judge(end, interrupted);
        Self {
            number,
            termination,
            ending,
            stdout,
            stderr,
            displays,
            displays_dropped: messages_dropped,
            usage,
            effect,
            rehydrated,
        }
    }
}

fn judge(end: TurnEnd, interrupted: Option<Termination>) -> (Option<Ending>, Termination, CellEffect) {
    match end {
        TurnEnd::Done(content) => {
            let ending = Agent::ending(&content);
            // An agent that says something else has been tampered with, which is the program's own affair.
            let code = ending.as_ref().map_or(u8::MAX, Ending::exit_code);
            let termination = interrupted.unwrap_or(Termination::Exited { code });
            (ending, termination, CellEffect::Kept)
        }
        TurnEnd::Ended(termination) => {
            let why = match termination {
                Termination::LimitExceeded(limit) => LostReason::Limit(limit),
                Termination::Cancelled => LostReason::Cancelled,
                Termination::Exited { .. } | Termination::Signaled { .. } => LostReason::InterpreterEnded,
            };
            (None, termination, CellEffect::Lost(why))
        }
        // It did not end, but nothing can be asked of it any more.
        TurnEnd::Lost(_) => {
            let killed = Termination::Signaled { signal: KILL };
            (None, killed, CellEffect::Lost(LostReason::InterpreterEnded))
        }
    }
}

/// `SIGKILL`.
const KILL: i32 = 9;

fn display(message: &Message) -> Option<Display> {
    let kind = match message.kind.as_str() {
        "result" => DisplayKind::Result,
        "display" => DisplayKind::Display,
        _ => return None,
    };
    Some(Display { kind, bundle: MimeBundle::parse(&message.content)? })
}
