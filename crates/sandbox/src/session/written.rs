//! Bytes of a session's workspace that were written from outside.
//!
//! The kernel charges the memory of a file to whoever writes it first. What the supervisor writes for a session (its first files,
//! files that are put, the copy of a workspace for a branch) is in no group of the session's, and is counted here instead.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::fstatvfs;
use rustix::io::Errno;

/// Of one session, as part of a sum. Taken off that when it is dropped.
#[derive(Debug)]
pub(super) struct Written {
    all: Arc<AtomicU64>,
    own: AtomicU64,
}

impl Written {
    pub(super) const fn none_yet(all: Arc<AtomicU64>) -> Self {
        Self { all, own: AtomicU64::new(0) }
    }

    /// Adds `bytes`. What was written to the same place before is not told apart, so that the whole is never taken for more than
    /// the workspace holds.
    pub(super) fn add(&self, bytes: u64, workspace: &OwnedFd) -> Result<(), Errno> {
        let most = used(workspace)?;
        let before = self.own.load(Ordering::Relaxed);
        let now = before.saturating_add(bytes).min(most).max(before);
        self.own.store(now, Ordering::Relaxed);
        self.all.fetch_add(now - before, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.own.get_mut(), Ordering::Relaxed);
    }
}

/// Bytes that are in use in the file system that a workspace is in.
pub(super) fn used(workspace: &OwnedFd) -> Result<u64, Errno> {
    let room = fstatvfs(workspace)?;
    Ok(room.f_blocks.saturating_sub(room.f_bfree).saturating_mul(room.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_of_those_that_are_left() {
        let all = Arc::new(AtomicU64::new(0));
        let directory: OwnedFd = std::fs::File::open(std::env::temp_dir()).unwrap().into();
        let first = Written::none_yet(Arc::clone(&all));
        let second = Written::none_yet(Arc::clone(&all));
        first.add(1000, &directory).unwrap();
        second.add(24, &directory).unwrap();
        assert_eq!(all.load(Ordering::Relaxed), 1024);
        first.add(u64::MAX, &directory).unwrap();
        assert!(all.load(Ordering::Relaxed) < u64::MAX, "no more than there is room for");
        drop(first);
        assert_eq!(all.load(Ordering::Relaxed), 24);
        drop(second);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
