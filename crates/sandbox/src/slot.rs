//! One place for a cage: its uid, its cgroup, and the socket its stubs speak on.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rollcage_guest::protocol::{CgroupEntry, Command, Report, Wiring};
use rollcage_types::IsolationLevel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::accounts::Accounts;
use crate::error::SandboxError;
use crate::launch::send_with;
use crate::reports::{self, Arrived};
use crate::workspace::DirectoryWorkspace;

/// A cage takes well under a millisecond to make or unmake; a machine that takes this long is in trouble, and
/// so are we.
pub(crate) const CAGE_WAIT: Duration = Duration::from_secs(15);

/// Room for the descriptors of one request.
const RUN_SPACE: usize = rustix::cmsg_space!(ScmRights(rollcage_guest::protocol::RUN_DESCRIPTORS_MAX));

/// What is known about the slot's cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// None; one must be asked for.
    Empty,
    /// The next one is ready, or will be by the time it matters.
    Ready,
    /// The one in use, or just used, has not been seen off.
    Live,
}

/// What a slot is made of, for as long as its host lives.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) index: u32,
    /// The program's user, as it sees itself.
    pub(crate) uid: u32,
    pub(crate) level: IsolationLevel,
    /// Whether stubs say that they wait, and must be waited for.
    pub(crate) announced: bool,
    /// Where cages have no mounts of their own.
    pub(crate) directory: Option<Arc<DirectoryWorkspace>>,
}

/// A stub that said that it waits.
#[derive(Debug)]
struct Waiting {
    generation: u64,
    process: Option<u32>,
    workspace: Option<[OwnedFd; 2]>,
}

/// A slot, owned by the run that leased it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) fixture: Fixture,
    pub(crate) accounts: Accounts,
    /// Written to by whoever cancels the slot's run.
    pub(crate) waker: Arc<OwnedFd>,
    /// For reading output; kept, because a fresh one would be paid for in page faults by every run.
    pub(crate) buffer: Vec<u8>,
    socket: OwnedFd,
    generation: u64,
    stage: Stage,
    /// The last that said so.
    waiting: Option<Waiting>,
    /// The kind of cage that waits, or will.
    wiring: Wiring,
    /// What the cage in use bound for the relay.
    sockets: Vec<OwnedFd>,
}

impl Slot {
    pub(crate) const fn new(
        fixture: Fixture,
        accounts: Accounts,
        waker: Arc<OwnedFd>,
        socket: OwnedFd,
    ) -> Self {
        Self {
            fixture,
            accounts,
            waker,
            buffer: Vec::new(),
            socket,
            generation: 0,
            stage: Stage::Empty,
            waiting: None,
            wiring: Wiring::Sealed,
            sockets: Vec::new(),
        }
    }

    /// The socket, to wait on.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The cage in use, counted from 1.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// The kind of cage that waits here, or will.
    pub(crate) const fn wiring(&self) -> Wiring {
        self.wiring
    }

    /// Sees the last cage off and makes sure of the next, of this kind.
    pub(crate) fn ready(&mut self, control: BorrowedFd<'_>, wiring: Wiring) -> Result<(), SandboxError> {
        if self.stage == Stage::Live {
            self.await_reaped()?;
        }
        self.sockets.clear();
        if self.wiring != wiring {
            self.rewire(control, wiring)?;
        }
        // An eventfd left readable by a cancellation that came too late would cancel this run.
        let mut stale = [0; 8];
        let _drained = rustix::io::read(&self.waker, &mut stale);
        if self.stage == Stage::Empty {
            command(control, Command::Start { slot: self.fixture.index, wiring })?;
        }
        self.stage = Stage::Live;
        self.generation += 1;
        if self.fixture.announced { self.await_waiting() } else { Ok(()) }
    }

    /// Has the slot's cages made of another kind. The one that waits ends for it.
    fn rewire(&mut self, control: BorrowedFd<'_>, wiring: Wiring) -> Result<(), SandboxError> {
        self.wiring = wiring;
        if self.stage == Stage::Ready {
            command(control, Command::Start { slot: self.fixture.index, wiring })?;
            self.generation += 1;
            self.stage = Stage::Live;
            self.await_reaped()?;
        }
        Ok(())
    }

    /// The sockets that the cage in use has bound: the DNS socket, then the listeners in the order asked for.
    pub(crate) fn take_sockets(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.sockets)
    }

    fn await_waiting(&mut self) -> Result<(), SandboxError> {
        while !self.is_waiting() {
            match self.next_report()? {
                None => self.await_word(SandboxError::NotReady { seconds: CAGE_WAIT.as_secs() })?,
                Some(Report::Failed { stage, errno }) => {
                    return Err(SandboxError::Cage { stage, source: errno.into() });
                }
                Some(Report::Reaped { .. }) => return Err(SandboxError::StubLost),
                Some(Report::Waiting | Report::Listening | Report::Ended(_)) => {}
            }
        }
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.generation == self.generation)
    }

    /// The process below which the program will run, as this process numbers it, if it said so.
    pub(crate) fn stub_process(&self) -> Option<u32> {
        self.waiting.as_ref().and_then(|waiting| waiting.process)
    }

    /// The workspace that the cage made, the first time it is asked for.
    pub(crate) fn take_workspace(&mut self) -> Option<[OwnedFd; 2]> {
        self.waiting.as_mut().and_then(|waiting| waiting.workspace.take())
    }

    /// Hands over a request.
    pub(crate) fn send(&self, bytes: &[u8], fixed: [BorrowedFd<'_>; 5]) -> Result<(), SandboxError> {
        let (_entry, cgroups) = self.accounts.entry(self.fixture.level);
        let descriptors: Vec<_> = fixed.into_iter().chain(cgroups).collect();
        send_with::<RUN_SPACE>(self.socket.as_fd(), bytes, &descriptors).map_err(|errno| match errno {
            Errno::PIPE | Errno::CONNRESET => SandboxError::LauncherGone,
            _ => SandboxError::System { action: "send the request to the cage", source: errno.into() },
        })
    }

    /// How a program enters the slot's cgroup.
    pub(crate) fn cgroup_entry(&self) -> CgroupEntry {
        self.accounts.entry(self.fixture.level).0
    }

    /// Has the cage killed: by the launcher, or by its own stub where there is no namespace that would die with that.
    pub(crate) fn kill(&self, control: BorrowedFd<'_>) -> Result<(), SandboxError> {
        let order = Command::Kill { slot: self.fixture.index, generation: self.generation };
        match self.fixture.level {
            IsolationLevel::Full | IsolationLevel::Rootless => command(control, order),
            IsolationLevel::Process => command(self.socket.as_fd(), order),
        }
    }

    /// Something failed on our side: whatever the cage is doing, have it end.
    pub(crate) fn abandon(&self, control: BorrowedFd<'_>) {
        if self.stage == Stage::Live {
            // If this fails the launcher is gone, and the cage with it.
            let _sent = self.kill(control);
        }
    }

    /// The next report, if one has arrived, of the cage in use. None is read after its last: what follows is the word of
    /// the next cage, and must be there for the run that gets it.
    pub(crate) fn next_report(&mut self) -> Result<Option<Report>, SandboxError> {
        while self.stage == Stage::Live {
            let with_more = self.fixture.announced || self.wiring == Wiring::Wired;
            let Some(arrived) = reports::receive(self.socket.as_fd(), with_more)? else {
                return Ok(None);
            };
            let Arrived { generation, report, process, descriptors } = arrived;
            if report == Report::Waiting {
                let workspace = descriptors.try_into().ok();
                self.waiting = Some(Waiting { generation, process, workspace });
            } else if report == Report::Listening && generation == self.generation {
                self.sockets = descriptors;
            }
            if generation == self.generation {
                if let Report::Reaped { next_ready } = report {
                    self.stage = if next_ready { Stage::Ready } else { Stage::Empty };
                }
                return Ok(Some(report));
            }
            // Else a late word of an earlier cage.
        }
        Ok(None)
    }

    /// Waits until nothing of the cage is left. Other reports on the way are dropped.
    pub(crate) fn await_reaped(&mut self) -> Result<(), SandboxError> {
        while self.stage == Stage::Live {
            if self.next_report()?.is_none() {
                self.await_word(SandboxError::Unkillable { seconds: CAGE_WAIT.as_secs() })?;
            }
        }
        Ok(())
    }

    /// Waits for something to read; `late` if it takes too long.
    fn await_word(&self, late: SandboxError) -> Result<(), SandboxError> {
        let timeout = Timespec::try_from(CAGE_WAIT).expect("a constant of seconds fits");
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) => Err(late),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(SandboxError::System { action: "wait for the cage", source: errno.into() }),
        }
    }
}

fn command(socket: BorrowedFd<'_>, command: Command) -> Result<(), SandboxError> {
    send(socket, &command.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(|_sent| ()).map_err(
        |errno| match errno {
            Errno::PIPE | Errno::CONNRESET => SandboxError::LauncherGone,
            _ => SandboxError::System { action: "command the launcher", source: errno.into() },
        },
    )
}
