//! Waiting until a session can be put aside, while all that are live run cells.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Who was just made live is about to run a cell, or can be put aside.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// What is known of the cells of all sessions.
#[derive(Debug, Default)]
pub(super) struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Cells that are running.
    running: u64,
    /// Changes whenever there may be room that was not there before.
    changes: u64,
}

/// A cell that is running, until this is dropped.
#[derive(Debug)]
pub(super) struct RunningCell<'a>(&'a Room);

/// A moment that one can wait to be past.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

impl Room {
    pub(super) fn cell(&self) -> RunningCell<'_> {
        self.state().running += 1;
        RunningCell(self)
    }

    pub(super) fn now(&self) -> Moment {
        Moment(self.state().changes)
    }

    /// There may be room now.
    pub(super) fn note_change(&self) {
        self.state().changes += 1;
        self.changed.notify_all();
    }

    /// Waits until there may be room that was not there at `moment`. Not for long if no cell is running that could make it.
    pub(super) fn wait_past(&self, moment: Moment, deadline: Instant) -> bool {
        let soon = deadline.min(Instant::now() + ON_THE_WAY);
        let mut state = self.state();
        while state.changes == moment.0 {
            let until = if state.running > 0 { deadline } else { soon };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RunningCell<'_> {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.note_change();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn nobody_waits_for_what_nobody_can_bring() {
        let room = Room::default();
        assert!(!room.wait_past(room.now(), soon()));
        let cell = room.cell();
        assert!(!room.wait_past(room.now(), Instant::now()), "its time is over");
        let before = room.now();
        drop(cell);
        assert!(room.wait_past(before, Instant::now()), "it came before anybody waited");
    }

    #[test]
    fn the_end_of_a_cell_ends_the_wait() {
        let room = Room::default();
        let cell = room.cell();
        let before = room.now();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| room.wait_past(before, soon()));
            drop(cell);
            assert!(waiter.join().unwrap());
        });
    }
}
