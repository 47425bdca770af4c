//! Memory that running cells may still take, kept free for them.

use std::sync::{Arc, Mutex, PoisonError};

use rollcage_types::ByteSize;

/// What all sessions together may have, and what of it is promised.
#[derive(Debug)]
pub(super) struct Budget {
    total: u64,
    promised: Mutex<u64>,
}

/// A promise, until it is dropped.
#[derive(Debug)]
pub(super) struct Promise {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(total: ByteSize) -> Arc<Self> {
        Arc::new(Self { total: total.as_u64(), promised: Mutex::new(0) })
    }

    pub(super) const fn total(&self) -> ByteSize {
        ByteSize::bytes(self.total)
    }

    /// Promises `bytes` if they are left beside those that are promised and those `used` already.
    pub(super) fn promise(self: &Arc<Self>, bytes: u64, used: u64) -> Option<Promise> {
        let mut promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = used.saturating_add(*promised).saturating_add(bytes);
        if taken > self.total {
            return None;
        }
        *promised += bytes;
        Some(Promise { budget: Arc::clone(self), bytes })
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        *self.budget.promised.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_twice_is_there_twice() {
        let budget = Budget::new(ByteSize::bytes(100));
        let first = budget.promise(40, 30).unwrap();
        assert!(budget.promise(40, 30).is_none());
        let second = budget.promise(30, 30).unwrap();
        drop(first);
        assert!(budget.promise(41, 30).is_none());
        let third = budget.promise(40, 30).unwrap();
        drop((second, third));
        assert!(budget.promise(100, 0).is_some());
    }
}
