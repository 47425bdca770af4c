//! Tasks that count towards a program's RLIMIT_NPROC and are not its own.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rollcage_types::IsolationLevel;

use super::process_table;

/// A count is used this long: it takes a walk of all of /proc.
const FRESH: Duration = Duration::from_secs(1);
/// Tasks that other cages of the host, or the user, may start meanwhile. Too few would make a program fail for them; too
/// many only let a fork bomb grow so far before it is seen.
const HEADROOM: u32 = 256;

/// Counts them.
#[derive(Debug)]
pub(crate) struct Bystanders {
    level: IsolationLevel,
    uid: u32,
    last: Mutex<Option<(Instant, u32)>>,
}

impl Bystanders {
    /// Of programs that run as `uid` of this host's, at level process.
    pub(crate) const fn new(level: IsolationLevel, uid: u32) -> Self {
        Self { level, uid, last: Mutex::new(None) }
    }

    /// How many there are, for a host of `slots`.
    pub(crate) fn count(&self, slots: usize) -> u32 {
        match self.level {
            // The uid is the program's alone.
            IsolationLevel::Full => 0,
            // So is the namespace, but for the stub.
            IsolationLevel::Rootless => 1,
            IsolationLevel::Process => {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                let tasks = match *last {
                    Some((at, tasks)) if at.elapsed() < FRESH => tasks,
                    _ => {
                        let tasks = process_table::tasks_of(self.uid);
                        *last = Some((Instant::now(), tasks));
                        tasks
                    }
                };
                tasks.saturating_add(HEADROOM).saturating_add(u32::try_from(slots).unwrap_or(u32::MAX))
            }
        }
    }
}
