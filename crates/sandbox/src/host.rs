//! The host: everything that is made once and shared by all cages.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rollcage_guest::protocol::start_clock_offset;
use rollcage_types::{Enforcement, ExecOutcome, ExecRequest, IsolationLevel, Mechanism, MechanismState};
use rustix::event::EventfdFlags;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::cgroup::{Hierarchy, SlotCgroup};
use crate::error::{HostError, SandboxError};
use crate::launch::{Launcher, packet_sockets};
use crate::lease::{Block, SLOTS_MAX};
use crate::slot::Slot;
use crate::supervise::{self, Setting};
use crate::workspace::{Sharing, Workspace};

/// The program that becomes the launcher process.
#[derive(Clone, Debug)]
pub enum LauncherProgram {
    /// This executable, whose `main` calls [`crate::launcher_main_if_asked`] first.
    CurrentExecutable,
    /// Another executable that does.
    Path(PathBuf),
}

/// How a host is set up.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Cages alive at once; further runs wait.
    pub slots: usize,
    /// Where the template's mount point lives; must be on a local file system and owned by root.
    pub state_dir: PathBuf,
    /// What to start as the launcher.
    pub launcher: LauncherProgram,
}

impl Default for HostConfig {
    /// Four slots for each processor, below `/run`. Short programs keep the processors busy only if some slots run while
    /// others have their cage unmade and the next one made; measured on two processors, eight slots carry a fifth more
    /// runs than four.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            slots: (processors * 4).min(SLOTS_MAX),
            state_dir: PathBuf::from("/run/rollcage"),
            launcher: LauncherProgram::CurrentExecutable,
        }
    }
}

/// A host ready to run cages. Shared by reference between threads.
#[derive(Debug)]
pub struct Host {
    /// The first field, because the first to be dropped: it ends every cage.
    launcher: Launcher,
    free: Mutex<VecDeque<Slot>>,
    freed: Condvar,
    enforcement: Arc<Enforcement>,
    sharing: Sharing,
    processors: u32,
    slots: usize,
    start_clock: OwnedFd,
    /// The last field, because the last to be dropped: it removes the groups that the launcher's cages were in.
    _block: Block,
}

impl Host {
    /// Starts the launcher and makes everything cages share. Also removes what hosts that died left behind.
    pub fn start(config: &HostConfig) -> Result<Self, HostError> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            return Err(HostError::NotRoot { uid: uid.as_raw() });
        }
        if !(1..=SLOTS_MAX).contains(&config.slots) {
            return Err(HostError::Slots { slots: config.slots, max: SLOTS_MAX });
        }
        let hierarchy = Hierarchy::detect().map_err(|reason| HostError::NoCgroups { reason })?;
        let block = Block::take(&hierarchy)?;
        let root = config.state_dir.join("root");
        std::fs::create_dir_all(&root).map_err(|source| HostError::Path {
            action: "create",
            path: root.clone(),
            source,
        })?;
        let system = |action| move |errno: Errno| HostError::System { action, source: errno.into() };
        let sharing = Workspace::probe().map_err(system("create a tmpfs"))?;

        let start_clock = memfd_create("rollcage-start-clock", MemfdFlags::CLOEXEC)
            .and_then(|fd| {
                ftruncate(&fd, start_clock_offset(u32::try_from(SLOTS_MAX).expect("SLOTS_MAX is small")))
                    .map(|()| fd)
            })
            .map_err(system("create the start clock"))?;
        let mut slots = VecDeque::with_capacity(config.slots);
        let mut introductions = Vec::with_capacity(config.slots);
        for index in 0..config.slots {
            let name = block.name().join(index.to_string());
            let cgroup = SlotCgroup::create(&hierarchy, &name).map_err(|error| HostError::Path {
                action: error.action,
                path: error.path,
                source: error.source,
            })?;
            let waker = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(system("create an eventfd"))?;
            let (ours, theirs): (OwnedFd, OwnedFd) =
                packet_sockets().map_err(system("create a slot's socket"))?;
            let slot_uid = block.uid(index);
            introductions.push((slot_uid, theirs));
            let index = u32::try_from(index).expect("a slot index is below SLOTS_MAX");
            slots.push_back(Slot::new(index, slot_uid, cgroup, Arc::new(waker), ours));
        }
        let launcher = Launcher::start(&config.launcher, &root, &start_clock, &introductions)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let enforcement = enforcement(sharing, launcher.landlock_abi);
        tracing::debug!(launcher = launcher.process_id(), slots = config.slots, "host ready");
        Ok(Self {
            free: Mutex::new(slots),
            freed: Condvar::new(),
            enforcement: Arc::new(enforcement),
            sharing,
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
            slots: config.slots,
            start_clock,
            launcher,
            _block: block,
        })
    }

    /// Runs one program in a fresh cage and waits for it. Blocks the calling thread, first for a free slot.
    pub fn run(&self, request: &ExecRequest, cancel: &Cancel) -> Result<ExecOutcome, SandboxError> {
        let mut lease = self.lease();
        let setting = Setting {
            control: self.launcher.control(),
            sharing: self.sharing,
            processors: self.processors,
            start_clock: &self.start_clock,
            enforcement: &self.enforcement,
        };
        supervise::run(&setting, lease.slot(), request, cancel)
    }

    /// What confines every run of this host.
    pub const fn enforcement(&self) -> &Arc<Enforcement> {
        &self.enforcement
    }

    /// How many cages may be alive at once.
    pub const fn slots(&self) -> usize {
        self.slots
    }

    fn lease(&self) -> Lease<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(slot) = free.pop_front() {
                return Lease { host: self, slot: Some(slot) };
            }
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A slot on loan.
struct Lease<'a> {
    host: &'a Host,
    slot: Option<Slot>,
}

impl Lease<'_> {
    fn slot(&mut self) -> &mut Slot {
        self.slot.as_mut().expect("taken only when dropped")
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            // At the back, so that a slot rests longest and its last cage has time to go.
            self.host.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(slot);
            self.host.freed.notify_one();
        }
    }
}

/// Everything here is in force once the launcher has answered: it fails closed on each.
fn enforcement(sharing: Sharing, landlock_abi: u32) -> Enforcement {
    let mut enforcement = Enforcement::nothing(IsolationLevel::Full);
    for mechanism in Mechanism::ALL {
        enforcement.set(mechanism, MechanismState::Full);
    }
    if sharing == Sharing::Separate {
        let why = "the workspace and /tmp are bounded separately; one bound for both needs Linux 6.15";
        enforcement.set(Mechanism::DiskLimit, MechanismState::Partial(why.to_owned()));
    }
    let partial = |why: &str| MechanismState::Partial(format!("{why} (this kernel has ABI {landlock_abi})"));
    if landlock_abi < 5 {
        enforcement.set(Mechanism::Landlock, partial("ioctl on devices is not restricted before ABI 5"));
    }
    if landlock_abi < 6 {
        let why = "abstract sockets and signals are not scoped before ABI 6";
        enforcement.set(Mechanism::LandlockScope, partial(why));
    }
    enforcement
}
