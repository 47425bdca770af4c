//! Version 2: one group in the unified hierarchy.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rollcage_types::Limits;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::file::GroupFile;
use super::{Counters, GroupError, Start};

#[derive(Debug)]
pub(super) struct Group {
    directory: OwnedFd,
    memory_max: GroupFile,
    swap_max: Option<GroupFile>,
    memory_events: GroupFile,
    memory_current: GroupFile,
    /// Since Linux 5.19. Since 6.12 a write makes it count anew, for readers of this descriptor.
    memory_peak: Option<GroupFile>,
    pids_max: GroupFile,
    pids_events: GroupFile,
    /// Since Linux 6.1.
    pids_peak: Option<GroupFile>,
    cpu: GroupFile,
}

/// Controllers the program's group needs, as `cgroup.subtree_control` takes them.
const CONTROLLERS: &str = "+memory +pids +cpu";

/// Lets groups below `path` use the controllers.
fn delegate(path: &Path) -> Result<(), GroupError> {
    GroupFile::open(&path.join("cgroup.subtree_control"), OFlags::WRONLY)?.write(CONTROLLERS)
}

impl Group {
    pub(super) fn create(root: &Path, name: &Path) -> Result<Self, GroupError> {
        let path = root.join(name);
        fs::create_dir_all(&path).map_err(|source| GroupError {
            action: "create",
            path: path.clone(),
            source,
        })?;
        // Every level above the group must pass the controllers on.
        delegate(root)?;
        let mut level = root.to_owned();
        for part in name.parent().into_iter().flat_map(Path::components) {
            level.push(part);
            delegate(&level)?;
        }
        let file = |name: &str, flags| GroupFile::open(&path.join(name), flags);
        let optional = |name: &str, flags| GroupFile::open_if_there(&path.join(name), flags);
        let directory =
            openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| GroupError::new("open", &path, errno))?;
        // One program is one unit: when the kernel must kill, it kills the tree.
        file("memory.oom.group", OFlags::WRONLY)?.write("1")?;
        Ok(Self {
            directory,
            memory_max: file("memory.max", OFlags::WRONLY)?,
            swap_max: optional("memory.swap.max", OFlags::WRONLY)?,
            memory_events: file("memory.events", OFlags::RDONLY)?,
            memory_current: file("memory.current", OFlags::RDONLY)?,
            memory_peak: optional("memory.peak", OFlags::RDWR)?,
            pids_max: file("pids.max", OFlags::WRONLY)?,
            pids_events: file("pids.events", OFlags::RDONLY)?,
            pids_peak: optional("pids.peak", OFlags::RDONLY)?,
            cpu: file("cpu.stat", OFlags::RDONLY)?,
        })
    }

    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    pub(super) fn limit(&mut self, limits: &Limits) -> Result<(), GroupError> {
        if let Some(swap) = &self.swap_max {
            swap.write("0")?;
        }
        self.memory_max.write(&limits.memory.as_u64().to_string())?;
        self.pids_max.write(&limits.processes.to_string())
    }

    /// The counters a run begins with.
    pub(super) fn begin(&mut self, last: Option<Counters>) -> Result<Start, GroupError> {
        let kept = last.map_or_else(|| self.counters(), Ok)?;
        // Where the kernel refuses, the peak is that of all runs so far.
        let reset = self.memory_peak.as_ref().is_some_and(|peak| peak.try_write("reset").is_ok());
        let memory_left = self.memory_current.number()?;
        let memory_peak = if reset { memory_left } else { kept.memory_peak };
        Ok(Start { memory_left, counters: Counters { memory_peak, ..kept } })
    }

    pub(super) fn cpu(&self) -> Result<Duration, GroupError> {
        self.cpu.keyed_number("usage_usec").map(Duration::from_micros)
    }

    pub(super) fn counters(&self) -> Result<Counters, GroupError> {
        let processes = self.pids_peak.as_ref().map_or(Ok(0), GroupFile::number)?;
        Ok(Counters {
            cpu: self.cpu()?,
            oom_kills: self.memory_events.keyed_number("oom_kill")?,
            own_ooms: Some(self.memory_events.keyed_number("oom")?),
            forks_refused: self.pids_events.keyed_number("max")?,
            memory_peak: self.memory_peak.as_ref().map_or(Ok(0), GroupFile::number)?,
            processes_peak: u32::try_from(processes).unwrap_or(u32::MAX),
        })
    }
}
