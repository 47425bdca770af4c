//! A slot's place at one launcher: the socket on which the launcher's stubs for that slot speak, and what is known of the
//! cage there.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rollcage_guest::protocol::{Command, RUN_DESCRIPTORS_MAX, Report, Wiring};
use rollcage_types::IsolationLevel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::error::SandboxError;
use crate::launch::send_with;
use crate::reports::{self, Arrived};

/// A cage takes well under a millisecond to make or unmake; a machine that takes this long is in trouble, and
/// so are we.
pub(crate) const CAGE_WAIT: Duration = Duration::from_secs(15);

/// Room for the descriptors of one request.
const RUN_SPACE: usize = rustix::cmsg_space!(ScmRights(RUN_DESCRIPTORS_MAX));

/// What is known about the seat's cage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// None; one must be asked for.
    Empty,
    /// The next one is ready, or will be by the time it matters.
    Ready,
    /// The one in use, or just used, has not been seen off.
    Live,
}

/// A stub that said that it waits.
#[derive(Debug)]
struct Waiting {
    generation: u64,
    process: Option<u32>,
    workspace: Option<[OwnedFd; 2]>,
}

/// A seat, in the hands of the run that leased its slot.
#[derive(Debug)]
pub(crate) struct Seat {
    index: u32,
    level: IsolationLevel,
    /// Whether stubs say that they wait, and must be waited for.
    announced: bool,
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

impl Seat {
    /// The seat of the slot with this index.
    pub(crate) const fn new(index: u32, level: IsolationLevel, announced: bool, socket: OwnedFd) -> Self {
        Self {
            index,
            level,
            announced,
            socket,
            generation: 0,
            stage: Stage::Empty,
            waiting: None,
            wiring: Wiring::Sealed,
            sockets: Vec::new(),
        }
    }

    /// Of its slot.
    pub(crate) const fn index(&self) -> u32 {
        self.index
    }

    /// The socket, to wait on.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The cage in use, counted from 1.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a request for this kind of cage is in the right place here. Cages with a network are made in need, and those
    /// that were made are used first.
    pub(crate) fn suits(&self, wiring: Wiring) -> bool {
        match (self.stage, wiring) {
            (Stage::Empty, Wiring::Sealed) => true,
            (Stage::Empty, Wiring::Wired) => false,
            (Stage::Ready | Stage::Live, _) => self.wiring == wiring,
        }
    }

    /// Sees the last cage off and makes sure of the next, of this kind.
    pub(crate) fn ready(&mut self, control: BorrowedFd<'_>, wiring: Wiring) -> Result<(), SandboxError> {
        self.await_reaped()?;
        self.sockets.clear();
        if self.wiring != wiring {
            self.rewire(control, wiring)?;
        }
        if self.stage == Stage::Empty {
            command(control, Command::Start { slot: self.index, wiring })?;
        }
        self.stage = Stage::Live;
        self.generation += 1;
        if self.announced { self.await_waiting() } else { Ok(()) }
    }

    /// Has a cage made that will be ready when it is asked for, where none is.
    pub(crate) fn start_ahead(&mut self, control: BorrowedFd<'_>) -> Result<(), SandboxError> {
        if self.stage == Stage::Empty {
            command(control, Command::Start { slot: self.index, wiring: self.wiring })?;
            self.stage = Stage::Ready;
        }
        Ok(())
    }

    /// Has the seat's cages made of another kind. The one that waits ends for it.
    fn rewire(&mut self, control: BorrowedFd<'_>, wiring: Wiring) -> Result<(), SandboxError> {
        self.wiring = wiring;
        if self.stage == Stage::Ready {
            command(control, Command::Start { slot: self.index, wiring })?;
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
    pub(crate) fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), SandboxError> {
        send_with::<RUN_SPACE>(self.socket.as_fd(), bytes, descriptors).map_err(|errno| match errno {
            Errno::PIPE | Errno::CONNRESET => SandboxError::LauncherGone,
            _ => SandboxError::System { action: "send the request to the cage", source: errno.into() },
        })
    }

    /// Has the cage killed: by the launcher, or by its own stub where there is no namespace that would die with that.
    pub(crate) fn kill(&self, control: BorrowedFd<'_>) -> Result<(), SandboxError> {
        let order = Command::Kill { slot: self.index, generation: self.generation };
        match self.level {
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
            let with_more = self.announced || self.wiring == Wiring::Wired;
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
