//! A toolchain that is looked at from time to time, and how long to leave alone what failed.

use std::time::{Duration, Instant};

use crate::toolchain::{ToolchainFiles, ToolchainIdentity};

/// A change of the toolchain is noticed within this time.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// After the first failure, and twice as long after each that follows.
const FAILED_WAIT: Duration = Duration::from_secs(1);
const FAILED_WAIT_MAX: Duration = Duration::from_secs(60);

/// A toolchain, and what it was when it was last looked at.
#[derive(Debug)]
pub(crate) struct Watch {
    files: ToolchainFiles,
    identity: ToolchainIdentity,
    looked_at: Instant,
}

impl Watch {
    pub(crate) fn begin(files: ToolchainFiles, now: Instant) -> Self {
        Self { identity: files.look(), files, looked_at: now }
    }

    /// Whether it has changed since it was last asked.
    pub(crate) fn has_changed(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.looked_at) < LOOK_INTERVAL {
            return false;
        }
        self.looked_at = now;
        let identity = self.files.look();
        std::mem::replace(&mut self.identity, identity) != identity
    }

    /// What it was then.
    pub(crate) const fn identity(&self) -> ToolchainIdentity {
        self.identity
    }
}

/// How long to wait after so many failures in a row.
pub(crate) fn wait_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(FAILED_WAIT_MAX.as_secs().ilog2() + 1);
    (FAILED_WAIT * (1 << doublings)).min(FAILED_WAIT_MAX)
}
