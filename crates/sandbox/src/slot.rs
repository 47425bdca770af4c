//! One place for a cage: its uid, its cgroup, and the socket its stubs speak on.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rollcage_guest::protocol::{CgroupEntry, Command, Report};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::cgroup::SlotCgroup;
use crate::error::SandboxError;
use crate::launch::send_with;

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

/// A slot, owned by the run that leased it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) uid: u32,
    pub(crate) cgroup: SlotCgroup,
    /// Written to by whoever cancels the slot's run.
    pub(crate) waker: Arc<OwnedFd>,
    /// For reading output; kept, because a fresh one would be paid for in page faults by every run.
    pub(crate) buffer: Vec<u8>,
    socket: OwnedFd,
    generation: u64,
    stage: Stage,
}

impl Slot {
    pub(crate) const fn new(
        index: u32,
        uid: u32,
        cgroup: SlotCgroup,
        waker: Arc<OwnedFd>,
        socket: OwnedFd,
    ) -> Self {
        Self { index, uid, cgroup, waker, buffer: Vec::new(), socket, generation: 0, stage: Stage::Empty }
    }

    /// The socket, to wait on.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The cage in use, counted from 1.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Sees the last cage off and makes sure of the next.
    pub(crate) fn ready(&mut self, control: BorrowedFd<'_>) -> Result<(), SandboxError> {
        if self.stage == Stage::Live {
            self.await_reaped()?;
        }
        // An eventfd left readable by a cancellation that came too late would cancel this run.
        let mut stale = [0; 8];
        let _drained = rustix::io::read(&self.waker, &mut stale);
        if self.stage == Stage::Empty {
            self.command(control, Command::Start { slot: self.index })?;
        }
        self.stage = Stage::Live;
        self.generation += 1;
        Ok(())
    }

    /// Hands over a request.
    pub(crate) fn send(&self, bytes: &[u8], fixed: [BorrowedFd<'_>; 5]) -> Result<(), SandboxError> {
        let (_entry, cgroups) = self.cgroup.entry();
        let descriptors: Vec<_> = fixed.into_iter().chain(cgroups).collect();
        send_with::<RUN_SPACE>(self.socket.as_fd(), bytes, &descriptors).map_err(|errno| match errno {
            Errno::PIPE | Errno::CONNRESET => SandboxError::LauncherGone,
            _ => SandboxError::System { action: "send the request to the cage", source: errno.into() },
        })
    }

    /// How a program enters the slot's cgroup.
    pub(crate) fn cgroup_entry(&self) -> CgroupEntry {
        self.cgroup.entry().0
    }

    /// Has the cage killed.
    pub(crate) fn kill(&self, control: BorrowedFd<'_>) -> Result<(), SandboxError> {
        self.command(control, Command::Kill { slot: self.index, generation: self.generation })
    }

    /// Something failed on our side: whatever the cage is doing, have it end.
    pub(crate) fn abandon(&self, control: BorrowedFd<'_>) {
        if self.stage == Stage::Live {
            // If this fails the launcher is gone, and the cage with it.
            let _sent = self.kill(control);
        }
    }

    fn command(&self, control: BorrowedFd<'_>, command: Command) -> Result<(), SandboxError> {
        send(control, &command.encode(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map(|_sent| ()).map_err(
            |errno| match errno {
                Errno::PIPE | Errno::CONNRESET => SandboxError::LauncherGone,
                _ => SandboxError::System { action: "command the launcher", source: errno.into() },
            },
        )
    }

    /// The next report, if one has arrived, of the cage in use.
    pub(crate) fn next_report(&mut self) -> Result<Option<Report>, SandboxError> {
        let mut buffer = [0; Report::BYTES];
        loop {
            let length = match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(Errno::CONNRESET) => return Err(SandboxError::LauncherGone),
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(errno) => {
                    return Err(SandboxError::System { action: "hear from the cage", source: errno.into() });
                }
            };
            match buffer.get(..length).and_then(Report::decode) {
                Some((generation, report)) if generation == self.generation => {
                    if let Report::Reaped { next_ready } = report {
                        self.stage = if next_ready { Stage::Ready } else { Stage::Empty };
                    }
                    return Ok(Some(report));
                }
                // A late word of an earlier cage.
                Some(_) => {}
                None => return Err(SandboxError::StubLost),
            }
        }
    }

    /// Waits until nothing of the cage is left. Other reports on the way are dropped.
    pub(crate) fn await_reaped(&mut self) -> Result<(), SandboxError> {
        let timeout = Timespec::try_from(CAGE_WAIT).expect("a constant of seconds fits");
        while self.stage == Stage::Live {
            if self.next_report()?.is_none() {
                let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
                match poll(&mut ready, Some(&timeout)) {
                    Ok(0) => return Err(SandboxError::Unkillable { seconds: CAGE_WAIT.as_secs() }),
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => {
                        return Err(SandboxError::System {
                            action: "wait for the cage",
                            source: errno.into(),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}
