//! The host: everything that is made once and shared by all cages.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rollcage_guest::WORKSPACE_DESCRIPTOR;
use rollcage_guest::protocol::{ForkServerOrder, Order, Wiring};
use rollcage_types::{
    ByteSize, Enforcement, ExecOutcome, ExecRequest, IsolationLevel, MechanismState, Start,
};
use rustix::event::EventfdFlags;
use rustix::io::Errno;

use crate::accounts::{Accounts, Bystanders};
use crate::cancel::Cancel;
use crate::cgroup::{Hierarchy, SlotCgroup, memory_limit_of, memory_of};
use crate::config::{Accounting, HostConfig, LauncherProgram, RootTree};
use crate::enforcement::{Facts, enforcement};
use crate::error::{HostError, SandboxError};
use crate::fork_server::library;
use crate::furnish::{self, Setting};
use crate::launch::{Launcher, Recruit};
use crate::lease::{BANKS_MAX, Block, LOCKS_OF_ROOT, SLOTS_MAX};
use crate::plan::Backstops;
use crate::quarters::Quarters;
use crate::slot::{Fixture, Slot};
use crate::supervise::{self, Place};
use crate::workspace::{DirectoryWorkspace, MountedWorkspace, Sharing};

/// A host ready to run cages. Shared by reference between threads.
#[derive(Debug)]
pub struct Host {
    /// The first field, because the first to be dropped: it ends every cage.
    launcher: Arc<Launcher>,
    free: Mutex<VecDeque<Slot>>,
    freed: Condvar,
    enforcement: Arc<Enforcement>,
    sharing: Sharing,
    processors: u32,
    quarters: Quarters,
    /// Whom the launcher and its programs run as, where that is not ourselves.
    user: Option<u32>,
    /// Where no control group limits a tree.
    bystanders: Option<Bystanders>,
    makings: Makings,
    /// Bytes of sessions' workspaces that were written from outside.
    written: Arc<AtomicU64>,
    /// The last field, because the last to be dropped: it removes the groups that the launcher's cages were in.
    block: Block,
}

/// What every launcher of a host is made of.
#[derive(Debug)]
struct Makings {
    config: HostConfig,
    level: IsolationLevel,
    program: LauncherProgram,
    tree: RootTree,
    /// What workspaces start as views, or where there are no mounts as copies, of.
    base: Option<PathBuf>,
    prepared: Option<PathBuf>,
    spares: bool,
    /// The template's mount point, or where slots' directories lie.
    directory: PathBuf,
    hierarchy: Option<Hierarchy>,
    announced: bool,
    /// Fork servers there have been.
    servers: AtomicU64,
    /// Banks of sessions there are: a bit for each.
    banks: AtomicU32,
}

fn system(action: &'static str) -> impl FnOnce(Errno) -> HostError {
    move |errno| HostError::System { action, source: errno.into() }
}

impl Host {
    /// Starts the launcher and makes everything cages share. Also removes what hosts that died left behind.
    pub fn start(config: &HostConfig) -> Result<Self, HostError> {
        let (caller, level) = (rustix::process::geteuid(), config.isolation);
        if level == IsolationLevel::Full && !caller.is_root() {
            return Err(HostError::NotRoot { uid: caller.as_raw() });
        }
        if !(1..=SLOTS_MAX).contains(&config.slots) {
            return Err(HostError::Slots { slots: config.slots, max: SLOTS_MAX });
        }
        if let (IsolationLevel::Process, RootTree::Directory(directory)) = (level, &config.tree) {
            return Err(HostError::NoRootTree { directory: directory.clone() });
        }
        let base = config.base.as_ref().map(|base| absolute(base)).transpose()?;
        let prepared = config.prepared.as_ref().filter(|_| level != IsolationLevel::Process);
        let prepared = prepared.map(|prepared| absolute(prepared)).transpose()?;
        let hierarchy = hierarchy(config.accounting)?;
        let state = config.make_state_dir()?;
        let locks = if caller.is_root() { Path::new(LOCKS_OF_ROOT) } else { &state };
        create_directory(locks)?;
        let block = Block::take(locks, hierarchy.as_ref(), level == IsolationLevel::Process)?;
        // Below level full nothing that runs programs has root's uid, not even in a user namespace.
        let user = (caller.is_root() && level != IsolationLevel::Full).then(|| block.launcher_uid());
        let directory = if level == IsolationLevel::Process { block.directory() } else { state.join("root") };
        create_directory(&directory)?;
        let sharing = match level {
            IsolationLevel::Full => MountedWorkspace::probe().map_err(system("create a tmpfs"))?,
            IsolationLevel::Rootless | IsolationLevel::Process => Sharing::OneFileSystem,
        };
        let announced = hierarchy.is_none() || level == IsolationLevel::Rootless;
        let maker = Maker { level, hierarchy: hierarchy.as_ref(), directory: &directory, user };
        let slots =
            (0..config.slots).map(|index| maker.slot(&block, index)).collect::<Result<VecDeque<_>, _>>()?;
        let uids = slots.iter().map(|slot| slot.fixture.uid).collect();
        let server_uids = (level == IsolationLevel::Full).then(|| block.server_uids(block.uid(0)));
        let quarters = Quarters::new(uids, server_uids, false).map_err(system("create the start clock"))?;
        let makings = Makings {
            config: config.clone(),
            level,
            program: config.launcher.clone(),
            tree: config.tree.clone(),
            base,
            prepared,
            spares: config.spares,
            directory,
            announced,
            hierarchy,
            servers: AtomicU64::new(0),
            banks: AtomicU32::new(0),
        };
        let order = makings.order(None, &quarters);
        let library =
            config.spares.then(library::file).transpose().map_err(system("make the preloaded library"))?;
        let recruit = makings.recruit(&order, library.as_slice(), user, &quarters);
        let launcher = Launcher::start_plain(&recruit)?;
        let facts = Facts {
            level,
            has_groups: makings.hierarchy.is_some(),
            sharing,
            has_base: makings.base.is_some(),
            landlock_abi: launcher.landlock_abi,
            bounding_set_is_empty: bounding_set_is_empty(),
        };
        let enforcement = enforcement(facts);
        refuse_gaps(config, &enforcement)?;
        tracing::debug!(launcher = launcher.process_id(), slots = config.slots, %level, "host ready");
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let is_sampled = makings.hierarchy.is_none();
        Ok(Self {
            free: Mutex::new(slots),
            freed: Condvar::new(),
            enforcement: Arc::new(enforcement),
            sharing,
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
            quarters,
            bystanders: is_sampled.then(|| Bystanders::new(level, user.unwrap_or(caller.as_raw()))),
            user,
            makings,
            launcher: Arc::new(launcher),
            written: Arc::default(),
            block,
        })
    }

    /// Runs one program in a fresh cage and waits for it. Blocks the calling thread, first for a free slot.
    pub fn run(&self, request: &ExecRequest, cancel: &Cancel) -> Result<ExecOutcome, SandboxError> {
        self.run_by(&self.launcher, Start::Cold, request, cancel)
    }

    /// As [`Host::run`], in a cage of this launcher's.
    pub(crate) fn run_by(
        &self,
        launcher: &Arc<Launcher>,
        start: Start,
        request: &ExecRequest,
        cancel: &Cancel,
    ) -> Result<ExecOutcome, SandboxError> {
        let wiring = furnish::wiring(&request.network);
        let mut lease = self.lease(launcher, wiring);
        let slot = lease.slot();
        slot.settle_with(launcher)?;
        let setting = self.setting(launcher, start);
        let index = slot.fixture.index;
        let mut seat = launcher.take_seat(index);
        let outcome = supervise::run(&setting, &mut Place { slot, seat: &mut seat }, request, cancel);
        launcher.put_back(index, seat);
        outcome
    }

    /// What all runs by this launcher share.
    pub(crate) fn setting<'a>(&'a self, launcher: &'a Launcher, start: Start) -> Setting<'a> {
        Setting {
            level: self.makings.level,
            start,
            branches: false,
            control: launcher.control(),
            sharing: self.sharing,
            base: self.makings.base.as_deref(),
            file_user: self.user,
            backstops: match &self.bystanders {
                None => Backstops::None,
                Some(bystanders) => Backstops::PerProcess { beside: bystanders.count(self.slots()) },
            },
            processors: self.processors,
            start_clock: &launcher.start_clock,
            enforcement: &self.enforcement,
        }
    }

    /// The launcher of programs that are executed.
    pub(crate) const fn launcher(&self) -> &Arc<Launcher> {
        &self.launcher
    }

    /// Whether control groups keep the accounts of its runs.
    pub const fn has_groups(&self) -> bool {
        self.makings.hierarchy.is_some()
    }

    /// What confines every run of this host.
    pub const fn enforcement(&self) -> &Arc<Enforcement> {
        &self.enforcement
    }

    /// How it was set up.
    pub const fn config(&self) -> &HostConfig {
        &self.makings.config
    }

    /// How many cages may be alive at once.
    pub const fn slots(&self) -> usize {
        self.quarters.len()
    }

    /// What programs find at their root.
    pub const fn tree(&self) -> &RootTree {
        &self.makings.tree
    }

    /// Whether workspaces start from a directory.
    pub const fn has_base(&self) -> bool {
        self.makings.base.is_some()
    }

    /// What programs find at [`crate::PREPARED_PATH`].
    pub fn prepared(&self) -> Option<&Path> {
        self.makings.prepared.as_deref()
    }

    pub(crate) const fn hierarchy(&self) -> Option<&Hierarchy> {
        self.makings.hierarchy.as_ref()
    }

    /// The name of its groups below the roots of the hierarchy.
    pub(crate) fn group_name(&self) -> PathBuf {
        self.block.name()
    }

    /// Memory charged at this moment to all that is run here, interpreters that wait included, and that of files which were written
    /// for sessions, if groups count it.
    pub fn memory(&self) -> Option<ByteSize> {
        let charged = memory_of(self.hierarchy()?, &self.group_name()).ok()?;
        Some(ByteSize::bytes(charged.as_u64() + self.written.load(Ordering::Relaxed)))
    }

    /// Bytes of sessions' workspaces that were written from outside.
    pub(crate) const fn written(&self) -> &Arc<AtomicU64> {
        &self.written
    }

    /// The limit that groups set on that, if any.
    pub fn memory_limit(&self) -> Option<ByteSize> {
        memory_limit_of(self.hierarchy()?, &self.group_name())
    }

    /// A number for another fork server.
    pub(crate) fn next_server(&self) -> u64 {
        self.makings.servers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) const fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// Its own slots.
    pub(crate) const fn quarters(&self) -> &Quarters {
        &self.quarters
    }

    /// What another launcher of this host, for these slots, is told to be.
    pub(crate) fn order(&self, fork_server: Option<ForkServerOrder>, quarters: &Quarters) -> Order {
        self.makings.order(fork_server, quarters)
    }

    /// What another launcher of this host is made of.
    pub(crate) fn recruit<'a>(
        &'a self,
        order: &'a Order,
        descriptors: &'a [BorrowedFd<'a>],
        quarters: &'a Quarters,
    ) -> Recruit<'a> {
        self.makings.recruit(order, descriptors, self.user, quarters)
    }

    /// A number for a bank of sessions, and as many more slots as `slots`; `None` if there are as many as can be.
    pub(crate) fn take_bank(&self, slots: usize) -> Option<Result<(u32, Quarters), Errno>> {
        let taken = self.makings.banks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |banks| {
            let free = banks.trailing_ones();
            (free < BANKS_MAX).then(|| banks | 1 << free)
        });
        let bank = taken.ok()?.trailing_ones();
        let uids: Vec<u32> = (0..slots).map(|slot| self.block.uid_in_bank(bank, slot)).collect();
        let is_full = self.makings.level == IsolationLevel::Full;
        let server_uids = is_full.then(|| self.block.server_uids(self.block.uid_in_bank(bank, 0)));
        let quarters = Quarters::new(uids, server_uids, true);
        if quarters.is_err() {
            self.give_back_bank(bank);
        }
        Some(quarters.map(|quarters| (bank, quarters)))
    }

    /// Gives the number of a bank back.
    pub(crate) fn give_back_bank(&self, bank: u32) {
        self.makings.banks.fetch_and(!(1 << bank), Ordering::Relaxed);
    }

    /// Where a program finds its workspace, wherever it has changed its directory to. Where cages have no mounts of their
    /// own, only the process that was started can use it.
    pub fn workspace_path(&self) -> String {
        match self.enforcement.level {
            IsolationLevel::Full | IsolationLevel::Rootless => "/ws/work".to_owned(),
            IsolationLevel::Process => format!("/proc/self/fd/{WORKSPACE_DESCRIPTOR}"),
        }
    }

    /// A slot for a cage without a network, if one is free.
    pub(crate) fn take_slot(&self) -> Option<Slot> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |slot: &Slot| self.launcher.seat_is(slot.fixture.index, |seat| seat.suits(Wiring::Sealed));
        let fitting = free.iter().position(fits).unwrap_or(0);
        free.remove(fitting)
    }

    /// Gives a slot back.
    pub(crate) fn give_back(&self, slot: Slot) {
        // At the back, so that a slot rests longest and its last cage has time to go.
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(slot);
        self.freed.notify_one();
    }

    /// The slot that has rested longest, of those whose seat suits a cage of this kind if there are any.
    fn lease(&self, launcher: &Launcher, wiring: Wiring) -> Lease<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let is_fitting = |slot: &Slot| launcher.seat_is(slot.fixture.index, |seat| seat.suits(wiring));
            let fitting = free.iter().position(is_fitting).unwrap_or(0);
            if let Some(slot) = free.remove(fitting) {
                return Lease { host: self, slot: Some(slot) };
            }
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Makings {
    fn order(&self, fork_server: Option<ForkServerOrder>, quarters: &Quarters) -> Order {
        Order {
            slots: u32::try_from(quarters.len()).expect("no more than SLOTS_MAX"),
            on_demand: quarters.on_demand,
            announced: self.announced,
            charged: self.hierarchy.is_some(),
            directory: self.directory.clone(),
            tree: match &self.tree {
                RootTree::HostToolchains => None,
                RootTree::Directory(tree) => Some(tree.clone()),
            },
            base: self.base.clone(),
            prepared: self.prepared.clone(),
            spares: self.spares && fork_server.is_none() && !quarters.on_demand,
            fork_server,
        }
    }

    fn recruit<'a>(
        &'a self,
        order: &'a Order,
        descriptors: &'a [BorrowedFd<'a>],
        user: Option<u32>,
        quarters: &'a Quarters,
    ) -> Recruit<'a> {
        Recruit { program: &self.program, level: self.level, user, order, descriptors, quarters }
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
            self.host.give_back(slot);
        }
    }
}

/// What slots are made of.
struct Maker<'a> {
    level: IsolationLevel,
    hierarchy: Option<&'a Hierarchy>,
    directory: &'a Path,
    user: Option<u32>,
}

impl Maker<'_> {
    fn slot(&self, block: &Block, index: usize) -> Result<Slot, HostError> {
        let accounts = match self.hierarchy {
            None => Accounts::sampled(),
            Some(hierarchy) => {
                let name = block.name().join(index.to_string());
                let group = SlotCgroup::create(hierarchy, &name).map_err(|error| HostError::Path {
                    action: error.action,
                    path: error.path,
                    source: error.source,
                })?;
                Accounts::Group(Box::new(group))
            }
        };
        let waker = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(system("create an eventfd"))?;
        let directory = match self.level {
            IsolationLevel::Full | IsolationLevel::Rootless => None,
            IsolationLevel::Process => Some(self.directory_of(index)?),
        };
        let uid = match self.level {
            IsolationLevel::Full | IsolationLevel::Rootless => block.uid(index),
            IsolationLevel::Process => self.user.unwrap_or(rustix::process::geteuid().as_raw()),
        };
        let index = u32::try_from(index).expect("a slot index is below SLOTS_MAX");
        Ok(Slot::new(Fixture { index, uid, directory }, accounts, Arc::new(waker)))
    }

    fn directory_of(&self, index: usize) -> Result<Arc<DirectoryWorkspace>, HostError> {
        let path: PathBuf = self.directory.join(index.to_string());
        DirectoryWorkspace::create(&path, self.user).map(Arc::new).map_err(|errno| HostError::Path {
            action: "create",
            path,
            source: errno.into(),
        })
    }
}

/// The groups to use, or `None` to do without.
fn hierarchy(accounting: Accounting) -> Result<Option<Hierarchy>, HostError> {
    match accounting {
        Accounting::Kernel => Hierarchy::detect().map(Some).map_err(|reason| HostError::NoCgroups { reason }),
        Accounting::Best => Ok(Hierarchy::detect().ok()),
        Accounting::Sampled => Ok(None),
    }
}

/// The launcher has another working directory.
fn absolute(directory: &Path) -> Result<PathBuf, HostError> {
    let used = |source| HostError::Path { action: "show to programs", path: directory.to_owned(), source };
    let found = directory.canonicalize().map_err(used)?;
    if found.is_dir() { Ok(found) } else { Err(used(Errno::NOTDIR.into())) }
}

fn create_directory(path: &Path) -> Result<(), HostError> {
    std::fs::create_dir_all(path).map_err(|source| HostError::Path {
        action: "create",
        path: path.to_owned(),
        source,
    })
}

fn bounding_set_is_empty() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    bounding.is_some_and(|digits| digits.trim().chars().all(|digit| digit == '0'))
}

/// What the caller requires is in force, or there is no host.
fn refuse_gaps(config: &HostConfig, enforcement: &Enforcement) -> Result<(), HostError> {
    for &mechanism in &config.requires {
        let why = match enforcement.state(mechanism) {
            MechanismState::Full => continue,
            MechanismState::Partial(why) => format!("only in part: {why}"),
            MechanismState::Absent(why) => format!("not in force: {why}"),
        };
        return Err(HostError::Lacking { mechanism, level: config.isolation, why });
    }
    Ok(())
}
