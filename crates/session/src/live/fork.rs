//! Going other ways from where a session stands: forks, and snapshots to come back to.

use std::sync::Arc;

use rollcage_sandbox::{Cancel, NotBranched};

use crate::live::alive::Live;
use crate::live::error::LiveError;
use crate::live::inner::{Inner, Stand, not_brought};
use crate::live::log::{Entry, EntryId};
use crate::live::outcome::Rehydrated;
use crate::live::rehydrate::rebuild;
use crate::live::session::{LiveSession, Shared};

/// Forks at once.
const FORKS_MAX: usize = 10_000;

/// Sessions that another was forked into.
#[derive(Clone, Debug)]
pub struct Forked {
    /// As many as were asked for.
    pub sessions: Vec<LiveSession>,
    /// How they came to be.
    pub way: ForkWay,
}

/// How a session was forked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForkWay {
    /// The interpreter was copied as it was, with all it held.
    Copied,
    /// At least one is a fresh interpreter that was told the same.
    Replayed {
        /// Why no copy was made.
        reason: String,
    },
}

/// A place in a session's history that it can go back to.
#[derive(Clone, Debug)]
pub struct Snapshot {
    session: u64,
    entries: usize,
    /// The last of them.
    last: Option<EntryId>,
    /// The interpreter as it was there.
    copy: Option<LiveSession>,
}

impl LiveSession {
    /// Where the session stands, to come back to.
    pub fn snapshot(&self) -> Result<Snapshot, LiveError> {
        self.live(|inner, _cancel| Ok(inner.snapshot(self.0.id)))
    }

    /// As [`Self::snapshot`], and keeps a copy of the interpreter as it is, to come back to without a replay. While the snapshot is
    /// kept the copy counts as a live session of the farm, which may put it aside for others.
    pub fn snapshot_live(&self) -> Result<Snapshot, LiveError> {
        self.live(|inner, cancel| {
            let copy = inner.branch(&self.0, cancel)?;
            let copy = copy.map_err(|NotBranched { reason }| LiveError::NotCopied { reason })?;
            let entries = inner.log.len();
            inner.copies.retain(|(_, copy)| copy.strong_count() > 0);
            inner.copies.push((entries, Arc::downgrade(&copy.0)));
            Ok(Snapshot { copy: Some(copy), ..inner.snapshot(self.0.id) })
        })
    }

    /// Brings back the state of a snapshot: by replay, from the files the session began with, unless the snapshot is live. To a live
    /// one it can come back even after cells before it were undone. A session that cannot be brought there keeps its history.
    pub fn restore_to(&self, snapshot: &Snapshot) -> Result<Rehydrated, LiveError> {
        let cancel = Cancel::new();
        let (mut inner, _running) = self.0.begin(&cancel)?;
        if snapshot.session != self.0.id {
            return Err(LiveError::ForeignSnapshot);
        }
        if let Some(copy) = &snapshot.copy {
            return inner.become_copy_of(&self.0, copy, &cancel);
        }
        inner.load_log()?;
        if inner.log.len() < snapshot.entries {
            return Err(LiveError::ForeignSnapshot);
        }
        if inner.log[..snapshot.entries].last().map(Entry::id) != snapshot.last {
            return Err(LiveError::ForeignSnapshot);
        }
        inner.go_back(&self.0, snapshot.entries, &cancel)
    }

    /// Brings back the state before the cell that ended the interpreter: from a live snapshot if one was taken right before it, else
    /// by replay.
    pub fn restore(&self) -> Result<Rehydrated, LiveError> {
        self.restore_until(&Cancel::new())
    }

    /// As [`Self::restore`], unless it is cancelled first.
    pub fn restore_until(&self, cancel: &Cancel) -> Result<Rehydrated, LiveError> {
        let (mut inner, _running) = self.0.begin(cancel)?;
        match &inner.stand {
            Stand::Live(_) => Ok(Rehydrated::default()),
            Stand::Evicted(_) => {
                inner.be_live(&self.0, cancel).map(|()| inner.rehydrated.clone().unwrap_or_default())
            }
            Stand::Poisoned(_) => {
                if let Some(copy) = inner.copy_of_now() {
                    match inner.become_copy_of(&self.0, &copy, cancel) {
                        // It has no state either.
                        Err(LiveError::Poisoned { .. } | LiveError::Closed | LiveError::Diverged { .. }) => {}
                        other => return other,
                    }
                }
                let all = inner.log.len();
                inner.go_back(&self.0, all, cancel)
            }
            Stand::Closed => Err(LiveError::Closed),
        }
    }

    /// Makes sessions that begin where this one stands, and go their own ways: memory, files, directories and numbers yet to be
    /// drawn. Where the interpreter cannot be copied they are replayed; which it was is told.
    pub fn fork(&self, count: usize) -> Result<Forked, LiveError> {
        self.fork_until(count, &Cancel::new())
    }

    fn fork_until(&self, count: usize, cancel: &Cancel) -> Result<Forked, LiveError> {
        if count > FORKS_MAX {
            return Err(LiveError::TooManyForks { count, max: FORKS_MAX });
        }
        let (mut inner, _running) = self.0.begin(cancel)?;
        inner.be_live(&self.0, cancel)?;
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            if cancel.is_cancelled() {
                return Err(LiveError::Interrupted);
            }
            match inner.branch(&self.0, cancel)? {
                Ok(session) => sessions.push(session),
                Err(NotBranched { reason }) => {
                    let others = self.fork_by_replay(&mut inner, count - sessions.len(), cancel)?;
                    sessions.extend(others);
                    return Ok(Forked { sessions, way: ForkWay::Replayed { reason } });
                }
            }
        }
        Ok(Forked { sessions, way: ForkWay::Copied })
    }

    fn fork_by_replay(
        &self,
        inner: &mut Inner,
        count: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Self>, LiveError> {
        let files = inner.cage()?.all_files()?;
        let branch = |_| {
            let (live, rehydrated) = rebuild(&self.0, &inner.log, Some(&files), cancel)?;
            let branch = Inner { rehydrated: Some(rehydrated), ..Inner::of(live, inner.log.clone()) };
            Ok(Self::beside(&self.0, branch))
        };
        (0..count).map(branch).collect()
    }
}

impl Inner {
    /// The live snapshot of the state that the log leads to.
    fn copy_of_now(&self) -> Option<LiveSession> {
        let now = self.log.len();
        self.copies
            .iter()
            .rev()
            .filter(|(entries, _)| *entries == now)
            .find_map(|(_, copy)| copy.upgrade())
            .map(LiveSession)
    }

    /// Takes the state of another session, which stays as it is.
    fn become_copy_of(
        &mut self,
        shared: &Arc<Shared>,
        other: &LiveSession,
        cancel: &Cancel,
    ) -> Result<Rehydrated, LiveError> {
        let was_live = self.give_up(shared)?;
        let forked = other.fork_until(1, cancel).map_err(|error| not_brought(error, was_live))?;
        let copy = forked.sessions.into_iter().next().ok_or(LiveError::Closed)?;
        let mut copied = copy.0.lock()?;
        copied.be_live(&copy.0, cancel).map_err(|error| not_brought(error, was_live))?;
        let state = std::mem::replace(&mut copied.stand, Stand::Closed);
        self.log = std::mem::take(&mut copied.log);
        self.copies = vec![(self.log.len(), Arc::downgrade(&other.0))];
        self.leave(&shared.farm, state);
        shared.farm.order.touch(shared);
        Ok(copied.rehydrated.take().unwrap_or_default())
    }

    /// A branch of the running interpreter, as a session.
    pub(super) fn branch(
        &mut self,
        shared: &Shared,
        cancel: &Cancel,
    ) -> Result<Result<LiveSession, NotBranched>, LiveError> {
        let waiting = self.live()?.waiting;
        let files = self.cage()?.workspace_used().map_err(LiveError::Sandbox)?;
        let (_room, place) = shared.farm.room_for_branch(files, cancel)?;
        let branched = match self.cage()?.branch(waiting) {
            Ok(branched) => branched,
            Err(error) => {
                // It may have been half-way.
                self.leave(&shared.farm, Stand::Poisoned(error.to_string()));
                return Err(LiveError::Sandbox(error));
            }
        };
        let cage = match branched {
            Ok(cage) => cage,
            Err(not_branched) => return Ok(Err(not_branched)),
        };
        let live = Live::new(cage, place, shared.agent.tasks).map_err(LiveError::Sandbox)?;
        Ok(Ok(LiveSession::beside(shared, Inner::of(live, self.log.clone()))))
    }

    pub(super) fn snapshot(&self, session: u64) -> Snapshot {
        let last = self.log.last().map(Entry::id);
        Snapshot { session, entries: self.log.len(), last, copy: None }
    }
}
