//! Control groups: what limits a tree's memory and tasks and counts its CPU time.
//!
//! Version 1 controllers, version 2, and the mix of both are found by [`Hierarchy::detect`]. Each slot owns one
//! group, reused from run to run, because attaching to a held descriptor is cheaper than making a group. Counters that
//! cannot be reset are read as differences.

mod detect;
mod file;
mod v1;
mod v2;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcage_guest::protocol::CgroupEntry;
use rollcage_types::{ByteSize, Limits};
use rustix::io::Errno;

pub(crate) use detect::{Hierarchy, remove_tree};

/// What a slot's group counted. CPU time and events only ever grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) cpu: Duration,
    pub(crate) oom_kills: u64,
    pub(crate) forks_refused: u64,
    pub(crate) memory_peak: u64,
    pub(crate) processes_peak: u32,
}

/// What one run used, as far as its group knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) cpu: Duration,
    pub(crate) oom_kills: u64,
    pub(crate) forks_refused: u64,
    pub(crate) memory: ByteSize,
    pub(crate) processes: u32,
}

/// The group of one slot.
#[derive(Debug)]
pub(crate) struct SlotCgroup {
    version: Version,
    /// Counters when the current run began.
    before: Counters,
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
    /// Makes the group `<base>/<block>/<slot>` in every hierarchy that matters.
    pub(crate) fn create(hierarchy: &Hierarchy, name: &Path) -> Result<Self, GroupError> {
        let version = match hierarchy {
            Hierarchy::V1(roots) => Version::V1(v1::Group::create(roots, name)?),
            Hierarchy::V2(root) => Version::V2(v2::Group::create(root, name)?),
        };
        Ok(Self { version, before: Counters::default(), last: None, limits: None })
    }

    /// How a program enters, and the descriptors it needs for that.
    pub(crate) fn entry(&self) -> (CgroupEntry, Vec<BorrowedFd<'_>>) {
        match &self.version {
            Version::V1(group) => (CgroupEntry::Tasks, group.tasks()),
            Version::V2(group) => (CgroupEntry::CloneInto, vec![group.directory()]),
        }
    }

    /// Sets the limits and the counters' starting values. The group must be empty.
    pub(crate) fn begin(&mut self, limits: &Limits) -> Result<(), GroupError> {
        let wanted = (limits.memory, limits.processes);
        if self.limits != Some(wanted) {
            self.limits = None;
            match &mut self.version {
                Version::V1(group) => group.limit(limits)?,
                Version::V2(group) => group.limit(limits)?,
            }
            self.limits = Some(wanted);
        }
        let last = self.last.take().map_or_else(|| self.counters(), Ok)?;
        self.before = match &mut self.version {
            Version::V1(group) => group.begin(last)?,
            Version::V2(group) => group.begin(last)?,
        };
        Ok(())
    }

    /// CPU time of the current run so far.
    pub(crate) fn cpu_so_far(&self) -> Result<Duration, GroupError> {
        let now = match &self.version {
            Version::V1(group) => group.cpu()?,
            Version::V2(group) => group.cpu()?,
        };
        Ok(now.saturating_sub(self.before.cpu))
    }

    /// What the current run used. Final once its tree is dead.
    pub(crate) fn account(&mut self) -> Result<Account, GroupError> {
        let now = self.counters()?;
        self.last = Some(now);
        Ok(Account {
            cpu: now.cpu.saturating_sub(self.before.cpu),
            oom_kills: now.oom_kills.saturating_sub(self.before.oom_kills),
            forks_refused: now.forks_refused.saturating_sub(self.before.forks_refused),
            memory: ByteSize::bytes(now.memory_peak.saturating_sub(self.before.memory_peak)),
            // A peak that did not rise may be an earlier run's: unknown is honest, an old number is not.
            processes: if now.processes_peak > self.before.processes_peak { now.processes_peak } else { 0 },
        })
    }

    fn counters(&self) -> Result<Counters, GroupError> {
        match &self.version {
            Version::V1(group) => group.counters(),
            Version::V2(group) => group.counters(),
        }
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
