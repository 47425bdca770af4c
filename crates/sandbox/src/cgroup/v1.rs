//! Version 1: one group in each of three hierarchies.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcage_types::Limits;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::detect::V1Roots;
use super::file::GroupFile;
use super::remove::remove_emptied;
use super::{Counters, GroupError, Start};

#[derive(Debug)]
pub(super) struct Group {
    memory: MemoryGroup,
    pids: PidsGroup,
    cpu: CpuGroup,
}

#[derive(Debug)]
struct MemoryGroup {
    tasks: GroupFile,
    limit: GroupFile,
    /// Memory and swap together; absent where swap is not accounted.
    limit_with_swap: Option<GroupFile>,
    peak: GroupFile,
    usage: GroupFile,
    events: GroupFile,
    reclaim: GroupFile,
}

#[derive(Debug)]
struct PidsGroup {
    path: PathBuf,
    tasks: GroupFile,
    max: GroupFile,
    events: GroupFile,
    /// Since Linux 6.11; it cannot be reset.
    peak: Option<GroupFile>,
    /// The limit last set, for when the group is made anew.
    max_set: u32,
}

#[derive(Debug)]
struct CpuGroup {
    tasks: GroupFile,
    usage: GroupFile,
}

const READ: OFlags = OFlags::RDONLY;
const WRITE: OFlags = OFlags::WRONLY;

fn make(root: &Path, name: &Path) -> Result<PathBuf, GroupError> {
    let path = root.join(name);
    fs::create_dir_all(&path).map_err(|source| GroupError {
        action: "create",
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

impl Group {
    pub(super) fn create(roots: &V1Roots, name: &Path) -> Result<Self, GroupError> {
        let memory = make(&roots.memory, name)?;
        let cpu = make(&roots.cpuacct, name)?;
        Ok(Self {
            memory: MemoryGroup {
                tasks: GroupFile::open(&memory.join("tasks"), WRITE)?,
                limit: GroupFile::open(&memory.join("memory.limit_in_bytes"), WRITE)?,
                limit_with_swap: GroupFile::open_if_there(
                    &memory.join("memory.memsw.limit_in_bytes"),
                    WRITE,
                )?,
                peak: GroupFile::open(&memory.join("memory.max_usage_in_bytes"), OFlags::RDWR)?,
                usage: GroupFile::open(&memory.join("memory.usage_in_bytes"), READ)?,
                events: GroupFile::open(&memory.join("memory.oom_control"), READ)?,
                reclaim: GroupFile::open(&memory.join("memory.force_empty"), WRITE)?,
            },
            pids: PidsGroup::open(make(&roots.pids, name)?)?,
            cpu: CpuGroup {
                tasks: GroupFile::open(&cpu.join("tasks"), WRITE)?,
                usage: GroupFile::open(&cpu.join("cpuacct.usage"), READ)?,
            },
        })
    }

    pub(super) fn tasks(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.memory.tasks.fd(), self.pids.tasks.fd(), self.cpu.tasks.fd()]
    }

    pub(super) fn limit(&mut self, limits: &Limits) -> Result<(), GroupError> {
        self.memory.limit(limits.memory.as_u64())?;
        self.pids.limit(limits.processes)
    }

    /// Makes sure that the peak of processes is the next run's, and gives the counters it begins with. The peak cannot be
    /// reset, so a group that has had more than one task is replaced, and so is one of which nothing is known. Most runs are
    /// a single task and keep theirs.
    pub(super) fn renew(&mut self, last: Option<Counters>) -> Result<Counters, GroupError> {
        let kept = match last {
            Some(last) if last.processes_peak <= 1 => last,
            Some(last) => {
                self.pids.make_anew()?;
                Counters { forks_refused: 0, ..last }
            }
            None => {
                self.pids.make_anew()?;
                self.counters()?
            }
        };
        Ok(Counters { processes_peak: 0, ..kept })
    }

    /// What a run begins with, after [`Group::renew`].
    pub(super) fn begin(&mut self, kept: Counters) -> Result<Start, GroupError> {
        self.memory.peak.write("0")?;
        let memory_left = self.memory.usage.number()?;
        Ok(Start { memory_left, counters: Counters { memory_peak: memory_left, ..kept } })
    }

    pub(super) fn memory_now(&self) -> Result<u64, GroupError> {
        self.memory.usage.number()
    }

    pub(super) fn cpu(&self) -> Result<Duration, GroupError> {
        self.cpu.usage.number().map(Duration::from_nanos)
    }

    pub(super) fn counters(&self) -> Result<Counters, GroupError> {
        let processes = self.pids.peak.as_ref().map_or(Ok(0), GroupFile::number)?;
        Ok(Counters {
            cpu: self.cpu()?,
            oom_kills: self.memory.events.keyed_number("oom_kill")?,
            own_ooms: None,
            forks_refused: self.pids.events.keyed_number("max")?,
            memory_peak: self.memory.peak.number()?,
            processes_peak: u32::try_from(processes).unwrap_or(u32::MAX),
        })
    }
}

impl MemoryGroup {
    fn limit(&self, bytes: u64) -> Result<(), GroupError> {
        let text = bytes.to_string();
        // The limit with swap may never be below the one without, so which comes first depends on the direction.
        // Page cache of earlier runs may stand above a lower limit; the group is empty, so it can be dropped.
        let attempt = || match &self.limit_with_swap {
            None => self.limit.try_write(&text),
            Some(both) => match self.limit.try_write(&text) {
                Ok(()) => both.try_write(&text),
                Err(_) => both.try_write(&text).and_then(|()| self.limit.try_write(&text)),
            },
        };
        match attempt() {
            Ok(()) => Ok(()),
            Err(Errno::BUSY | Errno::INVAL) => {
                self.reclaim.write("0")?;
                if let Some(both) = &self.limit_with_swap {
                    // Either may be the one in the way: lift both, then set both.
                    both.write("-1")?;
                }
                self.limit.write(&text)?;
                self.limit_with_swap.as_ref().map_or(Ok(()), |both| both.write(&text))
            }
            Err(_) => self.limit.write(&text),
        }
    }
}

impl PidsGroup {
    fn open(path: PathBuf) -> Result<Self, GroupError> {
        Ok(Self {
            tasks: GroupFile::open(&path.join("tasks"), WRITE)?,
            max: GroupFile::open(&path.join("pids.max"), WRITE)?,
            events: GroupFile::open(&path.join("pids.events"), READ)?,
            peak: GroupFile::open_if_there(&path.join("pids.peak"), READ)?,
            path,
            max_set: 0,
        })
    }

    fn limit(&mut self, max: u32) -> Result<(), GroupError> {
        self.max.write(&max.to_string())?;
        self.max_set = max;
        Ok(())
    }

    /// If this fails half-way the group's files may be those of the removed one, and it must be called again before any is
    /// used.
    fn make_anew(&mut self) -> Result<(), GroupError> {
        remove_emptied(&self.path).map_err(|source| GroupError {
            action: "remove",
            path: self.path.clone(),
            source,
        })?;
        fs::create_dir(&self.path).map_err(|source| GroupError {
            action: "create",
            path: self.path.clone(),
            source,
        })?;
        let max = self.max_set;
        *self = Self::open(self.path.clone())?;
        self.limit(max)
    }
}
