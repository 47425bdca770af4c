//! Branches of a session: whether there can be one, and what it starts with.
//!
//! The interpreter makes its copy itself, where it waits for its next cell, and only because it was told to; how is in
//! `birth.rs`. Whatever makes a copy impossible, or no branch, is no failure of ours: the session goes on as it was, and whoever
//! asked is told why.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use rollcage_sys::process_map;
use rollcage_types::{IsolationLevel, Limits};
use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, fstatvfs, openat};
use rustix::io::Errno;

use crate::cgroup::{RestingGroup, SlotCgroup};
use crate::error::SandboxError;
use crate::furnish::system;
use crate::session::bank::{Branches, SessionBank};
use crate::session::birth::{Deadline, Ends, await_word, tell};
use crate::session::cage::{SessionCage, Standing, group};
use crate::session::copy::copy_all;
use crate::session::family::Admitted;
use crate::workspace::MountedWorkspace;

/// Namespaces within namespaces. The kernel allows 32, of which a host may have some already.
const DEPTH_MAX: u32 = 24;
/// What a trunk is sent in place of what its branch will have, if there will be none.
const CALLED_OFF: &[u8] = b"-";
/// What a trunk says that is about to be copied, and one that is not.
pub(super) const BRANCHING: &str = "branching";
pub(super) const REFUSED: &str = "refused";
/// What a trunk says once it goes on. Nobody waits for it.
pub(super) const BRANCHED: &str = "branched";

/// Why a session cannot be branched as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBranched {
    /// What stands in the way.
    pub reason: String,
}

/// A branch, or why there is none; the error is ours.
pub(super) type Branched<T> = Result<Result<T, NotBranched>, SandboxError>;

pub(super) fn not_branched<T>(reason: impl Into<String>) -> Branched<T> {
    Ok(Err(NotBranched { reason: reason.into() }))
}

/// What a branch will have that needs none of it.
pub(super) struct Provisions {
    pub(super) place: Admitted,
    /// `/proc/sys`.
    pub(super) sys: BorrowedFd<'static>,
    pub(super) workspace: MountedWorkspace,
    pub(super) group: BranchGroup,
    pub(super) open_group: SlotCgroup,
    pub(super) ends: Ends,
    /// Theirs: the socket, output and error.
    pub(super) theirs: [OwnedFd; 3],
    /// Branches between it and the trunk, itself included.
    pub(super) depth: u32,
}

/// The group of a branch: removed unless it becomes a session's.
pub(super) struct BranchGroup {
    bank: Arc<SessionBank>,
    group: Option<RestingGroup>,
}

impl BranchGroup {
    pub(super) fn group(&self) -> &RestingGroup {
        self.group.as_ref().expect("taken only at the end")
    }

    pub(super) fn keep(mut self) -> RestingGroup {
        self.group.take().expect("taken only at the end")
    }
}

impl Drop for BranchGroup {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            self.bank.leave(group);
        }
    }
}

impl SessionCage {
    /// Makes a branch of this session, which waits for a cell as this one does. `waiting` is how many of its processes are known
    /// to do nothing any more. The inner error says that there is no branch, or that a copy of this interpreter would be none; the
    /// session goes on as it was.
    ///
    /// # Panics
    ///
    /// If the session has ended.
    pub fn branch(&mut self, waiting: u64) -> Branched<Self> {
        assert!(self.ended().is_none(), "a session that has ended is not branched");
        let bank = Arc::clone(&self.family.bank);
        let Some(asks) = &bank.launcher().asks else {
            return not_branched("its interpreter cannot be copied");
        };
        if bank.host().enforcement().level != IsolationLevel::Full {
            return not_branched("only in cages that root makes can it be copied");
        }
        if self.branches == Branches::Never {
            return not_branched("it was opened as one that is never branched");
        }
        let depth = self.depth() + 1;
        if depth > DEPTH_MAX {
            return not_branched("it is a branch of too many branches");
        }
        let Some(sys) = kernel_settings().map_err(system("open /proc/sys"))? else {
            return not_branched("/proc/sys is read-only, so that nothing would bound its namespaces");
        };
        let Some(place) = self.family.admit_branch() else {
            return not_branched("it has as many branches as it may have");
        };
        let deadline = Deadline::from_now();
        // What it does for that is no cell's.
        self.tasks_seen = None;
        self.channel.queue(b"branch 0 0 0\n");
        // Behind what it was told and has not read yet.
        tell(&mut self.channel, deadline)?;
        // While the interpreter looks at itself.
        let provisions = self.provide(place, sys, depth);
        let word = await_word(&mut self.channel, &[BRANCHING, REFUSED], deadline)?
            .ok_or_else(|| SandboxError::Agent { message: "it closed its socket".to_owned() })?;
        if word.kind == REFUSED {
            return not_branched(word.text());
        }
        let ready = match provisions {
            Ok(provisions) => match self.obstacle(waiting, &provisions.workspace)? {
                None => Ok(provisions),
                Some(reason) => Err(reason),
            },
            // Of descriptors or memory there is too little. The interpreter has done nothing yet.
            Err(error) => Err(error.to_string()),
        };
        match ready {
            Ok(provisions) => self.give_birth(asks.as_fd(), waiting, provisions),
            Err(reason) => {
                self.channel.queue(CALLED_OFF);
                self.channel.flush().map_err(system("speak to the session"))?;
                not_branched(reason)
            }
        }
    }

    /// Branches between it and the trunk, itself included.
    const fn depth(&self) -> u32 {
        match self.standing {
            Standing::Trunk => 0,
            Standing::Branch { depth, .. } => depth,
        }
    }

    fn provide(
        &self,
        place: Admitted,
        sys: BorrowedFd<'static>,
        depth: u32,
    ) -> Result<Provisions, SandboxError> {
        let (bank, uid) = (&self.family.bank, self.family.uid);
        let workspace = MountedWorkspace::create(bank.host().sharing(), &self.limits, uid);
        let workspace = workspace.map_err(system("create a workspace for a branch"))?;
        let mut own_group = self.group.beside(&format!("-{}", self.family.next_branch()));
        // The init counts too.
        let limits = Limits { processes: self.limits.processes.saturating_add(1), ..self.limits.clone() };
        let open_group = own_group.begin(&limits).map_err(group)?;
        let group = BranchGroup { bank: Arc::clone(bank), group: Some(own_group) };
        let (ends, theirs) = Ends::make(uid)?;
        Ok(Provisions { place, sys, workspace, group, open_group, ends, theirs, depth })
    }

    /// What makes a copy of the interpreter, which waits, no branch. Else the workspace has been copied, in which nobody changes
    /// anything now.
    fn obstacle(&self, waiting: u64, workspace: &MountedWorkspace) -> Result<Option<String>, SandboxError> {
        if self.shares_memory()? {
            return Ok(Some("it shares memory".to_owned()));
        }
        if self.tasks()? > 1 + waiting {
            return Ok(Some("it has processes beside it".to_owned()));
        }
        let copied = self.copy_files(workspace);
        Ok(copied.err().map(|errno| format!("its files cannot be copied: {errno}")))
    }

    /// Whether the interpreter has memory that a copy of it would not have for itself. Looked at from here: it takes a question
    /// where it would take the interpreter the reading of a long text.
    fn shares_memory(&self) -> Result<bool, SandboxError> {
        let process = self.channel.speaker().ok_or(SandboxError::StubLost)?;
        let path = CString::new(format!("/proc/{process}/maps")).expect("a number has no NUL");
        process_map::shares_memory(&path).map_err(system("look at the session's memory"))
    }

    fn copy_files(&self, workspace: &MountedWorkspace) -> Result<(), Errno> {
        let uid = self.family.uid;
        copy_all(&self.directory, &workspace.directory, uid, None)?;
        if let (Some(from), Some(to)) = (&self.temporary, &workspace.temporary) {
            return copy_all(from, to, uid, None);
        }
        // The other part of the file system that the workspace is in: `/tmp`.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let from = openat(&self.directory, "..", flags, Mode::empty())?;
        let to = openat(&workspace.tmp, ".", flags, Mode::empty())?;
        copy_all(&from, &to, uid, Some(&self.directory))
    }
}

/// `/proc/sys`, if it can be written to.
fn kernel_settings() -> Result<Option<BorrowedFd<'static>>, Errno> {
    static DIRECTORY: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(directory) = DIRECTORY.get() {
        return Ok(Some(directory.as_fd()));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, "/proc/sys", flags, Mode::empty())?;
    let mounted = fstatvfs(&directory)?;
    let is_writable = !mounted.f_flag.contains(StatVfsMountFlags::RDONLY);
    // Whoever is second gives up a copy of the same.
    Ok(is_writable.then(|| DIRECTORY.get_or_init(|| directory).as_fd()))
}
