//! The messages between supervisor, launcher and stub.
//!
//! All travel over `SOCK_SEQPACKET` sockets, one message a packet, with descriptors attached where named. The
//! control socket carries [`Setup`] and then [`Command`]; each slot's own socket carries a [`RunMessage`] in and
//! [`Report`]s out. No message comes from, or is readable by, the program in the cage; decoding still trusts
//! nothing, because a decoder that trusts is the first thing to break when that changes.

use std::net::Ipv4Addr;

use rollcage_sys::Errno;
use rollcage_sys::child::{CGROUPS_MAX, RESOURCE_LIMITS_MAX, ResourceLimit, Stage};

/// Arguments, variables and candidate paths of one request together. The kernel allows megabytes; a request
/// beyond this belongs in a file.
pub const REQUEST_BYTES_MAX: usize = 128 * 1024;
/// Arguments, variables and candidate paths a request may name, which sizes the pointer table of a slot.
pub const REQUEST_STRINGS_MAX: usize = 1024;
/// Descriptors of a request that are always there: the standard streams, then the workspace and `/tmp`, as detached
/// mounts or as the directories they are already. The cgroup descriptors follow.
pub const RUN_DESCRIPTORS_FIXED: usize = 5;
/// Descriptors of a request.
pub const RUN_DESCRIPTORS_MAX: usize = RUN_DESCRIPTORS_FIXED + CGROUPS_MAX;

/// Numbers are sent as native 64-bit words: both ends are the same executable on the same machine.
const WORD: usize = size_of::<u64>();

fn word_at(bytes: &[u8], index: usize) -> Option<u64> {
    let at = index.checked_mul(WORD)?;
    let word = bytes.get(at..at.checked_add(WORD)?)?;
    Some(u64::from_ne_bytes(word.try_into().ok()?))
}

fn put_words<const N: usize>(words: [u64; N], out: &mut [u8]) {
    for (chunk, word) in out.chunks_exact_mut(WORD).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
}

/// How the program enters its cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupEntry {
    /// Not at all: the host has none, and other means keep its accounts.
    None,
    /// The descriptors are `tasks` files (version 1) the child writes itself into.
    Tasks,
    /// The first descriptor is a cgroup directory (version 2) the child is cloned into.
    CloneInto,
}

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

/// A port of a host on the allow-list, as it is bound in the cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: Ipv4Addr,
    /// On which port.
    pub port: u16,
    /// Whether `lo` has to be given the address first.
    pub needs_address: bool,
}

impl Listener {
    fn to_word(self) -> u64 {
        u64::from(self.address.to_bits()) << 32 | u64::from(self.port) << 1 | u64::from(self.needs_address)
    }

    fn from_word(word: u64) -> Option<Self> {
        Some(Self {
            address: Ipv4Addr::from_bits(u32::try_from(word >> 32).ok()?),
            port: u16::try_from(word >> 1 & 0xffff_ffff >> 1).ok()?,
            needs_address: word & 1 != 0,
        })
    }
}

/// Listeners of one request: with the DNS socket as many descriptors as one message carries.
pub const LISTENERS_MAX: usize = 252;

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

/// A request as the stub receives it; carries [`RUN_DESCRIPTORS_FIXED`] descriptors and those of the cgroups.
///
/// Layout: the words `generation, programs, arguments, variables, limits, entry, disk, listeners`, then for each limit the
/// words `resource, soft, hard`, then a word for each listener, then the NUL-terminated strings in that order.
#[derive(Debug)]
pub struct RunMessage<'a> {
    /// The cage it is meant for.
    pub generation: u64,
    /// Paths to try, in order.
    pub programs: &'a [&'a str],
    /// Arguments, the name included.
    pub arguments: &'a [&'a str],
    /// `NAME=value`.
    pub variables: &'a [String],
    /// For setrlimit.
    pub resource_limits: &'a [ResourceLimit],
    /// What the cgroup descriptors are.
    pub cgroup_entry: CgroupEntry,
    /// How large the workspace may grow, for a stub that made it.
    pub disk_bytes: u64,
    /// What to bind for the supervisor's relay.
    pub listeners: &'a [Listener],
}

/// Why a request cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestTooLarge {
    /// Too many bytes.
    #[error("arguments and variables take more than {REQUEST_BYTES_MAX} bytes")]
    Bytes,
    /// Too many strings.
    #[error("there are more than {REQUEST_STRINGS_MAX} arguments and variables")]
    Strings,
    /// A string ends early.
    #[error("an argument or variable contains a NUL byte")]
    Nul,
}

const RUN_HEADER_WORDS: usize = 8;

impl RunMessage<'_> {
    /// As sent.
    pub fn encode(&self) -> Result<Vec<u8>, RequestTooLarge> {
        // Each list is closed by a NULL pointer in the stub's table.
        if self.programs.len() + self.arguments.len() + self.variables.len() + 3 > REQUEST_STRINGS_MAX {
            return Err(RequestTooLarge::Strings);
        }
        let mut out = Vec::with_capacity(1024);
        let counts =
            [self.programs.len(), self.arguments.len(), self.variables.len(), self.resource_limits.len()];
        out.extend(self.generation.to_ne_bytes());
        out.extend(counts.iter().flat_map(|count| (*count as u64).to_ne_bytes()));
        let entry: u64 = match self.cgroup_entry {
            CgroupEntry::Tasks => 1,
            CgroupEntry::CloneInto => 2,
            CgroupEntry::None => 3,
        };
        out.extend(entry.to_ne_bytes());
        out.extend(self.disk_bytes.to_ne_bytes());
        out.extend((self.listeners.len() as u64).to_ne_bytes());
        for limit in self.resource_limits.iter().take(RESOURCE_LIMITS_MAX) {
            out.extend(
                [u64::from(limit.resource), limit.soft, limit.hard]
                    .iter()
                    .flat_map(|word| word.to_ne_bytes()),
            );
        }
        out.extend(self.listeners.iter().flat_map(|listener| listener.to_word().to_ne_bytes()));
        let variables = self.variables.iter().map(String::as_str);
        for text in self.programs.iter().chain(self.arguments).copied().chain(variables) {
            if text.contains('\0') {
                return Err(RequestTooLarge::Nul);
            }
            out.extend(text.as_bytes());
            out.push(0);
        }
        if out.len() > REQUEST_BYTES_MAX { Err(RequestTooLarge::Bytes) } else { Ok(out) }
    }
}

/// The fixed part of a received [`RunMessage`].
#[derive(Debug)]
pub struct RunHeader {
    /// The cage it is meant for.
    pub generation: u64,
    /// Strings in each of the three lists.
    pub counts: [usize; 3],
    /// For setrlimit; the first `resource_limits_len`.
    pub resource_limits: [ResourceLimit; RESOURCE_LIMITS_MAX],
    /// How many.
    pub resource_limits_len: usize,
    /// What the cgroup descriptors are.
    pub cgroup_entry: CgroupEntry,
    /// How large the workspace may grow.
    pub disk_bytes: u64,
    /// How many listeners there are.
    pub listeners_len: usize,
    /// Where the listeners begin, in words.
    listeners_at: usize,
    /// Where the strings begin.
    pub strings_at: usize,
}

impl RunHeader {
    /// Reads the fixed part and checks that the promised listeners and exactly the promised strings follow, each string
    /// NUL-terminated.
    /// Allocates nothing: stubs call it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let count = |index| usize::try_from(word_at(bytes, index)?).ok();
        let counts = [count(1)?, count(2)?, count(3)?];
        let total = counts[0].checked_add(counts[1])?.checked_add(counts[2])?;
        if total.checked_add(counts.len())? > REQUEST_STRINGS_MAX {
            return None;
        }
        let resource_limits_len = count(4)?;
        let cgroup_entry = match word_at(bytes, 5)? {
            1 => CgroupEntry::Tasks,
            2 => CgroupEntry::CloneInto,
            3 => CgroupEntry::None,
            _ => return None,
        };
        let mut resource_limits = [ResourceLimit::default(); RESOURCE_LIMITS_MAX];
        for (index, limit) in resource_limits.get_mut(..resource_limits_len)?.iter_mut().enumerate() {
            let first = RUN_HEADER_WORDS + 3 * index;
            limit.resource = word_at(bytes, first)?.try_into().ok()?;
            limit.soft = word_at(bytes, first + 1)?;
            limit.hard = word_at(bytes, first + 2)?;
        }
        let listeners_len = count(7)?;
        if listeners_len > LISTENERS_MAX {
            return None;
        }
        let listeners_at = RUN_HEADER_WORDS + 3 * resource_limits_len;
        let mut listeners = listeners_at..listeners_at + listeners_len;
        if !listeners.all(|index| word_at(bytes, index).and_then(Listener::from_word).is_some()) {
            return None;
        }
        let strings_at = (listeners_at + listeners_len) * WORD;
        let strings = bytes.get(strings_at..)?;
        let terminated = strings.last().is_none_or(|last| *last == 0);
        if !terminated || strings.iter().filter(|byte| **byte == 0).count() != total {
            return None;
        }
        Some(Self {
            generation: word_at(bytes, 0)?,
            counts,
            resource_limits,
            resource_limits_len,
            cgroup_entry,
            disk_bytes: word_at(bytes, 6)?,
            listeners_len,
            listeners_at,
            strings_at,
        })
    }
}

impl RunHeader {
    /// The listeners in `bytes`, of which this is the header. Allocates nothing.
    pub fn listeners(&self, bytes: &[u8]) -> impl Iterator<Item = Listener> {
        (0..self.listeners_len)
            .filter_map(move |index| word_at(bytes, self.listeners_at + index).and_then(Listener::from_word))
    }
}

#[cfg(test)]
mod tests;
