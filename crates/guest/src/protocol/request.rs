//! What a cage is asked to run.

use std::net::Ipv4Addr;

use rollcage_sys::child::{CGROUPS_MAX, RESOURCE_LIMITS_MAX, ResourceLimit};

use crate::protocol::words::{WORD, word_at};

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

/// A request as the stub receives it; carries [`RUN_DESCRIPTORS_FIXED`] descriptors and those of the cgroups.
///
/// Layout: the words `generation, programs, arguments, variables, limits, entry, disk, listeners, branches`, then for each limit the
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
    /// Whether the program may be branched; its cage then stays for its branches.
    pub branches: bool,
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

/// Words before the limits.
pub(super) const RUN_HEADER_WORDS: usize = 9;

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
        out.extend(u64::from(self.branches).to_ne_bytes());
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
    /// See [`RunMessage::branches`].
    pub branches: bool,
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
            branches: match word_at(bytes, 8)? {
                0 => false,
                1 => true,
                _ => return None,
            },
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
