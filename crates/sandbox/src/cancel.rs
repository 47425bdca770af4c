//! A request to end a run early, from any thread.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// A handle that ends the runs it was given to. Clones share the request; it cannot be taken back.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    requested: bool,
    /// One eventfd for each run in progress.
    wakers: Vec<Arc<OwnedFd>>,
}

impl Cancel {
    /// A handle nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends every run that holds a clone of this handle, and every later one at its start.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.requested = true;
        for waker in state.wakers.drain(..) {
            // An eventfd write fails only if its counter is full, and then it is readable anyway.
            let _woken = rustix::io::write(&waker, &1_u64.to_ne_bytes());
        }
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.lock().requested
    }

    /// Has `waker` written to when [`Cancel::cancel`] is called, until the guard is dropped. `None` if it
    /// already was.
    pub(crate) fn watch(&self, waker: &Arc<OwnedFd>) -> Option<Watch<'_>> {
        let mut state = self.lock();
        if state.requested {
            return None;
        }
        state.wakers.push(Arc::clone(waker));
        Some(Watch { cancel: self, waker: Arc::clone(waker) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while the lock is held, and the state stays valid if something did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a waker registered.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    cancel: &'a Cancel,
    waker: Arc<OwnedFd>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.cancel.lock().wakers.retain(|waker| !Arc::ptr_eq(waker, &self.waker));
    }
}
