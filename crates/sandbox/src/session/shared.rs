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
    branches: Vec<Sharing>,
    /// What it may have more.
    allowed: u64,
}

/// A branch.
#[derive(Debug)]
struct Sharing {
    init: Weak<Init>,
    /// What the session had when it was made. It has the same until its next turn, when that is looked at.
    bytes: Option<u64>,
}

impl SharedMemory {
    /// Takes note of a branch that was just made.
    pub(super) fn add(&mut self, init: &Arc<Init>) {
        self.branches.push(Sharing { init: Arc::downgrade(init), bytes: None });
    }
}

impl SessionCage {
    /// Memory that it may have at this moment.
    pub fn memory_limit(&self) -> ByteSize {
        ByteSize::bytes(self.limits.memory.as_u64().saturating_add(self.shared.allowed))
    }

    /// Has the limit on memory follow which branches there are, before it is given anything to do.
    pub fn settle_memory_limit(&mut self) -> Result<(), SandboxError> {
        self.shared.branches.retain(|sharing| sharing.init.strong_count() > 0);
        if self.shared.branches.iter().any(|sharing| sharing.bytes.is_none()) {
            let now = self.memory()?.as_u64().min(self.limits.memory.as_u64());
            for sharing in &mut self.shared.branches {
                sharing.bytes.get_or_insert(now);
            }
        }
        // However many they are, no more than for one: a session does not hold twice what it may because it is branched often.
        let wanted = self.shared.branches.iter().filter_map(|sharing| sharing.bytes).max().unwrap_or(0);
        let to = ByteSize::bytes(self.limits.memory.as_u64().saturating_add(wanted));
        // It may have kept more of what the branches had than it may have now. Then it may not take more yet.
        if wanted != self.shared.allowed && self.group.limit_memory(self.memory_limit(), to).map_err(group)? {
            self.shared.allowed = wanted;
        }
        Ok(())
    }
}
