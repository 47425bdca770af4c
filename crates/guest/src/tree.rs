//! Waiting for a program and for what it left behind, and ending both.
//!
//! A cage with a pid namespace ends when its first process does. One without is a tree of processes below its stub,
//! which adopts orphans and is alone in being able to signal them all: its Landlock domain lies around theirs.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rollcage_sys::wait::{self, Ended, Patience};
use rollcage_sys::{Errno, landlock};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal};

/// How the program's process ended, or `None` where a wait failed that cannot fail.
pub(crate) fn await_program(child: Pid) -> Option<Ended> {
    loop {
        match wait::any_child(Patience::Block) {
            Ok(Some(reaped)) if reaped.pid == child => return Some(reaped),
            // An orphan the program left, or an interrupted wait.
            Ok(_) | Err(Errno::INTR) => {}
            // Cannot happen while `child` is unreaped.
            Err(_) => return None,
        }
    }
}

/// As [`await_program`], but ends the whole tree as soon as `socket` has something to say or is closed.
pub(crate) fn await_program_or_word(
    child: Pid,
    children: &OwnedFd,
    socket: BorrowedFd<'_>,
    scope: &SignalScope,
    is_the_end: &mut dyn FnMut() -> bool,
) -> Option<Ended> {
    loop {
        loop {
            match wait::any_child(Patience::Poll) {
                Ok(Some(reaped)) if reaped.pid == child => return Some(reaped),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => return None,
            }
        }
        let mut ready =
            [PollFd::new(children, PollFlags::IN), PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
        let [children_ready, word_ready] = ready.map(|fd| !fd.revents().is_empty());
        if children_ready {
            drain(children.as_fd());
        }
        if word_ready && is_the_end() {
            scope.end_everything_else();
        }
    }
}

/// Forgets what was announced: who has ended is learnt by reaping.
fn drain(children: BorrowedFd<'_>) {
    /// Of `struct signalfd_siginfo`.
    const RECORD_BYTES: usize = 128;
    let mut record = [0_u8; RECORD_BYTES];
    while rustix::io::read(children, &mut record).is_ok_and(|count| count > 0) {}
}

/// Reaps until nobody is left: branches of a program outlive it.
pub(crate) fn await_all() {
    while !matches!(wait::any_child(Patience::Block), Err(errno) if errno != Errno::INTR) {}
}

/// Reaps what has ended already; whether nothing is left.
pub(crate) fn is_alone() -> bool {
    loop {
        match wait::any_child(Patience::Poll) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// Proof that this process is in a Landlock domain of its own that scopes signals. Without it, ending everything would
/// end everything there is.
#[derive(Debug)]
pub(crate) struct SignalScope(());

impl SignalScope {
    /// Enters a domain made of `ruleset`, which must be that of [`crate::rules::signal_scope`].
    pub(crate) fn enter(ruleset: BorrowedFd<'_>) -> Result<Self, Errno> {
        landlock::restrict_self(ruleset).map(|()| Self(()))
    }

    /// Ends every other process of the domain and reaps none. "Every process" of kill(2) means those of the domain; the
    /// kernel walks them under the lock that fork(2) needs too, so that no fork gets away.
    pub(crate) fn end_everything_else(&self) {
        // To kill(2) a group of number 1 is every process but the caller.
        const EVERYTHING: Pid = Pid::INIT;
        // Fails where nothing is left to signal.
        let _sent = rustix::process::kill_process_group(EVERYTHING, Signal::KILL);
    }

    /// Ends every other process of the domain and sees them gone.
    pub(crate) fn clear(&self) {
        loop {
            self.end_everything_else();
            match wait::any_child(Patience::Block) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
