//! How a session ends: by itself, because it is ended, or with whoever held it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcage_guest::Stage;
use rollcage_guest::protocol::{Ended, Report};
use rollcage_sys::pidfd;
use rollcage_types::{ExecRequest, Limits, Termination};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use crate::error::SandboxError;
use crate::furnish::system;
use crate::outcome::{self, Ending, Evidence, Killed};
use crate::seat::{CAGE_WAIT, Seat};
use crate::session::cage::{SessionCage, Standing, group};

/// Until the init of a branch has waited for an interpreter that has ended, unless the machine is very busy.
const REAPED_SOON: Duration = Duration::from_millis(20);
/// Between two looks from then on.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// How long a cage may take to come to its end.
pub(super) const END_WAIT: Duration = CAGE_WAIT;

impl SessionCage {
    /// How the interpreter ended, if it has.
    pub(super) fn hear(&mut self, request: Option<&ExecRequest>) -> Result<Option<Ended>, SandboxError> {
        let Standing::Branch { init, own, end, .. } = &mut self.standing else {
            return self.family.with_seat(|seat| hear_from(seat, request));
        };
        if !is_readable(own, Duration::ZERO)? {
            return Ok(None);
        }
        // Once its init has waited for it, which does nothing else; before Linux 6.15 the init says so.
        let waited = end.since.get_or_insert_with(Instant::now).elapsed();
        if let Some(status) = pidfd::exit_status(own.as_fd()).or(end.told) {
            return Ok(Some(Ended { status, ..Ended::default() }));
        }
        if waited < REAPED_SOON {
            std::thread::yield_now();
            return Ok(None);
        }
        // With its init, which the kernel may have killed, everything in its namespace is killed.
        if is_readable(&init.pidfd, Duration::ZERO)? {
            return Ok(Some(Ended { status: libc::SIGKILL, ..Ended::default() }));
        }
        if waited > END_WAIT {
            return Err(system("learn how a branch ended")(Errno::TIMEDOUT));
        }
        std::thread::sleep(LOOK_PAUSE);
        Ok(None)
    }

    /// Takes note of what the init of a branch says; nobody else is believed to speak of this interpreter.
    pub(super) fn note_told(&mut self, content: &[u8]) {
        let Standing::Branch { number, end, .. } = &mut self.standing else { return };
        let word = |at| content.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        if let (Some(process), Some(status)) = (word(0), word(4))
            && u32::from_le_bytes(process) == *number
        {
            end.told = Some(i32::from_le_bytes(status));
        }
    }

    /// Ends the interpreter and all that is left of it, but not the branches of it.
    pub(super) fn kill(&mut self) -> Result<(), SandboxError> {
        match &self.standing {
            Standing::Branch { init, own, .. } if Arc::strong_count(init) == 1 => {
                // It ended by itself in the meantime.
                let _sent = pidfd_send_signal(&init.pidfd, Signal::KILL);
                let seconds = CAGE_WAIT.as_secs();
                if is_readable(own, CAGE_WAIT)? { Ok(()) } else { Err(SandboxError::Unkillable { seconds }) }
            }
            Standing::Branch { init, .. } => self.group.kill(Some(init.process), CAGE_WAIT).map_err(group),
            Standing::Trunk if Arc::strong_count(&self.family) > 1 => {
                self.group.kill(None, CAGE_WAIT).map_err(group)
            }
            Standing::Trunk => {
                let launcher = Arc::clone(self.family.bank.launcher());
                self.family.with_seat(|seat| {
                    seat.kill(launcher.control())?;
                    seat.await_reaped()
                })
            }
        }
    }

    /// Sees off what has ended by itself and left nothing behind.
    pub(super) fn await_gone(&mut self) -> Result<(), SandboxError> {
        match &self.standing {
            Standing::Branch { .. } => Ok(()),
            Standing::Trunk => self.family.with_seat(Seat::await_reaped),
        }
    }

    /// Takes note of the end of the interpreter, whose cage is no more: by itself, or for this reason.
    pub(super) fn note_end(
        &mut self,
        ended: Option<Ended>,
        killed: Option<Killed>,
    ) -> Result<Termination, SandboxError> {
        let ending = match (killed, ended) {
            (Some(why), _) => Ending::Killed(why),
            (None, Some(ended)) => Ending::Own(ended),
            (None, None) => return Err(SandboxError::StubLost),
        };
        let limits = Limits { memory: self.memory_limit(), ..self.limits.clone() };
        let account = self.group.account(&limits).map_err(group)?;
        // Of output a session has no bound, but its cells have.
        let evidence = Evidence { ending, account: &account, output: 0, limits: &limits };
        let termination = outcome::termination(&evidence)?;
        self.ended = Some(termination);
        Ok(termination)
    }
}

fn hear_from(seat: &mut Seat, request: Option<&ExecRequest>) -> Result<Option<Ended>, SandboxError> {
    while let Some(report) = seat.next_report()? {
        match report {
            Report::Ended(ended) => return Ok(Some(ended)),
            Report::Failed { stage: Stage::Exec, errno } => {
                let program = request.and_then(|request| request.argv.first().cloned());
                let (program, source) = (program.unwrap_or_default(), errno.into());
                return Err(SandboxError::Exec { program, source });
            }
            Report::Failed { stage, errno } => {
                return Err(SandboxError::Cage { stage, source: errno.into() });
            }
            Report::Reaped { .. } => return Err(SandboxError::StubLost),
            Report::Waiting | Report::Listening => {}
        }
    }
    Ok(None)
}

pub(super) fn is_readable(fd: &OwnedFd, time: Duration) -> Result<bool, SandboxError> {
    let timeout = Timespec::try_from(time).map_err(|_far| system("set a deadline")(Errno::OVERFLOW))?;
    match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(system("wait for the session")(errno)),
    }
}

impl Drop for SessionCage {
    fn drop(&mut self) {
        match &self.standing {
            // With the cage, unless there are branches that need it.
            Standing::Trunk if Arc::strong_count(&self.family) == 1 => {}
            Standing::Trunk | Standing::Branch { .. } => {
                if let Err(error) = self.kill() {
                    tracing::warn!(%error, "a session is left to the end of its cage");
                }
            }
        }
        if matches!(self.standing, Standing::Branch { .. }) {
            self.family.bank.leave(self.group.clone());
        }
    }
}
