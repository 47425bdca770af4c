//! Slots for sessions, all at one launcher: a copy of an interpreter, or what executes interpreters.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rollcage_types::{ExecRequest, IsolationLevel, Start};

use crate::cancel::Cancel;
use crate::cgroup::RestingGroup;
use crate::error::{HostError, SandboxError};
use crate::fork_server::{ForkServer, ForkServerError, ForkServerSpec};
use crate::host::Host;
use crate::launch::Launcher;
use crate::lease::SLOTS_MAX;
use crate::seat::Seat;
use crate::session::cage::SessionCage;
use crate::slot::Fixture;

/// Cages that are made ahead of those who will ask for them. Each holds a copy of the interpreter.
const AHEAD: usize = 2;

/// How the interpreters of a bank come to be.
#[derive(Debug)]
pub enum Origin {
    /// As copies of one that stops at its fork point: where its agent is about to read its first cell.
    Copies(Box<ForkServerSpec>),
    /// Each is executed.
    Executed,
}

/// Whether a session may be branched, for which its programs are allowed a little more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branches {
    /// It may not.
    Never,
    /// It may, where its interpreter can be copied.
    Allowed,
}

/// Why there is no bank.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The level has no mounts, so that there is no workspace to keep.
    #[error("level process has no mounts, without which a session has no workspace of its own")]
    NoMounts,
    /// Without control groups nothing bounds what a session holds.
    #[error("sessions need control groups, which account for what they hold")]
    NoGroups,
    /// More slots than a bank may have.
    #[error("{slots} slots were asked for; a bank has 1 to {max}")]
    Slots {
        /// As asked.
        slots: usize,
        /// The most.
        max: usize,
    },
    /// The host has as many banks as it may have.
    #[error("the host has as many banks of sessions as it may have")]
    NoMoreBanks,
    /// The interpreter cannot be copied, or was not started.
    #[error(transparent)]
    Server(#[from] ForkServerError),
    /// The launcher was not started.
    #[error("cannot start a launcher for sessions")]
    Launcher(#[source] HostError),
}

/// A slot for one session.
#[derive(Debug)]
pub(super) struct Berth {
    pub(super) fixture: Fixture,
    pub(super) group: RestingGroup,
}

/// Slots for sessions, and the launcher that makes their cages. Shared by reference between threads.
#[derive(Debug)]
pub struct SessionBank {
    /// Ended first of all.
    maker: Maker,
    free: Mutex<Vec<Berth>>,
    /// Held by whoever makes a branch: what asks about branches is one for all.
    pub(super) branching: Mutex<()>,
    /// Of branches that are gone.
    left: Mutex<Vec<RestingGroup>>,
    slots: usize,
    number: Number,
}

#[derive(Debug)]
enum Maker {
    Copies(Box<ForkServer>),
    Executed(Arc<Launcher>),
}

/// The number of the bank, until the bank is gone.
#[derive(Debug)]
struct Number {
    host: Arc<Host>,
    bank: u32,
}

impl Drop for Number {
    fn drop(&mut self) {
        self.host.give_back_bank(self.bank);
    }
}

impl SessionBank {
    /// The most slots that one may have.
    pub const SLOTS_MAX: usize = SLOTS_MAX;

    /// Starts the interpreter whose copies the sessions will be, or the launcher that executes them.
    pub fn start(
        host: &Arc<Host>,
        origin: Origin,
        slots: usize,
        cancel: &Cancel,
    ) -> Result<Arc<Self>, BankError> {
        if host.enforcement().level == IsolationLevel::Process {
            return Err(BankError::NoMounts);
        }
        let hierarchy = host.hierarchy().ok_or(BankError::NoGroups)?;
        if !(1..=SLOTS_MAX).contains(&slots) {
            return Err(BankError::Slots { slots, max: SLOTS_MAX });
        }
        let taken = host.take_bank(slots).ok_or(BankError::NoMoreBanks)?;
        let (bank, quarters) = taken.map_err(|errno| {
            BankError::Launcher(HostError::System { action: "create the start clock", source: errno.into() })
        })?;
        let number = Number { host: Arc::clone(host), bank };
        let maker = match origin {
            Origin::Copies(spec) => {
                Maker::Copies(Box::new(ForkServer::start_in(host, &quarters, *spec, cancel)?))
            }
            Origin::Executed => {
                let order = host.order(None, &quarters);
                let launcher = Launcher::start_plain(&host.recruit(&order, &[], &quarters));
                Maker::Executed(Arc::new(launcher.map_err(BankError::Launcher)?))
            }
        };
        let berth = |(index, uid): (usize, &u32)| {
            let name: PathBuf = host.group_name().join(format!("session-{bank}-{index}"));
            let index = u32::try_from(index).expect("a slot index is below SLOTS_MAX");
            let fixture = Fixture { index, uid: *uid, directory: None };
            Berth { fixture, group: RestingGroup::new(hierarchy, name) }
        };
        let free: Vec<Berth> = quarters.uids.iter().enumerate().rev().map(berth).collect();
        let (branching, left) = (Mutex::default(), Mutex::default());
        let this = Self { maker, free: Mutex::new(free), branching, left, slots, number };
        this.make_ahead();
        Ok(Arc::new(this))
    }

    /// Opens a session: `request` says what its agent is, its files, and the limits of all its cells together; `greeting` is what
    /// the agent is sent first. Returns when the
    /// agent says that it is ready.
    pub fn open(
        self: &Arc<Self>,
        request: &ExecRequest,
        greeting: &[u8],
        branches: Branches,
    ) -> Result<SessionCage, SandboxError> {
        let exhausted = SandboxError::HostExhausted { resource: "slots for sessions" };
        let (berth, seat) = self.take().ok_or(exhausted)?;
        let cage = SessionCage::open(self, berth, seat, request, greeting, branches);
        self.make_ahead();
        cage
    }

    /// Whether no session has a slot.
    pub fn is_unused(&self) -> bool {
        self.free() == self.slots
    }

    /// Slots that no session has.
    pub fn free(&self) -> usize {
        self.berths().len()
    }

    /// Whether it can still make cages.
    pub fn is_alive(&self) -> bool {
        self.launcher().is_alive()
    }

    /// The host whose cages they are.
    pub const fn host(&self) -> &Arc<Host> {
        &self.number.host
    }

    pub(super) const fn start_kind(&self) -> Start {
        match &self.maker {
            Maker::Copies(_) => Start::Fork,
            Maker::Executed(_) => Start::Cold,
        }
    }

    pub(super) fn launcher(&self) -> &Arc<Launcher> {
        match &self.maker {
            Maker::Copies(server) => server.launcher(),
            Maker::Executed(launcher) => launcher,
        }
    }

    /// Gives a slot back whose cage has been told to end.
    pub(super) fn give_back(&self, berth: Berth, seat: Seat) {
        self.launcher().put_back(berth.fixture.index, seat);
        self.berths().insert(0, berth);
    }

    /// Takes over the group of a branch that has been told to end, to remove it when it is empty.
    pub(super) fn leave(&self, group: RestingGroup) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.push(group);
        left.retain(|group| !group.try_remove());
    }

    /// The next slot: one whose cage is ready if there is any, else the one given back longest ago.
    fn take(&self) -> Option<(Berth, Seat)> {
        let berth = self.berths().pop()?;
        let seat = self.launcher().take_seat(berth.fixture.index);
        Some((berth, seat))
    }

    /// Has the cages made of those slots that are next.
    fn make_ahead(&self) {
        let berths = self.berths();
        for berth in berths.iter().rev().take(AHEAD) {
            let launcher = self.launcher();
            let mut seat = launcher.take_seat(berth.fixture.index);
            // Where this fails the launcher is gone, which whoever asks for the cage will find.
            let _told = seat.start_ahead(launcher.control());
            launcher.put_back(berth.fixture.index, seat);
        }
    }

    fn berths(&self) -> std::sync::MutexGuard<'_, Vec<Berth>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
