//! One place for a cage: a uid, a control group or another way of counting, and a seat at each launcher of the host.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use crate::accounts::Accounts;
use crate::error::SandboxError;
use crate::launch::Launcher;
use crate::workspace::DirectoryWorkspace;

/// What a slot is made of, for as long as its host lives.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) index: u32,
    /// The program's user, as it sees itself.
    pub(crate) uid: u32,
    /// Where cages have no mounts of their own.
    pub(crate) directory: Option<Arc<DirectoryWorkspace>>,
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
    /// Whose cage was in the slot last, and may not have been seen off.
    last: Weak<Launcher>,
}

impl Slot {
    pub(crate) const fn new(fixture: Fixture, accounts: Accounts, waker: Arc<OwnedFd>) -> Self {
        Self { fixture, accounts, waker, buffer: Vec::new(), last: Weak::new() }
    }

    /// Makes sure that nothing is left of a cage of another launcher's: both would have one uid and one group.
    pub(crate) fn settle_with(&mut self, launcher: &Arc<Launcher>) -> Result<(), SandboxError> {
        // An eventfd left readable by a cancellation that came too late would cancel this run.
        let mut stale = [0; 8];
        let _drained = rustix::io::read(&self.waker, &mut stale);
        // One that is dropped has seen its cages off.
        let last = self.last.upgrade();
        if let Some(last) = last.filter(|last| !Arc::ptr_eq(last, launcher)) {
            let mut seat = last.take_seat(self.fixture.index);
            let seen_off = seat.await_reaped();
            last.put_back(self.fixture.index, seat);
            match seen_off {
                // With its launcher goes every cage.
                Err(SandboxError::LauncherGone) => last.await_end(),
                other => other?,
            }
        }
        self.last = Arc::downgrade(launcher);
        Ok(())
    }
}
