//! A group whose files are not held open: that of a tree which lives long and is looked at rarely. Thousands of those would
//! otherwise hold every descriptor that a process may have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcage_types::{ByteSize, Limits};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};

use super::file::GroupFile;
use super::{Account, Counters, GroupError, Hierarchy, SlotCgroup, Start, v2};

/// A group by its name.
#[derive(Clone, Debug)]
pub(crate) struct RestingGroup {
    hierarchy: Hierarchy,
    name: PathBuf,
    /// What the tree in it began with.
    start: Start,
}

impl RestingGroup {
    /// The group `name` below every root of the hierarchy. It need not be there yet.
    pub(crate) fn new(hierarchy: &Hierarchy, name: PathBuf) -> Self {
        Self { hierarchy: hierarchy.clone(), name, start: Start::default() }
    }

    /// Another whose name goes on like this.
    pub(crate) fn beside(&self, suffix: &str) -> Self {
        let mut name = self.name.clone().into_os_string();
        name.push(suffix);
        Self { hierarchy: self.hierarchy.clone(), name: name.into(), start: Start::default() }
    }

    /// Makes it, with these limits. It must be empty. What comes back is held open for as long as a process needs it to
    /// enter.
    pub(crate) fn begin(&mut self, limits: &Limits) -> Result<SlotCgroup, GroupError> {
        let is_new = !self.members().exists();
        let mut open = SlotCgroup::create(&self.hierarchy, &self.name)?;
        if is_new {
            // Nothing has been counted in it, and version 2 counts whose limit was met.
            let own_ooms = matches!(self.hierarchy, Hierarchy::V2(_)).then_some(0);
            open.last = Some(Counters { own_ooms, ..Counters::default() });
        }
        open.begin(limits)?;
        self.start = open.start;
        Ok(open)
    }

    /// What the tree used. Final once it is dead.
    pub(crate) fn account(&self, limits: &Limits) -> Result<Account, GroupError> {
        let mut open = SlotCgroup::create(&self.hierarchy, &self.name)?;
        open.start = self.start;
        open.account(limits)
    }

    /// Processor time that was used in it, ever.
    pub(crate) fn cpu(&self) -> Result<Duration, GroupError> {
        match &self.hierarchy {
            Hierarchy::V1(roots) => {
                let used = GroupFile::open(&roots.cpuacct.join(&self.name).join("cpuacct.usage"), READ)?;
                used.number().map(Duration::from_nanos)
            }
            Hierarchy::V2(root) => {
                let used = GroupFile::open(&root.group.join(&self.name).join("cpu.stat"), READ)?;
                used.keyed_number("usage_usec").map(Duration::from_micros)
            }
        }
    }

    /// Memory charged at this moment.
    pub(crate) fn memory_now(&self) -> Result<ByteSize, GroupError> {
        memory_of(&self.hierarchy, &self.name)
    }

    /// Its processes and threads at this moment.
    pub(crate) fn tasks_now(&self) -> Result<u64, GroupError> {
        GroupFile::open(&self.members().join("pids.current"), READ)?.number()
    }

    /// Forks that were refused in it, ever.
    pub(crate) fn forks_refused(&self) -> Result<u64, GroupError> {
        GroupFile::open(&self.members().join("pids.events"), READ)?.keyed_number("max")
    }

    /// Its processes at this moment, as this process numbers them.
    pub(crate) fn processes_now(&self) -> Result<Vec<u32>, GroupError> {
        let path = self.members().join("cgroup.procs");
        let text = std::fs::read_to_string(&path).map_err(|source| GroupError {
            action: "read",
            path: path.clone(),
            source,
        })?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Ends every process in it but `spared`. One that takes longer to end than `patience` is left.
    pub(crate) fn kill(&self, spared: Option<u32>, patience: Duration) -> Result<(), GroupError> {
        const PAUSE: Duration = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        loop {
            let mut members = self.processes_now()?;
            members.retain(|member| Some(*member) != spared);
            if members.is_empty() || waited > patience {
                return Ok(());
            }
            for member in members.iter().filter_map(|member| Pid::from_raw(i32::try_from(*member).ok()?)) {
                // It ended meanwhile.
                let _sent = kill_process(member, Signal::KILL);
            }
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }

    /// Removes it if nobody is left in it.
    pub(crate) fn try_remove(&self) -> bool {
        let inner = match &self.hierarchy {
            Hierarchy::V1(_) => None,
            Hierarchy::V2(root) => Some(root.group.join(&self.name).join(v2::INNER)),
        };
        let outer = self.hierarchy.roots().into_iter().map(|root| root.join(&self.name));
        let gone = |path: PathBuf| match std::fs::remove_dir(path) {
            Ok(()) => true,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        inner.into_iter().chain(outer).map(gone).fold(true, |all, one| all & one)
    }

    /// The group with the pids controller, which processes are in.
    fn members(&self) -> PathBuf {
        match &self.hierarchy {
            Hierarchy::V1(roots) => roots.pids.join(&self.name),
            Hierarchy::V2(root) => root.group.join(&self.name).join(v2::INNER),
        }
    }
}

const READ: OFlags = OFlags::RDONLY;

/// Memory charged at this moment to the group `name` and all below it.
pub(crate) fn memory_of(hierarchy: &Hierarchy, name: &Path) -> Result<ByteSize, GroupError> {
    let path = match hierarchy {
        Hierarchy::V1(roots) => roots.memory.join(name).join("memory.usage_in_bytes"),
        Hierarchy::V2(root) => root.group.join(name).join("memory.current"),
    };
    GroupFile::open(&path, READ)?.number().map(ByteSize::bytes)
}

/// The least limit on memory of the group `name` and those above it; `None` if there is none, or none that can be read.
pub(crate) fn memory_limit_of(hierarchy: &Hierarchy, name: &Path) -> Option<ByteSize> {
    /// What stands for no limit in version 1 is this or more.
    const NONE_FROM: u64 = 1 << 62;
    match hierarchy {
        Hierarchy::V1(roots) => {
            let path = roots.memory.join(name).join("memory.stat");
            let text = std::fs::read_to_string(path).ok()?;
            let limit = text.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit "))?;
            limit.parse().ok().filter(|bytes| *bytes < NONE_FROM).map(ByteSize::bytes)
        }
        Hierarchy::V2(root) => {
            let group = root.group.join(name);
            let limits = group.ancestors().filter_map(|above| {
                std::fs::read_to_string(above.join("memory.max")).ok()?.trim().parse().ok()
            });
            limits.min().map(ByteSize::bytes)
        }
    }
}
