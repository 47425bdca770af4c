//! The cage of a session and of all branches of it, which stays until the last of them is gone.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollcage_guest::BRANCHES_MAX;

use crate::seat::Seat;
use crate::session::bank::{Berth, SessionBank};

/// A cage, until the last who is in it is gone.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) bank: Arc<SessionBank>,
    pub(super) uid: u32,
    /// `None` once it is given back.
    place: Mutex<Option<(Berth, Seat)>>,
    /// Branches there have been, for their names.
    branches: AtomicU64,
    /// Those that there are.
    living: AtomicU32,
}

impl Family {
    pub(super) fn new(bank: Arc<SessionBank>, berth: Berth, seat: Seat) -> Arc<Self> {
        let uid = berth.fixture.uid;
        let place = Mutex::new(Some((berth, seat)));
        Arc::new(Self { bank, uid, place, branches: AtomicU64::new(0), living: AtomicU32::new(0) })
    }

    /// Does something with the seat. Only the session that the cage was made for does.
    pub(super) fn with_seat<T>(&self, act: impl FnOnce(&mut Seat) -> T) -> T {
        let mut place = self.lock();
        let (_berth, seat) = place.as_mut().expect("given back only at the end");
        act(seat)
    }

    /// A number for another branch.
    pub(super) fn next_branch(&self) -> u64 {
        self.branches.fetch_add(1, Ordering::Relaxed)
    }

    /// Room for one more branch, unless there are as many as there may be.
    pub(super) fn admit_branch(self: &Arc<Self>) -> Option<Admitted> {
        let one_more = |living| (living < BRANCHES_MAX).then_some(living + 1);
        self.living.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Admitted(Arc::clone(self)))
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Berth, Seat)>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((berth, seat)) = place {
            seat.abandon(self.bank.launcher().control());
            self.bank.give_back(berth, seat);
        }
    }
}

/// A branch's place among those of its family.
#[derive(Debug)]
pub(super) struct Admitted(Arc<Family>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.living.fetch_sub(1, Ordering::Relaxed);
    }
}
