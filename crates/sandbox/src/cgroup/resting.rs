//! A group whose files are not held open: that of a tree which lives long and is looked at rarely. Thousands of those would
//! otherwise hold every descriptor that a process may have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcage_types::{ByteSize, Limits};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

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

    /// Changes its limit on memory from one to another; whether it is changed. A lower one is not set if whoever is in it has more
    /// already.
    pub(crate) fn limit_memory(&self, from: ByteSize, to: ByteSize) -> Result<bool, GroupError> {
        // Version 2 would not refuse, but kill.
        if to < from && self.memory_now()? > to {
            return Ok(false);
        }
        match &self.hierarchy {
            Hierarchy::V1(roots) => limit_memory_v1(&roots.memory.join(&self.name), from, to),
            Hierarchy::V2(root) => set_limit(&root.group.join(&self.name).join("memory.max"), to),
        }
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

    /// Whether a fork was refused in it since it began, or since [`Self::forget_refusals`].
    pub(crate) fn has_refused_forks(&self) -> Result<bool, GroupError> {
        Ok(self.forks_refused()? > self.start.counters.forks_refused)
    }

    fn forks_refused(&self) -> Result<u64, GroupError> {
        GroupFile::open(&self.members().join("pids.events"), READ)?.keyed_number("max")
    }

    /// What was refused so far says nothing of what comes.
    pub(crate) fn forget_refusals(&mut self) -> Result<(), GroupError> {
        let (file, tells_own) = match &self.hierarchy {
            Hierarchy::V1(roots) => (roots.memory.join(&self.name).join("memory.oom_control"), false),
            Hierarchy::V2(root) => (root.group.join(&self.name).join("memory.events"), true),
        };
        let events = GroupFile::open(&file, READ)?;
        let counters = &mut self.start.counters;
        counters.oom_kills = events.keyed_number("oom_kill")?;
        counters.own_ooms = tells_own.then(|| events.keyed_number("oom")).transpose()?;
        self.start.counters.forks_refused = self.forks_refused()?;
        Ok(())
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

    /// Ends every process in it but `spared`. That one takes longer to end than `patience` is an error.
    pub(crate) fn kill(&self, spared: Option<u32>, patience: Duration) -> Result<(), GroupError> {
        const PAUSE: Duration = Duration::from_millis(1);
        let mut waited = Duration::ZERO;
        loop {
            let mut members = self.processes_now()?;
            members.retain(|member| Some(*member) != spared);
            if members.is_empty() {
                return Ok(());
            }
            if waited > patience {
                return Err(GroupError::new("end the members of", &self.members(), Errno::TIMEDOUT));
            }
            self.signal(&members, Signal::KILL)?;
            std::thread::sleep(PAUSE);
            waited += PAUSE;
        }
    }

    /// Sends a signal to those of `processes` that are in it, and to nobody else, whatever the numbers mean by now.
    pub(crate) fn signal(&self, processes: &[u32], signal: Signal) -> Result<(), GroupError> {
        /// Held open at once.
        const HANDLES: usize = 64;
        for some in processes.chunks(HANDLES) {
            let mut handles = Vec::with_capacity(some.len());
            for process in some {
                let Some(pid) = i32::try_from(*process).ok().and_then(Pid::from_raw) else { continue };
                match pidfd_open(pid, PidfdFlags::empty()) {
                    Ok(handle) => handles.push((*process, handle)),
                    Err(Errno::SRCH) => {}
                    Err(errno) => return Err(GroupError::new("look up members of", &self.members(), errno)),
                }
            }
            // Whoever has a number that is in the group now is the one that was opened, or that one is gone.
            let members = self.processes_now()?;
            for (process, handle) in handles.iter().filter(|(process, _)| members.contains(process)) {
                match pidfd_send_signal(handle, signal) {
                    // It ended by itself in the meantime.
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(errno) => {
                        let path = PathBuf::from(format!("/proc/{process}"));
                        return Err(GroupError::new("send a signal to", &path, errno));
                    }
                }
            }
        }
        Ok(())
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

/// Sets both limits, of which the one with swap may never be below the one without.
fn limit_memory_v1(group: &Path, from: ByteSize, to: ByteSize) -> Result<bool, GroupError> {
    let (without, with) = (group.join("memory.limit_in_bytes"), group.join("memory.memsw.limit_in_bytes"));
    let (first, second) = match (with.exists(), to > from) {
        (false, _) => return set_limit(&without, to),
        (true, true) => (with, without),
        (true, false) => (without, with),
    };
    if !set_limit(&first, to)? {
        return Ok(false);
    }
    let both = set_limit(&second, to)?;
    if !both {
        set_limit(&first, from)?;
    }
    Ok(both)
}

/// Whether it is set: it is not if more is used, and cannot be freed.
fn set_limit(file: &Path, limit: ByteSize) -> Result<bool, GroupError> {
    match GroupFile::open(file, OFlags::WRONLY)?.try_write(&limit.as_u64().to_string()) {
        Ok(()) => Ok(true),
        Err(Errno::BUSY) => Ok(false),
        Err(errno) => Err(GroupError::new("write", file, errno)),
    }
}

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
