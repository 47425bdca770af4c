//! What is counted: how programs began, and what became of interpreters.

use std::sync::atomic::{AtomicU64, Ordering};

use rollcage_sandbox::Mismatch;

/// Why a program of a language that has a recipe was started cold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ColdReason {
    /// Nobody wants interpreters kept ready.
    Off,
    /// The host's cages have no mounts, without which a copy would not be as a fresh start; or no control groups, without
    /// which what a spare used while it waited cannot be told from what its program did.
    Level,
    /// A copy would not do what the request asks for.
    Mismatch(Mismatch),
    /// Too few have asked for an interpreter started in this way.
    Rare,
    /// The interpreter is being started.
    Starting,
    /// The interpreter cannot be kept ready.
    Refused,
    /// The interpreter could not be started a moment ago.
    Failed,
    /// Interpreters take all the memory they may.
    Memory,
    /// The interpreter ended, or its cage failed.
    Died,
}

impl ColdReason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::Off,
        Self::Level,
        Self::Mismatch(Mismatch::Arguments),
        Self::Mismatch(Mismatch::Variables),
        Self::Mismatch(Mismatch::Stack),
        Self::Mismatch(Mismatch::NoProgram),
        Self::Mismatch(Mismatch::Content),
        Self::Mismatch(Mismatch::Base),
        Self::Mismatch(Mismatch::Limits),
        Self::Mismatch(Mismatch::Network),
        Self::Mismatch(Mismatch::Beside),
        Self::Rare,
        Self::Starting,
        Self::Refused,
        Self::Failed,
        Self::Memory,
        Self::Died,
    ];

    /// The name used in reports and counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Level => "level",
            Self::Mismatch(mismatch) => mismatch.as_str(),
            Self::Rare => "rare",
            Self::Starting => "starting",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Memory => "memory",
            Self::Died => "died",
        }
    }

    fn index(self) -> usize {
        Self::ALL.iter().position(|reason| *reason == self).unwrap_or(0)
    }
}

/// What has happened so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Programs that were copies of an interpreter.
    pub forks: u64,
    /// Programs that had been executed ahead.
    pub spares: u64,
    /// Programs that were started cold, by reason, in the order of [`ColdReason::ALL`].
    pub cold: [u64; ColdReason::ALL.len()],
    /// Interpreters that came to their fork point.
    pub started: u64,
    /// Interpreters replaced because of their age or their growth.
    pub renewed: u64,
    /// Interpreters given up because their toolchain had changed.
    pub outdated: u64,
    /// Interpreters found dead, or whose cages failed again and again.
    pub died: u64,
}

impl Counts {
    /// Programs started cold for this reason.
    pub fn cold_for(&self, reason: ColdReason) -> u64 {
        self.cold[reason.index()]
    }
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) forks: AtomicU64,
    pub(crate) spares: AtomicU64,
    cold: [AtomicU64; ColdReason::ALL.len()],
    pub(crate) started: AtomicU64,
    pub(crate) renewed: AtomicU64,
    pub(crate) outdated: AtomicU64,
    pub(crate) died: AtomicU64,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn cold(&self, reason: ColdReason) {
        count(&self.cold[reason.index()]);
    }

    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            forks: read(&self.forks),
            spares: read(&self.spares),
            cold: self.cold.each_ref().map(read),
            started: read(&self.started),
            renewed: read(&self.renewed),
            outdated: read(&self.outdated),
            died: read(&self.died),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_and_a_place_of_its_own() {
        for (index, reason) in ColdReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert!(ColdReason::ALL[..index].iter().all(|other| other.as_str() != reason.as_str()));
        }
        for mismatch in Mismatch::ALL {
            assert!(ColdReason::ALL.contains(&ColdReason::Mismatch(mismatch)));
        }
    }
}
