//! Memory that a session has in common with its branches.
//!
//! A page is charged to whoever made it, for as long as anybody has it. What a session wrote before it was branched stays its own
//! therefore when it writes it anew, for as long as the branch has the old: it would meet its limit by that alone. So it may have
//! as much more as it had when it was branched.

use std::sync::{Arc, Weak};

use rollcage_types::ByteSize;

use crate::error::SandboxError;
use crate::session::cage::{Init, SessionCage, group};

/// What of it is whose.
#[derive(Debug, Default)]
pub(super) struct SharedMemory {
    /// The branches, and what the session had when each was made.
    branches: Vec<(Weak<Init>, u64)>,
    /// What it may have more.
    allowed: u64,
}

impl SharedMemory {
    /// What it may have more because of those that are still there. However many they are, no more than for one: a session does not
    /// hold twice what it may because it is branched often.
    fn wanted(&mut self) -> u64 {
        self.branches.retain(|(init, _)| init.strong_count() > 0);
        self.branches.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0)
    }
}

impl SessionCage {
    /// Memory that it may have at this moment.
    pub fn memory_limit(&self) -> ByteSize {
        ByteSize::bytes(self.limits.memory.as_u64().saturating_add(self.shared.allowed))
    }

    /// Takes note of a branch that was just made.
    pub(super) fn share_memory_with(&mut self, init: &Arc<Init>) -> Result<(), SandboxError> {
        let now = self.memory()?.as_u64().min(self.limits.memory.as_u64());
        self.shared.branches.push((Arc::downgrade(init), now));
        self.settle_memory_limit()
    }

    /// Has the limit on memory follow which branches there are.
    pub(super) fn settle_memory_limit(&mut self) -> Result<(), SandboxError> {
        let before = self.shared.allowed;
        self.shared.allowed = self.shared.wanted();
        if self.shared.allowed > before {
            return self.group.limit_memory(self.memory_limit()).map_err(group);
        }
        // Of what the branches had it may have kept more than it may have now; that is found when it takes more yet.
        if self.shared.allowed < before && self.group.limit_memory(self.memory_limit()).is_err() {
            self.shared.allowed = before;
        }
        Ok(())
    }
}
