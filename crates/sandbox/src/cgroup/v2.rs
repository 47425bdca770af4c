//! Version 2: two groups in the unified hierarchy, one inside the other.
//!
//! The outer one holds memory and processor time. Programs are in the inner one, which has the pids controller alone:
//! the peak of processes cannot be reset, and this one is made anew for a tenth of what a memory group costs.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcage_types::Limits;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::file::GroupFile;
use super::remove::remove_emptied;
use super::{Counters, GroupError, Start};

#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
    memory: MemoryGroup,
    pids: PidsGroup,
    cpu: GroupFile,
}

#[derive(Debug)]
struct MemoryGroup {
    max: GroupFile,
    swap_max: Option<GroupFile>,
    events: GroupFile,
    current: GroupFile,
    peak: MemoryPeak,
    /// The limit last set, for when the group is made anew.
    max_set: Option<u64>,
}

/// `memory.peak`, which came with Linux 5.19.
#[derive(Debug)]
enum MemoryPeak {
    /// Since Linux 6.12 a write makes it count anew, for readers of the descriptor written to.
    Resettable(GroupFile),
    Grows(GroupFile),
    Missing,
}

#[derive(Debug)]
struct PidsGroup {
    path: PathBuf,
    directory: OwnedFd,
    procs: GroupFile,
    max: GroupFile,
    events: GroupFile,
    /// Since Linux 6.1.
    peak: Option<GroupFile>,
    /// As in the memory group.
    max_set: Option<u32>,
}

/// Controllers of a slot, as `cgroup.subtree_control` takes them.
const CONTROLLERS: &str = "+memory +pids +cpu";
/// The controller of the group that programs are in.
const INNER_CONTROLLERS: &str = "+pids";
/// That group's name below the slot's.
pub(super) const INNER: &str = "run";

const READ: OFlags = OFlags::RDONLY;
const WRITE: OFlags = OFlags::WRONLY;

/// Lets groups below `path` use the controllers.
fn delegate(path: &Path, controllers: &str) -> Result<(), GroupError> {
    GroupFile::open(&path.join("cgroup.subtree_control"), WRITE)?.write(controllers)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> GroupError {
    move |source| GroupError { action, path: path.to_owned(), source }
}

impl Group {
    pub(super) fn create(root: &Path, name: &Path) -> Result<Self, GroupError> {
        let path = root.join(name);
        fs::create_dir_all(&path).map_err(failed("create", &path))?;
        // Every level above the group must pass the controllers on.
        delegate(root, CONTROLLERS)?;
        let mut level = root.to_owned();
        for part in name.parent().into_iter().flat_map(Path::components) {
            level.push(part);
            delegate(&level, CONTROLLERS)?;
        }
        Self::open(path)
    }

    /// Opens the group at `path` and makes the one inside it.
    fn open(path: PathBuf) -> Result<Self, GroupError> {
        delegate(&path, INNER_CONTROLLERS)?;
        let inner = path.join(INNER);
        fs::create_dir_all(&inner).map_err(failed("create", &inner))?;
        Ok(Self {
            memory: MemoryGroup::open(&path)?,
            pids: PidsGroup::open(inner)?,
            cpu: GroupFile::open(&path.join("cpu.stat"), READ)?,
            path,
        })
    }

    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.pids.directory.as_fd()
    }

    /// The file by which a process moves itself in.
    pub(super) fn procs(&self) -> BorrowedFd<'_> {
        self.pids.procs.fd()
    }

    pub(super) fn limit(&mut self, limits: &Limits) -> Result<(), GroupError> {
        self.memory.limit(limits.memory.as_u64())?;
        self.pids.limit(limits.processes)
    }

    /// Makes sure that the peaks of the next run are its own, and gives the counters it begins with. Of two groups those are
    /// replaced whose peak is an earlier run's and cannot be reset, and both if nothing is known of the last run.
    pub(super) fn renew(&mut self, last: Option<Counters>) -> Result<Counters, GroupError> {
        let kept = match (last, &self.memory.peak) {
            (None, _) | (_, MemoryPeak::Grows(_)) => {
                self.make_anew()?;
                self.counters()?
            }
            (Some(last), MemoryPeak::Resettable(_) | MemoryPeak::Missing) if last.processes_peak <= 1 => last,
            (Some(last), MemoryPeak::Resettable(_) | MemoryPeak::Missing) => {
                self.pids.make_anew()?;
                Counters { forks_refused: 0, ..last }
            }
        };
        Ok(Counters { processes_peak: 0, ..kept })
    }

    /// What a run begins with, after [`Group::renew`].
    pub(super) fn begin(&mut self, kept: Counters) -> Result<Start, GroupError> {
        let memory_left = self.memory.begin()?;
        Ok(Start { memory_left, counters: Counters { memory_peak: memory_left, ..kept } })
    }

    pub(super) fn memory_now(&self) -> Result<u64, GroupError> {
        self.memory.current.number()
    }

    pub(super) fn cpu(&self) -> Result<Duration, GroupError> {
        self.cpu.keyed_number("usage_usec").map(Duration::from_micros)
    }

    pub(super) fn counters(&self) -> Result<Counters, GroupError> {
        let processes = self.pids.peak.as_ref().map_or(Ok(0), GroupFile::number)?;
        Ok(Counters {
            cpu: self.cpu()?,
            oom_kills: self.memory.events.keyed_number("oom_kill")?,
            own_ooms: Some(self.memory.events.keyed_number("oom")?),
            forks_refused: self.pids.events.keyed_number("max")?,
            memory_peak: self.memory.peak()?,
            processes_peak: u32::try_from(processes).unwrap_or(u32::MAX),
        })
    }

    /// If this fails half-way the groups' files may be those of removed ones, and it must be called again before any is
    /// used.
    fn make_anew(&mut self) -> Result<(), GroupError> {
        let limits = (self.memory.max_set, self.pids.max_set);
        for path in [&self.pids.path, &self.path] {
            remove_emptied(path).map_err(failed("remove", path))?;
        }
        fs::create_dir(&self.path).map_err(failed("create", &self.path))?;
        *self = Self::open(self.path.clone())?;
        if let (Some(memory), Some(processes)) = limits {
            self.memory.limit(memory)?;
            self.pids.limit(processes)?;
        }
        Ok(())
    }
}

impl MemoryGroup {
    fn open(path: &Path) -> Result<Self, GroupError> {
        let file = |name: &str, flags| GroupFile::open(&path.join(name), flags);
        // One program is one unit: when the kernel must kill, it kills the tree.
        file("memory.oom.group", WRITE)?.write("1")?;
        let peak = path.join("memory.peak");
        let peak = match GroupFile::open_if_there(&peak, READ)? {
            None => MemoryPeak::Missing,
            // Where it cannot be reset only root may open it for writing, and then not write.
            Some(grows) => match GroupFile::open(&peak, OFlags::RDWR) {
                Ok(file) if file.try_write("reset").is_ok() => MemoryPeak::Resettable(file),
                Ok(_) | Err(_) => MemoryPeak::Grows(grows),
            },
        };
        Ok(Self {
            max: file("memory.max", WRITE)?,
            swap_max: GroupFile::open_if_there(&path.join("memory.swap.max"), WRITE)?,
            events: file("memory.events", READ)?,
            current: file("memory.current", READ)?,
            peak,
            max_set: None,
        })
    }

    fn limit(&mut self, bytes: u64) -> Result<(), GroupError> {
        if let Some(swap) = &self.swap_max {
            swap.write("0")?;
        }
        self.max.write(&bytes.to_string())?;
        self.max_set = Some(bytes);
        Ok(())
    }

    /// Starts the peak anew and tells how much is charged already.
    fn begin(&self) -> Result<u64, GroupError> {
        if let MemoryPeak::Resettable(peak) = &self.peak {
            peak.write("reset")?;
        }
        self.current.number()
    }

    /// 0 where the kernel does not tell.
    fn peak(&self) -> Result<u64, GroupError> {
        match &self.peak {
            MemoryPeak::Resettable(peak) | MemoryPeak::Grows(peak) => peak.number(),
            MemoryPeak::Missing => Ok(0),
        }
    }
}

impl PidsGroup {
    fn open(path: PathBuf) -> Result<Self, GroupError> {
        let flags = READ | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty())
            .map_err(|errno| GroupError::new("open", &path, errno))?;
        Ok(Self {
            directory,
            procs: GroupFile::open(&path.join("cgroup.procs"), WRITE)?,
            max: GroupFile::open(&path.join("pids.max"), WRITE)?,
            events: GroupFile::open(&path.join("pids.events"), READ)?,
            peak: GroupFile::open_if_there(&path.join("pids.peak"), READ)?,
            path,
            max_set: None,
        })
    }

    fn limit(&mut self, max: u32) -> Result<(), GroupError> {
        self.max.write(&max.to_string())?;
        self.max_set = Some(max);
        Ok(())
    }

    /// As [`Group::make_anew`].
    fn make_anew(&mut self) -> Result<(), GroupError> {
        let max = self.max_set;
        remove_emptied(&self.path).map_err(failed("remove", &self.path))?;
        fs::create_dir(&self.path).map_err(failed("create", &self.path))?;
        *self = Self::open(self.path.clone())?;
        max.map_or(Ok(()), |max| self.limit(max))
    }
}
