//! Branches of a session: a copy of its interpreter, in namespaces, a workspace and a group of its own.
//!
//! The interpreter makes its copy itself, where it waits for its next cell, and only because it was told to: the one clone
//! that makes a branch waits in the kernel until [`SessionCage::branch`], which alone expects it, lets it go on. What the
//! branch's namespaces need they are given before any code of the branch runs.

use std::ffi::CString;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rollcage_guest::branch::{ARRIVALS, BranchGround};
use rollcage_sys::child::{BRANCH_FLAGS, INIT_PROGRAM};
use rollcage_sys::{notification, process_map};
use rollcage_types::CapturePlan;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{
    CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, fchmod, fcntl_add_seals, fstatvfs,
    memfd_create, openat,
};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::capture::Stream;
use crate::cgroup::{RestingGroup, SlotCgroup};
use crate::error::SandboxError;
use crate::furnish::{End, pipe_for, system};
use crate::session::bank::Branches;
use crate::session::cage::{Init, SessionCage, Standing, group};
use crate::session::channel::{Channel, Message, Nonsense};
use crate::session::copy::copy_all;
use crate::session::family::Admitted;
use crate::workspace::{MountedWorkspace, Sharing};

/// Namespaces within namespaces. The kernel allows 32, of which a host may have some already.
const DEPTH_MAX: u32 = 24;
/// Every step takes well under a millisecond.
const STEP_WAIT: Duration = Duration::from_secs(10);

/// Why a session cannot be branched as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBranched {
    /// What stands in the way.
    pub reason: String,
}

/// What a trunk is sent in place of what its branch will have, if there will be none.
const CALLED_OFF: &[u8] = b"-";

/// What a trunk says once it goes on. Nobody waits for it.
pub(super) const BRANCHED: &str = "branched";

/// See [`SessionCage::provide`].
struct Provisions {
    place: Admitted,
    /// `/proc/sys`.
    sys: BorrowedFd<'static>,
    workspace: MountedWorkspace,
    group: RestingGroup,
    open_group: SlotCgroup,
}

fn not_branched<T>(reason: &str) -> Result<Result<T, NotBranched>, SandboxError> {
    Ok(Err(NotBranched { reason: reason.to_owned() }))
}

impl SessionCage {
    /// Makes a branch of this session, which waits for a cell as this one does. The inner error says that a copy of this
    /// interpreter would be no branch; the session goes on as it was.
    ///
    /// # Panics
    ///
    /// If the session has ended.
    pub fn branch(&mut self) -> Result<Result<Self, NotBranched>, SandboxError> {
        assert!(self.ended().is_none(), "a session that has ended is not branched");
        let bank = Arc::clone(&self.family.bank);
        let Some(asks) = &bank.launcher().asks else {
            return not_branched("its interpreter cannot be copied");
        };
        if self.branches == Branches::Never {
            return not_branched("it was opened as one that is never branched");
        }
        let depth = self.depth() + 1;
        if depth > DEPTH_MAX {
            return not_branched("it is a branch of too many branches");
        }
        let sys = match kernel_settings() {
            Ok(Some(sys)) => sys,
            Ok(None) => {
                return not_branched("/proc/sys is read-only, so that nothing would bound its namespaces");
            }
            Err(errno) => return Err(system("open /proc/sys")(errno)),
        };
        let Some(place) = self.family.admit_branch() else {
            return not_branched("it has as many branches as it may have");
        };
        let _one_at_a_time = bank.branching.lock().unwrap_or_else(PoisonError::into_inner);
        self.channel.queue(b"branch 0 0 0\n");
        self.channel.flush().map_err(system("speak to the session"))?;
        // While the interpreter looks at itself.
        let provisions = self.provide(place, sys)?;
        let word = await_word(&mut self.channel)?;
        if word.kind != "branching" {
            bank.leave(provisions.group);
            return not_branched(&String::from_utf8_lossy(&word.content));
        }
        if self.shares_memory()? {
            self.channel.queue(CALLED_OFF);
            self.channel.flush().map_err(system("speak to the session"))?;
            bank.leave(provisions.group);
            return not_branched("it shares memory");
        }
        self.make_branch(asks.as_fd(), depth, provisions)
    }

    /// Branches between it and the trunk, itself included.
    const fn depth(&self) -> u32 {
        match self.standing {
            Standing::Trunk => 0,
            Standing::Branch { depth, .. } => depth,
        }
    }

    /// Whether the interpreter, which waits, has memory that a copy of it would not have for itself. Looked at from here: it takes
    /// a question where it would take the interpreter the reading of a long text.
    fn shares_memory(&self) -> Result<bool, SandboxError> {
        let process = self.channel.speaker().ok_or(SandboxError::StubLost)?;
        let path = CString::new(format!("/proc/{process}/maps")).expect("a number has no NUL");
        process_map::shares_memory(&path).map_err(system("look at the session's memory"))
    }

    /// What a branch will have that needs none of it.
    fn provide(&self, place: Admitted, sys: BorrowedFd<'static>) -> Result<Provisions, SandboxError> {
        let (host, uid) = (self.family.bank.host(), self.family.uid);
        let workspace = MountedWorkspace::create(host.sharing(), &self.limits, uid);
        let workspace = workspace.map_err(system("create a workspace for a branch"))?;
        let mut own_group = self.group.beside(&format!("-{}", self.family.next_branch()));
        let open_group = own_group.begin(&self.limits).map_err(group)?;
        Ok(Provisions { place, sys, workspace, group: own_group, open_group })
    }

    fn make_branch(
        &mut self,
        asks: BorrowedFd<'_>,
        depth: u32,
        provisions: Provisions,
    ) -> Result<Result<Self, NotBranched>, SandboxError> {
        let Provisions { place, sys, workspace, group, open_group } = provisions;
        let family = Arc::clone(&self.family);
        let uid = family.uid;
        // Of a workspace that nobody can change until the branch is made.
        self.copy_files(&workspace)?;
        let (mut channel, socket) = Channel::pair().map_err(system("create a session's socket"))?;
        let (output, stdout) = pipe_for(Some(uid), End::Read)?;
        let (error, stderr) = pipe_for(Some(uid), End::Read)?;
        let init = init_program().map_err(system("make the program of a branch's init"))?;
        send_arrivals(self.channel.fd(), [socket.as_fd(), output.as_fd(), error.as_fd(), init])
            .map_err(system("speak to the session"))?;
        drop((socket, output, error));
        self.let_clone(asks)?;
        let Some(process) = await_init(&mut channel)? else {
            drop(open_group);
            family.bank.leave(group);
            return self.ask_why_not();
        };
        let lost = || system("find the init of a branch")(Errno::SRCH);
        let pid = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or_else(lost)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(system("find the init of a branch"))?;
        let above = match &self.standing {
            Standing::Trunk => None,
            Standing::Branch { init, .. } => Some(Arc::clone(init)),
        };
        // Ends the branch wherever this stops.
        let init = Arc::new(Init { pidfd, process, _above: above, _place: place });
        let trunk = self.channel.speaker().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let trunk = pidfd_open(trunk.ok_or_else(lost)?, PidfdFlags::empty())
            .map_err(system("find the trunk of a branch"))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, format!("/proc/{process}"), flags, Mode::empty())
            .map_err(system("find the init of a branch"))?;
        BranchGround {
            init: init.pidfd.as_fd(),
            trunk: trunk.as_fd(),
            directory: directory.as_fd(),
            sys,
            work: workspace.work.as_fd(),
            tmp: workspace.tmp.as_fd(),
            uid,
        }
        .furnish()
        .map_err(|(action, errno)| system(action)(errno))?;
        for entry in open_group.entry(false).1 {
            rustix::io::write(entry, process.to_string().as_bytes())
                .map_err(system("enter a branch's cgroup"))?;
        }
        drop(open_group);
        channel.queue(b"g");
        channel.flush().map_err(system("speak to the branch"))?;
        let word = await_word(&mut channel)?;
        let own = channel.speaker().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let (Some(own), "ready") = (own, word.kind.as_str()) else {
            return Err(SandboxError::Agent { message: format!("a branch said `{}` first", word.kind) });
        };
        let own = pidfd_open(own, PidfdFlags::empty()).map_err(system("find a branch"))?;
        let kept = CapturePlan::default();
        Ok(Ok(Self {
            family,
            standing: Standing::Branch { init, own, depth },
            branches: Branches::Allowed,
            group,
            channel,
            stdout: Stream::new(stdout, &kept),
            stderr: Stream::new(stderr, &kept),
            directory: workspace.directory,
            file_owner: self.file_owner,
            file_user: self.file_user,
            limits: self.limits.clone(),
            ended: None,
        }))
    }

    fn copy_files(&self, workspace: &MountedWorkspace) -> Result<(), SandboxError> {
        let copied = copy_all(&self.directory, &workspace.directory, self.family.uid, None);
        copied.map_err(system("copy a workspace"))?;
        if self.family.bank.host().sharing() == Sharing::OneFileSystem {
            self.copy_temporary(workspace).map_err(system("copy a workspace"))?;
        }
        Ok(())
    }

    /// The other part of the file system that the workspace is in: `/tmp`.
    fn copy_temporary(&self, workspace: &MountedWorkspace) -> Result<(), Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let from = openat(&self.directory, "..", flags, Mode::empty())?;
        let to = openat(&workspace.tmp, ".", flags, Mode::empty())?;
        copy_all(&from, &to, self.family.uid, Some(&self.directory))
    }

    /// Lets the one clone go on that makes the branch, and no other.
    fn let_clone(&mut self, asks: BorrowedFd<'_>) -> Result<(), SandboxError> {
        let began = Instant::now();
        loop {
            let timeout = Timespec::try_from(STEP_WAIT.saturating_sub(began.elapsed()))
                .map_err(|_far| system("set a deadline")(Errno::OVERFLOW))?;
            let mut watched = [
                PollFd::from_borrowed_fd(asks, PollFlags::IN),
                PollFd::from_borrowed_fd(self.channel.fd(), PollFlags::empty()),
            ];
            match poll(&mut watched, Some(&timeout)) {
                Ok(0) => return Err(SandboxError::NotReady { seconds: STEP_WAIT.as_secs() }),
                Ok(_) if !watched[0].revents().contains(PollFlags::IN) => return Err(SandboxError::StubLost),
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(system("wait for a branch")(errno)),
            }
            let waiting = match notification::receive(asks) {
                Ok(waiting) => waiting,
                // It was given up meanwhile.
                Err(Errno::NOENT | Errno::INTR) => continue,
                Err(errno) => return Err(system("hear of a branch")(errno)),
            };
            // A shell that a cell made exit goes on in another process of the session.
            let members = self.group.processes_now().map_err(group)?;
            let is_meant = members.contains(&waiting.process)
                && i64::from(waiting.number) == libc::SYS_clone
                && waiting.argument == BRANCH_FLAGS;
            match notification::answer(asks, waiting, is_meant) {
                Ok(()) if is_meant => return Ok(()),
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(system("let a branch be made")(errno)),
            }
        }
    }

    /// Why the clone that was agreed to was none: the trunk says, before it goes on as it was.
    fn ask_why_not(&mut self) -> Result<Result<Self, NotBranched>, SandboxError> {
        let word = await_word(&mut self.channel)?;
        match word.kind.as_str() {
            "refused" => not_branched(&String::from_utf8_lossy(&word.content)),
            other => Err(SandboxError::Agent { message: format!("instead of a branch it said `{other}`") }),
        }
    }
}

/// The init of the branch, which says so in one byte; `None` if there is none.
fn await_init(channel: &mut Channel) -> Result<Option<u32>, SandboxError> {
    let timeout = Timespec::try_from(STEP_WAIT).expect("a constant of seconds fits");
    let mut watched = [PollFd::from_borrowed_fd(channel.fd(), PollFlags::IN)];
    match poll(&mut watched, Some(&timeout)) {
        Ok(0) => Err(SandboxError::NotReady { seconds: STEP_WAIT.as_secs() }),
        Ok(_) | Err(Errno::INTR) => channel.hear_stranger().map_err(system("hear from a branch")),
        Err(errno) => Err(system("wait for a branch")(errno)),
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
    // Whoever is second gives up a copy of the same.
    Ok((!mounted.f_flag.contains(StatVfsMountFlags::RDONLY))
        .then(|| DIRECTORY.get_or_init(|| directory).as_fd()))
}

/// The next message of an agent's.
fn await_word(channel: &mut Channel) -> Result<Message, SandboxError> {
    let began = Instant::now();
    loop {
        match channel.next_message() {
            // Of the last branch, for which nobody waited.
            Ok(Some(message)) if message.kind == BRANCHED => continue,
            Ok(Some(message)) => return Ok(message),
            Ok(None) if channel.is_open() => {}
            Ok(None) => return Err(SandboxError::Agent { message: "it closed its socket".to_owned() }),
            Err(Nonsense) => return Err(SandboxError::Agent { message: "it wrote nonsense".to_owned() }),
        }
        let left = STEP_WAIT.saturating_sub(began.elapsed());
        let timeout = Timespec::try_from(left).map_err(|_far| system("set a deadline")(Errno::OVERFLOW))?;
        match poll(&mut [PollFd::from_borrowed_fd(channel.fd(), PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Err(SandboxError::NotReady { seconds: STEP_WAIT.as_secs() }),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(system("wait for a branch")(errno)),
        }
        channel.read_some().map_err(system("hear from the session"))?;
    }
}

fn send_arrivals(socket: BorrowedFd<'_>, descriptors: [BorrowedFd<'_>; ARRIVALS]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ARRIVALS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let _fits = ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(b"+")], &mut ancillary, SendFlags::NOSIGNAL).map(|_sent| ())
}

/// What the inits of branches execute, as a file that nobody can change.
fn init_program() -> Result<BorrowedFd<'static>, Errno> {
    static FILE: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(file) = FILE.get() {
        return Ok(file.as_fd());
    }
    let made = memfd_create("rollcage-init", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    rustix::io::write(&made, INIT_PROGRAM)?;
    // Who executes what it cannot read is shown to nobody of its user.
    fchmod(&made, Mode::from_raw_mode(0o111))?;
    fcntl_add_seals(&made, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    // Whoever is second gives up a copy of the same.
    Ok(FILE.get_or_init(|| made).as_fd())
}
