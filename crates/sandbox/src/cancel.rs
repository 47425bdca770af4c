//! A request to end a run early, from any thread.

use std::sync::Arc;

/// A handle that ends the runs it was given to. Clones share the request; it cannot be taken back.
#[derive(Clone, Debug)]
pub struct Cancel {
    requested: Arc<std::sync::atomic::AtomicBool>,
}

impl Cancel {
    /// A handle nobody has used yet.
    pub fn new() -> Self {
        Self { requested: Arc::default() }
    }

    /// Ends every run that holds a clone of this handle, and every later one at its start.
    pub fn cancel(&self) {
        self.requested.store(true, std::sync::atomic::Ordering::Release);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.requested.load(std::sync::atomic::Ordering::Acquire)
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}
