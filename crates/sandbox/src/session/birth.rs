//! How a branch comes to be: the interpreter's own clone, let go on by nobody but us.
//!
//! The clone that makes a branch waits in the kernel until [`SessionCage::give_birth`], which alone expects it, lets it go on. The
//! branch's namespaces are given what they need before any code of the branch runs. Until its init has executed, all that is
//! heard is the word of a program that may be hostile: so it is believed of no process that it is the init, or in which group it
//! is; every wait has an end; and a session that is found to have lied is not gone on with.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rollcage_guest::branch::{ARRIVALS, BranchGround};
use rollcage_sys::child::{BRANCH_FLAGS, INIT_PROGRAM};
use rollcage_sys::notification;
use rollcage_types::CapturePlan;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, fchmod, fcntl_add_seals, memfd_create, openat};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::capture::Stream;
use crate::error::SandboxError;
use crate::furnish::{End, pipe_for, system};
use crate::session::bank::Branches;
use crate::session::branch::{BranchGroup, Branched, Provisions, REFUSED, not_branched};
use crate::session::cage::{BranchEnd, Init, SessionCage, Standing, group};
use crate::session::channel::{Channel, Message, Nonsense};
use crate::session::shared::SharedMemory;
use crate::session::written::Written;
use crate::workspace::MountedWorkspace;

/// For a branch. It takes milliseconds; who branches at the same time waits for that of another.
const BRANCH_WAIT: Duration = Duration::from_secs(5);
/// Landlock's version from which a process of ours in a branch's namespaces is safe from signals of the branch.
const SCOPES_SIGNALS: u32 = 6;

/// When a branch must be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn from_now() -> Self {
        Self(Instant::now() + BRANCH_WAIT)
    }

    /// Waits for any of these, but not past the deadline, however much there is to be heard.
    fn poll(self, watched: &mut [PollFd<'_>]) -> Result<(), SandboxError> {
        let left = self.0.saturating_duration_since(Instant::now());
        let late = || SandboxError::NotReady { seconds: BRANCH_WAIT.as_secs() };
        if left.is_zero() {
            return Err(late());
        }
        let timeout = Timespec::try_from(left).map_err(|_far| system("set a deadline")(Errno::OVERFLOW))?;
        match poll(watched, Some(&timeout)) {
            Ok(0) => Err(late()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(system("wait for a branch")(errno)),
        }
    }
}

/// What there is to be heard on a socket.
enum Heard {
    Word(Message),
    Nothing,
    Closed,
}

/// The next message of one of these kinds that has come. What a cell that has ended says late is passed over.
fn listen(channel: &mut Channel, kinds: &[&str]) -> Result<Heard, SandboxError> {
    loop {
        match channel.next_message() {
            Ok(Some(message)) if kinds.contains(&message.kind.as_str()) => return Ok(Heard::Word(message)),
            Ok(Some(_late)) => {}
            Ok(None) if channel.is_open() => return Ok(Heard::Nothing),
            Ok(None) => return Ok(Heard::Closed),
            Err(Nonsense) => return Err(lied("it wrote nonsense")),
        }
    }
}

/// Waits for a message of one of these kinds; `None` if the socket was closed.
pub(super) fn await_word(
    channel: &mut Channel,
    kinds: &[&str],
    deadline: Deadline,
) -> Result<Option<Message>, SandboxError> {
    loop {
        match listen(channel, kinds)? {
            Heard::Word(message) => return Ok(Some(message)),
            Heard::Closed => return Ok(None),
            Heard::Nothing => {}
        }
        deadline.poll(&mut [PollFd::from_borrowed_fd(channel.fd(), PollFlags::IN)])?;
        channel.read_some().map_err(system("hear from the session"))?;
    }
}

/// Has everything written that waits to be.
pub(super) fn tell(channel: &mut Channel, deadline: Deadline) -> Result<(), SandboxError> {
    loop {
        channel.flush().map_err(system("speak to the session"))?;
        if !channel.has_more() {
            return Ok(());
        }
        deadline.poll(&mut [PollFd::from_borrowed_fd(channel.fd(), PollFlags::OUT)])?;
    }
}

fn lied(how: &str) -> SandboxError {
    SandboxError::Agent { message: how.to_owned() }
}

/// The streams and the socket of a branch: our ends.
pub(super) struct Ends {
    channel: Channel,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Ends {
    /// Ours, and for a branch of this user: its socket, its output and its error.
    pub(super) fn make(uid: u32) -> Result<(Self, [OwnedFd; 3]), SandboxError> {
        let (channel, socket) = Channel::pair().map_err(system("create a session's socket"))?;
        let (output, stdout) = pipe_for(Some(uid), End::Read)?;
        let (error, stderr) = pipe_for(Some(uid), End::Read)?;
        Ok((Self { channel, stdout, stderr }, [socket, output, error]))
    }
}

/// What came of a clone that was waited for.
enum Clone {
    /// The process that says it is the init, as this process numbers it.
    Made(u32),
    /// There is none, for this reason.
    Refused(String),
}

impl SessionCage {
    /// Has the interpreter, which waits for that, make its copy.
    pub(super) fn give_birth(
        &mut self,
        asks: BorrowedFd<'_>,
        waiting: u64,
        provisions: Provisions,
    ) -> Branched<Self> {
        let Provisions { place, sys, workspace, group: own_group, open_group, mut ends, theirs, depth } =
            provisions;
        let process = match self.have_cloned(asks, &mut ends, theirs)? {
            Clone::Made(process) => process,
            Clone::Refused(reason) => {
                self.check_alone(waiting)?;
                return not_branched(reason);
            }
        };
        let pidfd = open_pidfd(process, "find the init of a branch")?;
        let above = match &self.standing {
            Standing::Trunk => None,
            Standing::Branch { init, .. } => Some(Arc::clone(init)),
        };
        // Ends the branch wherever this stops.
        let init = Arc::new(Init { pidfd, process, _above: above, _place: place });
        self.furnish_namespaces(&init, sys, workspace.work.as_fd(), workspace.tmp.as_fd())?;
        for entry in open_group.entry(false).1 {
            rustix::io::write(entry, process.to_string().as_bytes())
                .map_err(system("enter a branch's cgroup"))?;
        }
        drop(open_group);
        self.check_alone(waiting)?;
        self.shared.add(&init);
        // The trunk has done its part, and goes on whatever becomes of this.
        self.let_go(init, depth, ends, own_group, workspace)
            .or_else(|error| not_branched(format!("the copy did not come up: {error}")))
    }

    /// Lets the branch have its copy made, and hears that it is there.
    fn let_go(
        &self,
        init: Arc<Init>,
        depth: u32,
        mut ends: Ends,
        own_group: BranchGroup,
        workspace: MountedWorkspace,
    ) -> Branched<Self> {
        ends.channel.queue(b"g");
        ends.channel.flush().map_err(system("speak to the branch"))?;
        let Some(_ready) = await_word(&mut ends.channel, &["ready"], Deadline::from_now())? else {
            return not_branched("the copy could not go on as it was");
        };
        let own = ends.channel.speaker().ok_or_else(|| lied("nobody spoke for a branch"))?;
        if !own_group.group().processes_now().map_err(group)?.contains(&own) {
            return Err(lied("another spoke for a branch"));
        }
        let own = open_pidfd(own, "find a branch")?;
        let number = numbers_of(&own)?.last().copied().ok_or_else(|| lied("nobody spoke for a branch"))?;
        let kept = CapturePlan::default();
        let cpu_seen = own_group.group().cpu().map_err(group)?;
        let written = Written::none_yet(Arc::clone(self.family.bank.host().written()));
        written.add(u64::MAX, &workspace.directory).map_err(system("look at a workspace"))?;
        Ok(Ok(Self {
            family: Arc::clone(&self.family),
            standing: Standing::Branch { init, own, depth, number, end: BranchEnd::default() },
            branches: Branches::Allowed,
            group: own_group.keep(),
            channel: ends.channel,
            stdout: Stream::new(ends.stdout, &kept),
            stderr: Stream::new(ends.stderr, &kept),
            directory: workspace.directory,
            temporary: workspace.temporary,
            written,
            file_owner: self.file_owner,
            file_user: self.file_user,
            limits: self.limits.clone(),
            shared: SharedMemory::default(),
            cpu_seen,
            tasks_seen: None,
            ended: None,
        }))
    }

    /// Sends what the branch will have, and lets the clone go on.
    fn have_cloned(
        &mut self,
        asks: BorrowedFd<'_>,
        ends: &mut Ends,
        theirs: [OwnedFd; 3],
    ) -> Result<Clone, SandboxError> {
        let init = init_program().map_err(system("make the program of a branch's init"))?;
        let bank = Arc::clone(&self.family.bank);
        // What asks is one for all of the bank.
        let _one_at_a_time = bank.branching.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline = Deadline::from_now();
        let [socket, output, error] = theirs.each_ref().map(OwnedFd::as_fd);
        // A trunk that reads its socket has room for them there.
        while let Err(errno) = send_arrivals(self.channel.fd(), [socket, output, error, init]) {
            if errno != Errno::AGAIN {
                return Err(system("speak to the session")(errno));
            }
            deadline.poll(&mut [PollFd::from_borrowed_fd(self.channel.fd(), PollFlags::OUT)])?;
        }
        drop(theirs);
        if let Some(reason) = self.let_clone(asks, deadline)? {
            return Ok(Clone::Refused(reason));
        }
        // It says so in one byte.
        deadline.poll(&mut [PollFd::from_borrowed_fd(ends.channel.fd(), PollFlags::IN)])?;
        let heard = ends.channel.hear_stranger().map_err(system("hear from a branch"))?;
        if let Some(process) = heard {
            return Ok(Clone::Made(process));
        }
        match await_word(&mut self.channel, &[REFUSED], deadline)? {
            Some(word) => Ok(Clone::Refused(word.text())),
            None => Err(lied("it closed its socket")),
        }
    }

    /// Lets the one clone go on that makes the branch, and no other. What comes back is why there will be none.
    fn let_clone(
        &mut self,
        asks: BorrowedFd<'_>,
        deadline: Deadline,
    ) -> Result<Option<String>, SandboxError> {
        loop {
            let mut watched = [
                PollFd::from_borrowed_fd(asks, PollFlags::IN),
                PollFd::from_borrowed_fd(self.channel.fd(), PollFlags::IN),
            ];
            deadline.poll(&mut watched)?;
            let [is_asked, is_spoken] = watched.map(|one| !one.revents().is_empty());
            if is_spoken {
                self.channel.read_some().map_err(system("hear from the session"))?;
                match listen(&mut self.channel, &[REFUSED])? {
                    Heard::Word(word) => return Ok(Some(word.text())),
                    Heard::Closed => return Err(lied("it closed its socket")),
                    Heard::Nothing => {}
                }
            }
            if is_asked && self.answer(asks)? {
                return Ok(None);
            }
        }
    }

    /// Answers whoever asks; whether that was the clone that is meant.
    fn answer(&self, asks: BorrowedFd<'_>) -> Result<bool, SandboxError> {
        let waiting = match notification::receive(asks) {
            Ok(waiting) => waiting,
            // It was given up meanwhile.
            Err(Errno::NOENT | Errno::INTR) => return Ok(false),
            Err(errno) => return Err(system("hear of a branch")(errno)),
        };
        // A shell that a cell made exit goes on in another process of the session.
        let members = self.group.processes_now().map_err(group)?;
        let is_meant = members.contains(&waiting.process)
            && i64::from(waiting.number) == libc::SYS_clone
            && waiting.argument == BRANCH_FLAGS;
        match notification::answer(asks, waiting, is_meant) {
            Ok(()) => Ok(is_meant),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(system("let a branch be made")(errno)),
        }
    }

    /// That the trunk kept nobody for itself: a process in namespaces that nobody furnished.
    fn check_alone(&self, waiting: u64) -> Result<(), SandboxError> {
        if self.tasks()? > 1 + waiting { Err(lied("it made more than a branch")) } else { Ok(()) }
    }

    fn furnish_namespaces(
        &self,
        init: &Init,
        sys: BorrowedFd<'_>,
        work: BorrowedFd<'_>,
        tmp: BorrowedFd<'_>,
    ) -> Result<(), SandboxError> {
        let trunk = self.channel.speaker().ok_or(SandboxError::StubLost)?;
        let trunk = open_pidfd(trunk, "find the trunk of a branch")?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, format!("/proc/{}", init.process), flags, Mode::empty())
            .map_err(system("find the init of a branch"))?;
        let numbers = numbers_of(&init.pidfd)?;
        if numbers.len() < 2 || numbers.last() != Some(&1) {
            return Err(lied("another spoke for the init of a branch"));
        }
        let ground = BranchGround {
            init: init.pidfd.as_fd(),
            trunk: trunk.as_fd(),
            directory: directory.as_fd(),
            sys,
            forbids_other_kinds: self.family.bank.launcher().landlock_abi >= SCOPES_SIGNALS,
            work,
            tmp,
            uid: self.family.uid,
        };
        ground.furnish().map_err(|(action, errno)| system(action)(errno))
    }
}

/// The numbers of a process, from our namespace to its own: see pidfd_open(2).
fn numbers_of(process: &OwnedFd) -> Result<Vec<u32>, SandboxError> {
    let information = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd()));
    let information = information
        .map_err(|source| SandboxError::System { action: "look at a branch's processes", source })?;
    let numbers = information.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    Ok(numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

fn open_pidfd(process: u32, action: &'static str) -> Result<OwnedFd, SandboxError> {
    let pid =
        i32::try_from(process).ok().and_then(Pid::from_raw).ok_or_else(|| system(action)(Errno::SRCH))?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(system(action))
}

fn send_arrivals(socket: BorrowedFd<'_>, descriptors: [BorrowedFd<'_>; ARRIVALS]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ARRIVALS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let _fits = ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, &[IoSlice::new(b"+")], &mut ancillary, flags).map(|_sent| ())
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
