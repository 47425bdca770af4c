//! What a session was told, from its opening on: enough to bring it about again.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rollcage_types::{FileEntry, Termination};
use serde::{Deserialize, Serialize};

use crate::live::error::LiveError;
use crate::live::outcome::{CellLimits, DisplayKind, LiveOutcome};
use crate::report::Ending;

/// What one session may be told altogether: it is kept, and with it all that forks have in common.
const ENTRIES_MAX: usize = 100_000;
const BYTES_MAX: usize = 256 << 20;

/// All that a session was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    bytes: usize,
}

impl Log {
    /// Whether so many more bytes may be told.
    pub(super) const fn check_room(&self, bytes: usize) -> Result<(), LiveError> {
        if self.entries.len() >= ENTRIES_MAX || self.bytes.saturating_add(bytes) > BYTES_MAX {
            return Err(LiveError::HistoryFull { entries: ENTRIES_MAX, bytes: BYTES_MAX });
        }
        Ok(())
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push(entry);
    }

    pub(super) fn truncate(&mut self, entries: usize) {
        let removed = self.entries.drain(entries.min(self.entries.len())..);
        self.bytes -= removed.map(|entry| entry.bytes()).sum::<usize>();
    }
}

impl FromIterator<Entry> for Log {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut log = Self::default();
        entries.into_iter().for_each(|entry| log.push(entry));
        log
    }
}

impl Deref for Log {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.entries
    }
}

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

    /// What the caller gave of it.
    fn bytes(&self) -> usize {
        match self {
            Self::Cell(cell) => {
                let answers = cell.answers.iter().flatten().map(Vec::len).sum::<usize>();
                cell.source.len() + cell.stdin.len() + answers
            }
            Self::Put(_, file) => file.content.len(),
        }
    }

    /// Which one it is.
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
    /// Of its output, and of what it showed.
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
        for display in &outcome.displays {
            hasher.update(match display.kind {
                DisplayKind::Result => b"result",
                DisplayKind::Display => b"display",
            });
            for (form, json) in display.bundle.forms() {
                hasher.update(form.as_bytes());
                hasher.update(&without_addresses(json.as_bytes()));
            }
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
