//! What comes back of a cage.

use rollcage_sys::Errno;
use rollcage_sys::child::Stage;

use crate::protocol::words::{WORD, put_words, word_at};

/// How the program's process ended, as the stub saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// As wait(2) encodes it.
    pub status: i32,
    /// Whether no other process of the cage was left. Otherwise they die with the stub, and accounts are final
    /// only when it is reaped.
    pub alone: bool,
    /// CLOCK_MONOTONIC when the program was executed.
    pub started_ns: u64,
    /// CLOCK_MONOTONIC when the program's process ended.
    pub at_ns: u64,
    /// Processor time by rusage, for hosts without cpu accounting.
    pub cpu_us: u64,
    /// Largest resident set by rusage.
    pub max_rss_kib: u64,
    /// Bytes used in the workspace.
    pub disk_used: u64,
    /// Whether the workspace or `/tmp` had no block or no inode left.
    pub disk_full: bool,
}

/// What a slot reports. A stub that announces itself sends [`Report::Waiting`], with descriptors of its `/ws/work` and
/// `/ws/tmp` if it made them itself; the kernel tells a supervisor that asks which process sent it. Every report names its cage's generation, so that a late one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The cage waits for a request.
    Waiting,
    /// The sockets of the request's listeners are bound; carries them, the DNS socket first.
    Listening,
    /// The program's process ended.
    Ended(Ended),
    /// The cage could not be made, or the program not executed.
    Failed {
        /// At which step.
        stage: Stage,
        /// Why.
        errno: Errno,
    },
    /// Nothing of the cage is left. Always the last report of a generation.
    Reaped {
        /// Whether the launcher has already made the next cage.
        next_ready: bool,
    },
}

impl Report {
    /// Length on the wire.
    pub const BYTES: usize = 10 * WORD;

    /// As sent. Allocates nothing: stubs call it.
    pub fn encode(&self, generation: u64) -> [u8; Self::BYTES] {
        let words = match *self {
            Self::Ended(ended) => [
                1,
                generation,
                u64::from(ended.status.cast_unsigned()),
                u64::from(ended.alone),
                ended.started_ns,
                ended.at_ns,
                ended.cpu_us,
                ended.max_rss_kib,
                ended.disk_used,
                u64::from(ended.disk_full),
            ],
            Self::Failed { stage, errno } => [
                2,
                generation,
                stage as u64,
                u64::from(errno.raw_os_error().cast_unsigned()),
                0,
                0,
                0,
                0,
                0,
                0,
            ],
            Self::Reaped { next_ready } => [3, generation, u64::from(next_ready), 0, 0, 0, 0, 0, 0, 0],
            Self::Waiting => [4, generation, 0, 0, 0, 0, 0, 0, 0, 0],
            Self::Listening => [5, generation, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        let mut out = [0; Self::BYTES];
        put_words(words, &mut out);
        out
    }

    /// The generation and the report; `None` for anything malformed.
    pub fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let word = |index| word_at(bytes, index);
        let generation = word(1)?;
        let signed = |index| Some(u32::try_from(word(index)?).ok()?.cast_signed());
        let report = match word(0)? {
            1 => Self::Ended(Ended {
                status: signed(2)?,
                alone: word(3)? != 0,
                started_ns: word(4)?,
                at_ns: word(5)?,
                cpu_us: word(6)?,
                max_rss_kib: word(7)?,
                disk_used: word(8)?,
                disk_full: word(9)? != 0,
            }),
            2 => Self::Failed {
                stage: Stage::from_number(word(2)?.try_into().ok()?)?,
                errno: error_number(signed(3)?)?,
            },
            3 => Self::Reaped { next_ready: word(2)? != 0 },
            4 => Self::Waiting,
            5 => Self::Listening,
            _ => return None,
        };
        Some((generation, report))
    }
}

/// The kernel reports errors as 1 to 4095; [`Errno`] panics at any other number.
fn error_number(number: i32) -> Option<Errno> {
    (1..=4095).contains(&number).then(|| Errno::from_raw_os_error(number))
}
