//! What a run uses: counted and limited by the kernel's control groups, or looked at from outside.

mod bystanders;
mod process_table;
mod sampled;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rollcage_guest::protocol::{CgroupEntry, Ended};
use rollcage_types::{ByteSize, LimitKind, Limits};

use crate::cgroup::{Account, GroupError, SlotCgroup};
use crate::outcome::over_cpu;
pub(crate) use bystanders::Bystanders;
use sampled::Sampled;

/// A tree close to its CPU limit is looked at this often; the limit is exact to this much per processor.
const CPU_CHECK_MIN: Duration = Duration::from_millis(5);
/// A tree without a group is looked at this often: what it may take beyond its limits is what it can take meanwhile.
const SAMPLE_PERIOD: Duration = Duration::from_millis(10);

/// How one slot's runs are accounted for.
#[derive(Debug)]
pub(crate) enum Accounts {
    /// By the slot's control group.
    Group(Box<SlotCgroup>),
    /// By looking at its processes.
    Sampled(Sampled),
}

impl Accounts {
    /// For a host without groups.
    pub(crate) fn sampled() -> Self {
        Self::Sampled(Sampled::default())
    }

    /// How a program enters its group, and the descriptors it needs for that. See [`SlotCgroup::entry`].
    pub(crate) fn entry(&self, may_be_cloned: bool) -> (CgroupEntry, Vec<BorrowedFd<'_>>) {
        match self {
            Self::Group(group) => group.entry(may_be_cloned),
            Self::Sampled(_) => (CgroupEntry::None, Vec::new()),
        }
    }

    /// Sets the limits and the counters' starting values. `stub` is the process below which the tree will grow.
    pub(crate) fn begin(&mut self, limits: &Limits, stub: Option<u32>) -> Result<(), GroupError> {
        match self {
            Self::Group(group) => group.begin(limits),
            Self::Sampled(sampled) => {
                sampled.begin(stub);
                Ok(())
            }
        }
    }

    /// Counts processor time from now on. Where no group counts it, it is counted from the start.
    pub(crate) fn restart_clock(&mut self) -> Result<(), GroupError> {
        match self {
            Self::Group(group) => group.restart_clock(),
            Self::Sampled(_) => Ok(()),
        }
    }

    /// Memory of the tree at this moment, if a group counts it.
    pub(crate) fn memory_now(&self) -> Option<ByteSize> {
        match self {
            Self::Group(group) => group.memory_now().ok(),
            Self::Sampled(_) => None,
        }
    }

    /// How long after its start a tree is first worth a look: no limit can be reached sooner.
    pub(crate) fn first_look(&self, limits: &Limits, processors: u32) -> Duration {
        match self {
            // With every processor busy.
            Self::Group(_) => limits.cpu_time / processors.max(1),
            Self::Sampled(_) => SAMPLE_PERIOD,
        }
    }

    /// Looks at a running tree: the limit it has exceeded, or when to look again.
    pub(crate) fn look(&mut self, limits: &Limits, processors: u32) -> Result<Look, GroupError> {
        match self {
            Self::Group(group) => {
                let used = group.cpu_so_far()?;
                Ok(if over_cpu(used, limits) {
                    Look::Exceeded(LimitKind::CpuTime)
                } else {
                    let left = limits.cpu_time.saturating_sub(used) / processors.max(1);
                    Look::Again(left.max(CPU_CHECK_MIN))
                })
            }
            Self::Sampled(sampled) => {
                Ok(sampled.look(limits).map_or(Look::Again(SAMPLE_PERIOD), Look::Exceeded))
            }
        }
    }

    /// What the current run used. Final once its tree is dead.
    pub(crate) fn account(&mut self, limits: &Limits, ended: Option<&Ended>) -> Result<Account, GroupError> {
        match self {
            Self::Group(group) => group.account(limits),
            Self::Sampled(sampled) => Ok(sampled.account(limits, ended)),
        }
    }
}

/// What a look at a running tree found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is over this limit.
    Exceeded(LimitKind),
    /// It is not, and cannot be before this much time has passed.
    Again(Duration),
}
