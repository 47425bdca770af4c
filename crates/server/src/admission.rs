//! Admission: how many requests are in work, how many wait, and for how long.
//!
//! Owns the bound in front of the engine. A request in work holds a turn, and there are a few more turns than cages, so
//! that while some wait for a cage others are read and written. Waiting is first come, first served.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns for each cage of the host.
pub(crate) const TURNS_PER_SLOT: usize = 2;

/// The share of a new turn in the mean of turns: the last dozen or so count.
const PACE_SHARE: f64 = 1.0 / 16.0;

/// What clients are told to wait at least and at most before they try again.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The bound in front of the engine.
#[derive(Debug)]
pub(crate) struct Admission {
    turns: Arc<Semaphore>,
    turns_max: usize,
    queue_max: usize,
    queue_time: Duration,
    waiting: AtomicUsize,
    /// Mean seconds of a turn.
    pace: Mutex<f64>,
}

/// A request's turn; over when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    began: Instant,
    admission: Arc<Admission>,
    /// How long was waited for it.
    pub(crate) waited: Duration,
}

/// Why a request gets no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoTurn {
    /// As many wait as may.
    QueueFull,
    /// It waited for as long as it may.
    QueueDeadline,
}

/// Counts one who waits for as long as it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(slots: usize, queue_max: usize, queue_time: Duration) -> Arc<Self> {
        let turns_max = slots * TURNS_PER_SLOT;
        Arc::new(Self {
            turns: Arc::new(Semaphore::new(turns_max)),
            turns_max,
            queue_max,
            queue_time,
            waiting: AtomicUsize::new(0),
            pace: Mutex::new(0.0),
        })
    }

    /// Waits for a turn: not at all if as many wait as may, and not longer than the queue's time.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<Turn, NoTurn> {
        let asked = Instant::now();
        if let Ok(permit) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(self.turn(permit, asked));
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue_max {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(NoTurn::QueueFull);
        }
        let _waiting = Waiting(&self.waiting);
        let acquired = tokio::time::timeout(self.queue_time, Arc::clone(&self.turns).acquire_owned());
        let permit = acquired.await.map_err(|_elapsed| NoTurn::QueueDeadline)?;
        Ok(self.turn(permit.expect("the semaphore is never closed"), asked))
    }

    /// Waits for another turn, however long, for a request that had one: it has been admitted.
    pub(crate) async fn enter_again(self: &Arc<Self>) -> Turn {
        let asked = Instant::now();
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        self.turn(permit.expect("the semaphore is never closed"), asked)
    }

    /// Turns there are.
    pub(crate) const fn turns(&self) -> usize {
        self.turns_max
    }

    /// Turns taken.
    pub(crate) fn running(&self) -> usize {
        self.turns_max - self.turns.available_permits()
    }

    /// Requests that wait for their first turn.
    pub(crate) fn queued(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// After how many seconds those who wait now will have had their turns, as far as the last turns tell.
    pub(crate) fn retry_after(&self) -> u64 {
        let pace = *self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = pace * (self.queued() + 1) as f64 / self.turns_max as f64;
        let (least, most) = RETRY_AFTER;
        Duration::try_from_secs_f64(wait.ceil()).unwrap_or(most).clamp(least, most).as_secs()
    }

    fn turn(self: &Arc<Self>, permit: OwnedSemaphorePermit, asked: Instant) -> Turn {
        Turn { _permit: permit, began: Instant::now(), admission: Arc::clone(self), waited: asked.elapsed() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let took = self.began.elapsed().as_secs_f64();
        let mut pace = self.admission.pace.lock().unwrap_or_else(PoisonError::into_inner);
        *pace += (took - *pace) * PACE_SHARE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_has_a_length_and_a_time() {
        let admission = Admission::new(1, 1, Duration::from_millis(20));
        let first = admission.enter().await.unwrap();
        let _second = admission.enter().await.unwrap();
        let third = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter().await.map(|turn| turn.waited) }
        });
        while admission.queued() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.enter().await.unwrap_err(), NoTurn::QueueFull);
        assert_eq!(third.await.unwrap().unwrap_err(), NoTurn::QueueDeadline);
        assert_eq!(admission.queued(), 0);
        drop(first);
        assert!(admission.enter().await.is_ok());
        assert_eq!(admission.running(), 1);
    }

    #[tokio::test]
    async fn one_who_stops_waiting_is_not_counted() {
        let admission = Admission::new(1, 1, Duration::from_secs(60));
        let _turns = (admission.enter().await.unwrap(), admission.enter().await.unwrap());
        let waiting = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter().await.map(drop) }
        });
        while admission.queued() == 0 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(admission.queued(), 0);
    }
}
