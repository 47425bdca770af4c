//! What the supervisor tells the launcher of slots.

use crate::protocol::words::{WORD, put_words, word_at};

/// Offset of a slot's word in the start clock: a memfd where a stub leaves the CLOCK_MONOTONIC time, in nanoseconds,
/// at which its program was executed, and 0 before. A supervisor reads it only when a deadline seems to have come, so
/// that an ordinary run is woken once, at its end.
pub fn start_clock_offset(slot: u32) -> u64 {
    u64::from(slot) * WORD as u64
}

/// Introduces one slot to the launcher; carries one descriptor, the slot's socket. Before the first, the launcher is
/// sent one packet with the start clock's descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Slots are introduced in order, from 0.
    pub slot: u32,
    /// The program's user and group.
    pub uid: u32,
}

impl Setup {
    /// Length on the wire.
    pub const BYTES: usize = 2 * WORD;

    /// As sent.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        put_words([u64::from(self.slot), u64::from(self.uid)], &mut out);
        out
    }

    /// As received; `None` for anything malformed.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self { slot: word_at(bytes, 0)?.try_into().ok()?, uid: word_at(bytes, 1)?.try_into().ok()? })
    }
}

/// Whether a cage has a network of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wiring {
    /// It has not, and its program may make no socket of a network.
    #[default]
    Sealed,
    /// It has one with nothing but `lo`.
    Wired,
}

/// What the supervisor tells the launcher about a slot. Where there is no pid namespace to kill, [`Command::Kill`] is
/// sent to the stub instead, on the slot's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make cages of this kind in this slot from now on. One of another kind that waits there is killed. Later ones follow
    /// by themselves when one is reaped, so that the next request finds its cage ready.
    Start {
        /// Which slot.
        slot: u32,
        /// Which kind.
        wiring: Wiring,
    },
    /// Kill the cage, if it is still the one meant.
    Kill {
        /// Which slot.
        slot: u32,
        /// Cages of a slot are counted from 1.
        generation: u64,
    },
}

impl Command {
    /// Length on the wire.
    pub const BYTES: usize = 3 * WORD;

    /// As sent.
    pub fn encode(self) -> [u8; Self::BYTES] {
        let words = match self {
            Self::Start { slot, wiring } => [1, u64::from(slot), u64::from(wiring == Wiring::Wired)],
            Self::Kill { slot, generation } => [2, u64::from(slot), generation],
        };
        let mut out = [0; Self::BYTES];
        put_words(words, &mut out);
        out
    }

    /// As received on a socket that carries requests too, which are longer.
    pub fn decode_whole(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == Self::BYTES).then(|| Self::decode(bytes)).flatten()
    }

    /// As received; `None` for anything malformed.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let slot = word_at(bytes, 1)?.try_into().ok()?;
        match word_at(bytes, 0)? {
            1 => {
                let wiring = if word_at(bytes, 2)? == 0 { Wiring::Sealed } else { Wiring::Wired };
                Some(Self::Start { slot, wiring })
            }
            2 => Some(Self::Kill { slot, generation: word_at(bytes, 2)? }),
            _ => None,
        }
    }
}
