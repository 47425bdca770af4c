//! Going other ways from where a session stands: forks, and snapshots to come back to.

use std::sync::Arc;

use rollcage_sandbox::NotBranched;

use crate::live::error::LiveError;
use crate::live::inner::{Inner, Stand};
use crate::live::log::{Entry, EntryId};
use crate::live::outcome::Rehydrated;
use crate::live::rehydrate::rebuild;
use crate::live::session::{LiveSession, Shared};

/// Forks at once.
const FORKS_MAX: usize = 10_000;

/// Sessions that another was forked into.
#[derive(Clone, Debug)]
pub struct Forked {
    /// See there.
    pub sessions: Vec<LiveSession>,
    /// See there.
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
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        Ok(inner.snapshot(self.0.id))
    }

    /// As [`Self::snapshot`], and keeps a copy of the interpreter as it is, to come back to without a replay. While the snapshot is
    /// kept the copy counts as a live session of the farm, which may put it aside for others.
    pub fn snapshot_live(&self) -> Result<Snapshot, LiveError> {
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        let copy =
            inner.branch(&self.0)?.map_err(|NotBranched { reason }| LiveError::NotCopied { reason })?;
        let entries = inner.log.len();
        inner.copies.retain(|(_, copy)| copy.strong_count() > 0);
        inner.copies.push((entries, Arc::downgrade(&copy.0)));
        Ok(Snapshot { copy: Some(copy), ..inner.snapshot(self.0.id) })
    }

    /// Brings back the state of a snapshot: by replay, from the files the session began with, unless the snapshot is live. To a live
    /// one it can come back even after cells before it were undone.
    pub fn restore_to(&self, snapshot: &Snapshot) -> Result<Rehydrated, LiveError> {
        let mut inner = self.0.lock()?;
        if snapshot.session != self.0.id {
            return Err(LiveError::ForeignSnapshot);
        }
        if let Some(copy) = &snapshot.copy {
            return inner.become_copy_of(&self.0, copy);
        }
        inner.load_log()?;
        if inner.log.len() < snapshot.entries {
            return Err(LiveError::ForeignSnapshot);
        }
        if inner.log[..snapshot.entries].last().map(Entry::id) != snapshot.last {
            return Err(LiveError::ForeignSnapshot);
        }
        inner.log.truncate(snapshot.entries);
        inner.copies.retain(|(entries, _)| *entries <= snapshot.entries);
        inner.rebuild(&self.0)
    }

    /// Brings back the state before the cell that ended the interpreter: from a live snapshot if one was taken right before it, else
    /// by replay.
    pub fn restore(&self) -> Result<Rehydrated, LiveError> {
        let mut inner = self.0.lock()?;
        match &inner.stand {
            Stand::Live(_) => Ok(Rehydrated::default()),
            Stand::Evicted(_) => {
                inner.be_live(&self.0).map(|()| inner.rehydrated.clone().unwrap_or_default())
            }
            Stand::Poisoned(_) => {
                if let Some(copy) = inner.copy_of_now() {
                    match inner.become_copy_of(&self.0, &copy) {
                        // It has no state either.
                        Err(LiveError::Poisoned { .. } | LiveError::Closed | LiveError::Diverged { .. }) => {}
                        other => return other,
                    }
                }
                inner.rebuild(&self.0)
            }
            Stand::Closed => Err(LiveError::Closed),
        }
    }

    /// Makes sessions that begin where this one stands, and go their own ways: memory, files, directories and numbers yet to be
    /// drawn. Where the interpreter cannot be copied they are replayed; which it was is told.
    pub fn fork(&self, count: usize) -> Result<Forked, LiveError> {
        if count > FORKS_MAX {
            return Err(LiveError::TooManyForks { count, max: FORKS_MAX });
        }
        let mut inner = self.0.lock()?;
        inner.be_live(&self.0)?;
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            match inner.branch(&self.0)? {
                Ok(session) => sessions.push(session),
                Err(NotBranched { reason }) => {
                    sessions.append(&mut self.fork_by_replay(&mut inner, count - sessions.len())?);
                    return Ok(Forked { sessions, way: ForkWay::Replayed { reason } });
                }
            }
        }
        Ok(Forked { sessions, way: ForkWay::Copied })
    }

    fn fork_by_replay(&self, inner: &mut Inner, count: usize) -> Result<Vec<Self>, LiveError> {
        let files = inner.cage()?.all_files()?;
        let shared = &self.0;
        let branch = |_| {
            let (cage, rehydrated) = rebuild(&shared.farm, shared, &inner.log, Some(&files))?;
            let (farm, language, spec) =
                (Arc::clone(&shared.farm), Arc::clone(&shared.language), shared.spec.clone());
            let session = Self::with(farm, shared.agent.clone(), language, spec, cage, inner.log.clone());
            session.0.lock()?.rehydrated = Some(rehydrated);
            Ok(session)
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
    fn become_copy_of(&mut self, shared: &Arc<Shared>, other: &LiveSession) -> Result<Rehydrated, LiveError> {
        let nowhere = || Stand::Poisoned("it was not brought back".to_owned());
        match &self.stand {
            Stand::Closed => return Err(LiveError::Closed),
            // Not both at once: there may be room for one only.
            Stand::Live(_) => self.leave(&shared.farm, nowhere()),
            // What is on disk stays until there is something in its place.
            Stand::Evicted(_) | Stand::Poisoned(_) => {}
        }
        let copy = other.fork(1)?.sessions.pop().ok_or(LiveError::Closed)?;
        let mut copied = copy.0.lock()?;
        copied.be_live(&copy.0)?;
        self.leave(&shared.farm, nowhere());
        // As it is, and as it was counted.
        self.stand = std::mem::replace(&mut copied.stand, Stand::Closed);
        self.parked = std::mem::take(&mut copied.parked);
        self.log = std::mem::take(&mut copied.log);
        self.copied_at = copied.copied_at;
        shared.farm.touch(shared);
        self.copies = vec![(self.log.len(), Arc::downgrade(&other.0))];
        Ok(copied.rehydrated.take().unwrap_or_default())
    }

    /// A branch of the running interpreter, as a session.
    pub(super) fn branch(&mut self, shared: &Shared) -> Result<Result<LiveSession, NotBranched>, LiveError> {
        let waiting = self.waiting(shared);
        let files = self.cage()?.workspace_used().map_err(LiveError::Sandbox)?;
        let (_room, place) = shared.farm.room_for_branch(files)?;
        let branched = match self.cage()?.branch(waiting) {
            Ok(branched) => branched,
            Err(error) => {
                // It may have been half-way.
                self.leave(&shared.farm, Stand::Poisoned(error.to_string()));
                return Err(LiveError::Sandbox(error));
            }
        };
        Ok(branched.map(|cage| {
            place.keep();
            let (farm, language) = (Arc::clone(&shared.farm), Arc::clone(&shared.language));
            let (agent, spec) = (shared.agent.clone(), shared.spec.clone());
            let session = LiveSession::with(farm, agent, language, spec, cage, self.log.clone());
            session.note_copied();
            session
        }))
    }

    pub(super) fn snapshot(&self, session: u64) -> Snapshot {
        let last = self.log.last().map(Entry::id);
        Snapshot { session, entries: self.log.len(), last, copy: None }
    }
}
