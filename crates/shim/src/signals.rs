//! Holding back signals while the interpreter serves, and giving a child what it would have had.
//!
//! A server acts on no signal: the interpreter's handlers are not for it, and a program that signals its parent must not
//! end it. A child inherits neither pending signals nor alarms, so its mask and one action are all there is to restore.

use crate::raw::Errno;

/// What was in force before.
pub(crate) struct Held {
    mask: libc::sigset_t,
    child_ended: libc::sigaction,
}

impl Held {
    /// Blocks every signal. The end of a child gets its default action: where it is ignored there is nothing to wait
    /// for.
    pub(crate) fn take() -> Result<Self, Errno> {
        // SAFETY: all-zero bytes are an empty set and a default action.
        let mut held: Self = unsafe { core::mem::zeroed() };
        // SAFETY: as above.
        let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
        // SAFETY: fills one set.
        unsafe { libc::sigfillset(&raw mut all) };
        // SAFETY: reads one set and writes another.
        done(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut held.mask) })?;
        // SAFETY: as above.
        let default: libc::sigaction = unsafe { core::mem::zeroed() };
        // SAFETY: reads one action and writes another.
        done(unsafe { libc::sigaction(libc::SIGCHLD, &raw const default, &raw mut held.child_ended) })?;
        Ok(held)
    }

    /// In a child: as before. Last, because what it lets in may run the interpreter's handlers.
    pub(crate) fn release(&self) -> Result<(), Errno> {
        let nowhere = core::ptr::null_mut();
        // SAFETY: reads one action that sigaction(2) gave.
        done(unsafe { libc::sigaction(libc::SIGCHLD, &raw const self.child_ended, nowhere) })?;
        let nowhere = core::ptr::null_mut();
        // SAFETY: reads one set that sigprocmask(2) gave.
        done(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, nowhere) })
    }
}

fn done(result: i32) -> Result<(), Errno> {
    // Both calls fail only for numbers and pointers that are not valid.
    if result == 0 { Ok(()) } else { Err(libc::EINVAL) }
}

/// Every signal is held back while this is held; in a copy too.
pub(crate) struct Blocked(libc::sigset_t);

impl Blocked {
    pub(crate) fn take() -> Self {
        // SAFETY: all-zero bytes are an empty set.
        let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
        let mut before = all;
        // SAFETY: fills one set.
        unsafe { libc::sigfillset(&raw mut all) };
        // SAFETY: reads one set and writes another; fails only for numbers and pointers that are not valid.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before) };
        Self(before)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: reads one set that sigprocmask(2) gave.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, core::ptr::null_mut()) };
    }
}
