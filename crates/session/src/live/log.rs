//! What a session was told, from its opening on: enough to bring it about again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rollcage_types::{FileEntry, Termination};
use serde::{Deserialize, Serialize};

use crate::live::outcome::{CellLimits, LiveOutcome};
use crate::report::Ending;

/// Something that a session was told.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// A cell.
    Cell(LoggedCell),
    /// A file that was put into the workspace.
    Put(EntryId, FileEntry),
}

/// Which entry it is, of those of all sessions: what a fork has in common with its trunk has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct EntryId(u64);

impl EntryId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Entry {
    /// Of a cell.
    pub(super) const fn number(&self) -> Option<u32> {
        match self {
            Self::Cell(cell) => Some(cell.number),
            Self::Put(..) => None,
        }
    }

    /// See there.
    pub(super) const fn id(&self) -> EntryId {
        match self {
            Self::Cell(cell) => cell.id,
            Self::Put(id, _) => *id,
        }
    }
}

/// A cell that left something behind.
#[derive(Clone, Debug)]
pub(super) struct LoggedCell {
    pub(super) id: EntryId,
    pub(super) number: u32,
    pub(super) source: Arc<str>,
    pub(super) stdin: Arc<[u8]>,
    /// Its limits, where they were not the session's.
    pub(super) limits: Option<CellLimits>,
    /// What it was answered.
    pub(super) answers: Vec<Option<Vec<u8>>>,
    pub(super) recorded: Recorded,
}

/// What is remembered of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// How the cell ended, as the program claims it.
    pub ending: Option<Ending>,
    /// Of its output.
    pub digest: [u8; 32],
    /// Whether it is left out of replays: it was interrupted, at a moment that no replay meets again; it is not done twice; or
    /// nobody can say how it ended.
    pub skipped: bool,
}

impl Recorded {
    pub(super) fn of(outcome: &LiveOutcome) -> Self {
        let interrupted =
            matches!(outcome.termination, Termination::LimitExceeded(_) | Termination::Cancelled);
        let skipped = interrupted || outcome.ending.is_none();
        let mut hasher = blake3::Hasher::new();
        for stream in [&outcome.stdout, &outcome.stderr] {
            hasher.update(&stream.bytes_total.to_le_bytes());
            hasher.update(&without_addresses(&stream.head));
            hasher.update(&without_addresses(&stream.tail));
        }
        Self { ending: outcome.ending.clone(), digest: *hasher.finalize().as_bytes(), skipped }
    }
}

/// Addresses are others in every process, and say nothing.
fn without_addresses(bytes: &[u8]) -> Vec<u8> {
    /// Shorter numbers are rarely addresses.
    const DIGITS_MIN: usize = 6;
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(|pair| pair == b"0x") {
        let (before, from) = rest.split_at(at + 2);
        out.extend_from_slice(before);
        let digits = from.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits < DIGITS_MIN {
            out.extend_from_slice(&from[..digits]);
        }
        rest = &from[digits..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_left_out_and_nothing_else() {
        for (text, expected) in [
            ("<object at 0x7f31a2b3c4d5>", "<object at 0x>"),
            ("0xff and 0x1234567", "0xff and 0x"),
            ("no address", "no address"),
            ("0x", "0x"),
        ] {
            assert_eq!(without_addresses(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }
}
