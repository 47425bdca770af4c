//! Waiting until a session can be put aside, while all that are live do something.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Until a cell ends whose session can be put aside then.
const WAIT: Duration = Duration::from_mins(1);
/// Who was just made live is about to run a cell, or can be put aside.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Memory of who was ended is free a little later, which nobody tells.
const LOOK: Duration = Duration::from_millis(20);
/// Until sessions are looked at that could not be put aside.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What is known of what all sessions do.
#[derive(Debug, Default)]
pub(super) struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Those that run a cell, or come up.
    busy: u64,
    /// Changes whenever there may be room that was not there before.
    changes: u64,
}

/// One that does something, until this is dropped.
#[derive(Debug)]
pub(super) struct Busy<'a>(&'a Room);

/// Somebody who waits for room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    deadline: Instant,
    /// Of the last change that was seen.
    since: Instant,
    changes: u64,
    /// When all sessions were last looked at, and the changes there had been.
    looked_at: Option<(Instant, u64)>,
}

impl Wait {
    /// Whether nobody does anything that could make room, or has not for too long.
    fn is_over(&self, busy: u64) -> bool {
        let until = if busy > 0 { self.deadline } else { self.deadline.min(self.since + ON_THE_WAY) };
        Instant::now() >= until
    }
}

impl Room {
    pub(super) fn busy(&self) -> Busy<'_> {
        self.state().busy += 1;
        Busy(self)
    }

    /// There may be room now.
    pub(super) fn note_change(&self) {
        self.state().changes += 1;
        self.changed.notify_all();
    }

    /// Somebody begins to wait.
    pub(super) fn wait(&self) -> Wait {
        let now = Instant::now();
        Wait { deadline: now + WAIT, since: now, changes: self.state().changes, looked_at: None }
    }

    /// Whether it is worth looking at all sessions (again): something has changed since, or some time has gone by. Not every
    /// session that can be put aside from now on says so.
    pub(super) fn has_news(&self, wait: &mut Wait) -> bool {
        let changes = self.state().changes;
        let is_known = |(when, known): (Instant, u64)| known == changes && when.elapsed() < LOOK_AGAIN;
        if wait.looked_at.is_some_and(is_known) {
            return false;
        }
        wait.looked_at = Some((Instant::now(), changes));
        true
    }

    /// Waits a moment, or until there may be room that was not there before; whether it is worth going on.
    pub(super) fn wait_on(&self, wait: &mut Wait) -> bool {
        let mut state = self.state();
        if state.changes == wait.changes {
            (state, _) = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
        }
        if state.changes != wait.changes {
            (wait.changes, wait.since) = (state.changes, Instant::now());
        }
        !wait.is_over(state.busy)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.note_change();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_what_nobody_can_bring() {
        let room = Room::default();
        let mut wait = room.wait();
        while room.wait_on(&mut wait) {}
        assert!(wait.since.elapsed() < WAIT);

        let busy = room.busy();
        assert!(room.wait_on(&mut wait), "somebody is busy who could");
        assert!(room.has_news(&mut wait), "nobody has looked yet");
        // As if that was a moment ago, however slow the machine is.
        wait.looked_at = wait.looked_at.map(|(_when, known)| (Instant::now() + WAIT, known));
        assert!(!room.has_news(&mut wait));
        drop(busy);
        assert!(room.has_news(&mut wait) && room.wait_on(&mut wait), "and may have");
        wait.deadline = Instant::now();
        assert!(!room.wait_on(&mut wait), "its time is over");
    }

    #[test]
    fn the_end_of_a_cell_ends_the_wait() {
        let room = Room::default();
        let busy = room.busy();
        let mut wait = room.wait();
        let before = wait.changes;
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                while wait.changes == before {
                    assert!(room.wait_on(&mut wait));
                }
            });
            drop(busy);
            waiter.join().unwrap();
        });
    }
}
