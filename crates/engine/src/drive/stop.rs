//! A request to stop a run early and leave it so that it can be resumed.

use std::sync::Arc;

use tokio::sync::watch;

/// A handle shared by whoever may ask and everything that must listen. It cannot be taken back.
#[derive(Clone, Debug)]
pub struct Stop {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)) }
    }
}

impl Stop {
    /// A handle nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everything that holds a clone to stop.
    pub fn request(&self) {
        self.sender.send_replace(true);
    }

    /// Whether [`Stop::request`] was called.
    pub fn is_requested(&self) -> bool {
        *self.sender.borrow()
    }

    /// Resolves once [`Stop::request`] is called, at once if it already was.
    pub async fn requested(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let _never_closed = receiver.wait_for(|requested| *requested).await;
    }
}
