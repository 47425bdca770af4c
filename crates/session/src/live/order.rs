//! Sessions in the order in which they were last used.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::live::session::Shared;

/// The order, and the clock by which uses are remembered.
#[derive(Debug)]
pub(super) struct Order {
    began: Instant,
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    next: u64,
    by_place: BTreeMap<u64, Weak<Shared>>,
}

impl Order {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), sessions: Mutex::default() }
    }

    /// Takes note of the use of a session.
    pub(super) fn touch(&self, shared: &Arc<Shared>) {
        let mut sessions = self.lock();
        let place = sessions.next;
        sessions.next += 1;
        let last = shared.place.swap(place, Ordering::Relaxed);
        sessions.by_place.remove(&last);
        sessions.by_place.insert(place, Arc::downgrade(shared));
        shared.used_at.store(milliseconds(self.began.elapsed()), Ordering::Relaxed);
    }

    /// Leaves a session out until it is used again.
    pub(super) fn forget(&self, shared: &Shared) {
        self.lock().by_place.remove(&shared.place.load(Ordering::Relaxed));
    }

    /// From the one that was not used for longest.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = Arc<Shared>> {
        self.after(0)
    }

    /// Those that were last used at this place of the order or later.
    pub(super) fn after(&self, mut place: u64) -> impl Iterator<Item = Arc<Shared>> {
        // One at a time: what is done with each may change the order.
        std::iter::from_fn(move || {
            loop {
                let (at, shared) = {
                    let sessions = self.lock();
                    let (at, shared) = sessions.by_place.range(place..).next()?;
                    (*at, Weak::clone(shared))
                };
                place = at + 1;
                if let Some(shared) = shared.upgrade() {
                    return Some(shared);
                }
            }
        })
    }

    /// Whether it was not used for so long.
    pub(super) fn is_idle(&self, shared: &Shared, idle: Duration) -> bool {
        let Some(before) = self.began.elapsed().checked_sub(idle) else { return false };
        shared.used_at.load(Ordering::Relaxed) <= milliseconds(before)
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
