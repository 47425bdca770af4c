//! Control groups: what limits a tree's memory and tasks and counts its CPU time.
//!
//! Version 1 controllers, version 2, and the mix of both are found by [`Hierarchy::detect`]. Each slot owns one
//! group, reused from run to run, because attaching to a held descriptor is cheaper than making a group. Counters that
//! cannot be reset are read as differences.

mod detect;
mod file;
#[cfg(test)]
mod real;
mod remove;
mod resting;
mod v1;
mod v2;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcage_guest::protocol::CgroupEntry;
use rollcage_types::{ByteSize, Limits};
use rustix::io::Errno;

pub(crate) use detect::Hierarchy;
pub(crate) use remove::remove_tree;
pub(crate) use resting::{RestingGroup, memory_limit_of, memory_of};

/// What a slot's group counted. CPU time and events only ever grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) cpu: Duration,
    pub(crate) oom_kills: u64,
    /// Times the group's own memory limit was why; `None` where only the peak can tell.
    pub(crate) own_ooms: Option<u64>,
    pub(crate) forks_refused: u64,
    pub(crate) memory_peak: u64,
    pub(crate) processes_peak: u32,
}

/// What a run found when it began.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    counters: Counters,
    /// Memory that an earlier run left charged: page cache, kernel objects not yet freed.
    memory_left: u64,
}

/// What the kernel refused a tree, and in whose name. It counts for a group what a limit above it, or the whole
/// machine's end of memory, did there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusals {
    None,
    ByOwnLimit,
    FromAbove,
}

impl Refusals {
    const fn of(count: u64, own: bool) -> Self {
        match (count, own) {
            (0, _) => Self::None,
            (_, true) => Self::ByOwnLimit,
            (_, false) => Self::FromAbove,
        }
    }
}

/// What one run used, as far as its group knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) cpu: Duration,
    pub(crate) oom_kills: Refusals,
    pub(crate) forks_refused: Refusals,
    pub(crate) memory: ByteSize,
    pub(crate) processes: u32,
}

impl Account {
    fn since(start: &Start, now: &Counters, limits: &Limits) -> Self {
        /// The kernel kills for want of no more than eight pages at once, so a limit that was the cause was this near.
        const NEAR: u64 = 1024 * 1024;
        let before = &start.counters;
        let memory_is_own = match (before.own_ooms, now.own_ooms) {
            (Some(before), Some(now)) => now > before,
            (None, _) | (_, None) => now.memory_peak.saturating_add(NEAR) >= limits.memory.as_u64(),
        };
        // A kernel that tells no peak leaves the cage's own limit as the likelier one.
        let processes_are_own = now.processes_peak == 0 || now.processes_peak >= limits.processes;
        // A peak that did not rise may be an earlier run's: unknown is honest, an old number is not.
        let memory_rose = now.memory_peak > before.memory_peak;
        Self {
            cpu: now.cpu.saturating_sub(before.cpu),
            oom_kills: Refusals::of(now.oom_kills.saturating_sub(before.oom_kills), memory_is_own),
            forks_refused: Refusals::of(
                now.forks_refused.saturating_sub(before.forks_refused),
                processes_are_own,
            ),
            memory: ByteSize::bytes(if memory_rose {
                now.memory_peak.saturating_sub(start.memory_left)
            } else {
                0
            }),
            processes: if now.processes_peak > before.processes_peak { now.processes_peak } else { 0 },
        }
    }
}

/// The group of one slot.
#[derive(Debug)]
pub(crate) struct SlotCgroup {
    version: Version,
    start: Start,
    /// Counters at the last account. Nothing is counted while the group is empty, so they are also what the next run
    /// begins with. `None` if the last run was not accounted for.
    last: Option<Counters>,
    limits: Option<(ByteSize, u32)>,
}

#[derive(Debug)]
enum Version {
    V1(v1::Group),
    V2(v2::Group),
}

impl SlotCgroup {
    /// Makes the group `name` below every root of the hierarchy.
    pub(crate) fn create(hierarchy: &Hierarchy, name: &Path) -> Result<Self, GroupError> {
        let version = match hierarchy {
            Hierarchy::V1(roots) => Version::V1(v1::Group::create(roots, name)?),
            Hierarchy::V2(root) => Version::V2(v2::Group::create(&root.group, name)?),
        };
        Ok(Self { version, start: Start::default(), last: None, limits: None })
    }

    /// How a program enters, and the descriptors it needs for that. Being cloned into a group takes a right to it that a
    /// launcher without root has not, and a system call that containers refuse; a descriptor that we opened carries our
    /// right. `may_be_cloned` says that neither is in the way.
    pub(crate) fn entry(&self, may_be_cloned: bool) -> (CgroupEntry, Vec<BorrowedFd<'_>>) {
        match &self.version {
            Version::V1(group) => (CgroupEntry::Tasks, group.tasks()),
            Version::V2(group) if may_be_cloned => (CgroupEntry::CloneInto, vec![group.directory()]),
            Version::V2(group) => (CgroupEntry::Tasks, vec![group.procs()]),
        }
    }

    /// Memory charged at this moment.
    pub(crate) fn memory_now(&self) -> Result<ByteSize, GroupError> {
        match &self.version {
            Version::V1(group) => group.memory_now(),
            Version::V2(group) => group.memory_now(),
        }
        .map(ByteSize::bytes)
    }

    /// Sets the limits and the counters' starting values. The group must be empty.
    pub(crate) fn begin(&mut self, limits: &Limits) -> Result<(), GroupError> {
        let wanted = (limits.memory, limits.processes);
        // Whatever fails below, the next run relies on neither of these.
        let (last, set) = (self.last.take(), self.limits.take());
        let kept = match &mut self.version {
            Version::V1(group) => group.renew(last)?,
            Version::V2(group) => group.renew(last)?,
        };
        if set != Some(wanted) {
            match &mut self.version {
                Version::V1(group) => group.limit(limits)?,
                Version::V2(group) => group.limit(limits)?,
            }
        }
        self.start = match &mut self.version {
            Version::V1(group) => group.begin(kept)?,
            Version::V2(group) => group.begin(kept)?,
        };
        self.limits = Some(wanted);
        Ok(())
    }

    /// Counts CPU time of the current run from now on.
    pub(crate) fn restart_clock(&mut self) -> Result<(), GroupError> {
        self.start.counters.cpu = match &self.version {
            Version::V1(group) => group.cpu()?,
            Version::V2(group) => group.cpu()?,
        };
        Ok(())
    }

    /// CPU time of the current run so far.
    pub(crate) fn cpu_so_far(&self) -> Result<Duration, GroupError> {
        let now = match &self.version {
            Version::V1(group) => group.cpu()?,
            Version::V2(group) => group.cpu()?,
        };
        Ok(now.saturating_sub(self.start.counters.cpu))
    }

    /// What the current run used. Final once its tree is dead.
    pub(crate) fn account(&mut self, limits: &Limits) -> Result<Account, GroupError> {
        let now = match &self.version {
            Version::V1(group) => group.counters()?,
            Version::V2(group) => group.counters()?,
        };
        self.last = Some(now);
        Ok(Account::since(&self.start, &now, limits))
    }
}

/// A step on a group's files that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`")]
pub(crate) struct GroupError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    #[source]
    pub(crate) source: std::io::Error,
}

impl GroupError {
    fn new(action: &'static str, path: &Path, errno: Errno) -> Self {
        Self { action, path: path.to_owned(), source: errno.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn check(before: Counters, now: Counters, expected: (Refusals, Refusals, u64)) {
        let start = Start { counters: before, memory_left: before.memory_peak / 5 };
        let limits = Limits { memory: ByteSize::mib(64), processes: 8, ..Limits::default() };
        let account = Account::since(&start, &now, &limits);
        assert_eq!((account.oom_kills, account.forks_refused, account.memory.as_u64()), expected, "{now:?}");
    }

    #[test]
    fn a_refusal_is_the_limits_own_only_if_the_limit_was_met() {
        use Refusals::{ByOwnLimit, FromAbove, None as Nothing};
        let calm = Counters::default();
        let now = |memory_peak, processes_peak| Counters {
            oom_kills: 1,
            forks_refused: 1,
            memory_peak,
            processes_peak,
            ..calm
        };
        check(calm, calm, (Nothing, Nothing, 0));
        check(calm, now(64 * MIB, 8), (ByOwnLimit, ByOwnLimit, 64 * MIB));
        check(calm, now(40 * MIB, 7), (FromAbove, FromAbove, 40 * MIB));
        check(calm, now(40 * MIB, 0), (FromAbove, ByOwnLimit, 40 * MIB));
        // Where the kernel says whose limit it was, the peak is not asked.
        let telling = |own_ooms, counters| Counters { own_ooms: Some(own_ooms), ..counters };
        check(telling(3, calm), telling(3, now(64 * MIB, 8)), (FromAbove, ByOwnLimit, 64 * MIB));
        check(telling(3, calm), telling(4, now(40 * MIB, 8)), (ByOwnLimit, ByOwnLimit, 40 * MIB));
    }

    #[test]
    fn an_earlier_peak_is_not_this_runs_figure() {
        let before = Counters { memory_peak: 50 * MIB, ..Counters::default() };
        let peak = |memory_peak| Counters { memory_peak, ..before };
        check(before, peak(50 * MIB), (Refusals::None, Refusals::None, 0));
        check(before, peak(51 * MIB), (Refusals::None, Refusals::None, 41 * MIB));
    }
}
