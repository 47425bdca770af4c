//! One session's cage, from its opening to its end.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rollcage_guest::protocol::{Ended, Wiring};
use rollcage_types::{ByteSize, CapturePlan, ExecRequest, IsolationLevel, Limits, Termination};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use crate::capture::{CHUNK, Stream};
use crate::cgroup::{GroupError, RestingGroup};
use crate::error::SandboxError;
use crate::furnish::{End, Setting, pipe_for, system, workspace_for};
use crate::outcome;
use crate::plan;
use crate::seat::Seat;
use crate::session::bank::{Berth, Branches, SessionBank};
use crate::session::channel::{Channel, Nonsense};
use crate::session::family::{Admitted, Family};
use crate::session::shared::SharedMemory;
use crate::session::written::Written;

/// What an agent says first.
const READY: &str = "ready";

pub(super) fn group(error: GroupError) -> SandboxError {
    SandboxError::System { action: "use the session's cgroup", source: std::io::Error::other(error) }
}

/// What a session's interpreter is in its cage.
#[derive(Debug)]
pub(super) enum Standing {
    /// The one that the cage was made for.
    Trunk,
    /// A branch, in namespaces of its own.
    Branch {
        /// The init of these.
        init: Arc<Init>,
        /// A pidfd of the interpreter.
        own: OwnedFd,
        /// Branches between it and the trunk, itself included.
        depth: u32,
        /// The interpreter's number in its own namespace, by which its init speaks of it.
        number: u32,
        /// See there.
        end: BranchEnd,
    },
}

/// What is known of the end of a branch's interpreter, whose parent is not ours to ask.
#[derive(Debug, Default)]
pub(super) struct BranchEnd {
    /// What its init said, as wait(2) encodes it, where the kernel does not tell.
    pub(super) told: Option<i32>,
    /// Since when it is known that there was one.
    pub(super) since: Option<Instant>,
}

/// The init of a branch's namespaces. It stays until the branch and all branches of it are gone, whose namespaces lie in them.
#[derive(Debug)]
pub(super) struct Init {
    pub(super) pidfd: OwnedFd,
    /// As this process numbers it.
    pub(super) process: u32,
    /// That of the branch that this is a branch of.
    pub(super) _above: Option<Arc<Self>>,
    pub(super) _place: Admitted,
}

impl Drop for Init {
    fn drop(&mut self) {
        // It ended by itself in the meantime.
        let _sent = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// An interpreter in its cage, with its agent. Dropping it ends the cage.
#[derive(Debug)]
pub struct SessionCage {
    pub(super) family: Arc<Family>,
    pub(super) standing: Standing,
    pub(super) branches: Branches,
    pub(super) group: RestingGroup,
    pub(super) channel: Channel,
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
    pub(super) directory: OwnedFd,
    /// Its `/tmp`, where that is another file system.
    pub(super) temporary: Option<OwnedFd>,
    pub(super) written: Written,
    /// Whose files are there, where they are not ours.
    pub(super) file_owner: Option<u32>,
    /// Who touches them there, where that is not ourselves.
    pub(super) file_user: Option<u32>,
    /// Of all its cells together. What is waited for its opening is not one of them.
    pub(super) limits: Limits,
    pub(super) shared: SharedMemory,
    /// Processor time that was used in its group when it was last looked at.
    pub(super) cpu_seen: Duration,
    /// Its processes and threads after its last turn.
    pub(super) tasks_seen: Option<u64>,
    pub(super) ended: Option<Termination>,
}

impl SessionCage {
    /// The wall time of the request is what its agent has to come up.
    pub(super) fn open(
        bank: &Arc<SessionBank>,
        berth: Berth,
        seat: Seat,
        request: &ExecRequest,
        greeting: &[u8],
        branches: Branches,
    ) -> Result<Self, SandboxError> {
        let mut held = Held { bank: Arc::clone(bank), place: Some((berth, seat)) };
        let furnished = held.furnish(request, branches)?;
        let mut cage = furnished.into_cage(held, request);
        cage.channel.queue(greeting);
        cage.channel.flush().map_err(system("speak to the session"))?;
        cage.await_ready(request)?;
        cage.cpu_seen = cage.group.cpu().map_err(group)?;
        Ok(cage)
    }

    /// Waits for the agent's first word.
    fn await_ready(&mut self, request: &ExecRequest) -> Result<(), SandboxError> {
        let began = Instant::now();
        let mut buffer = vec![0; CHUNK];
        loop {
            self.poll_for(request.limits.wall_time.saturating_sub(began.elapsed()), &[])?;
            self.read_output(&mut buffer)?;
            self.channel.read_some().map_err(system("hear from the session"))?;
            match self.channel.next_message() {
                Ok(Some(message)) if message.kind == READY => {
                    // What was said on the way here is no cell's.
                    while self.read_output(&mut buffer)? {}
                    self.stdout.take();
                    self.stderr.take();
                    return Ok(());
                }
                Ok(Some(_) | None) if began.elapsed() < request.limits.wall_time => {}
                Ok(_) | Err(Nonsense) => return Err(self.not_ready("it did not say that it was ready")),
            }
            if let Some(ended) = self.hear(Some(request))? {
                return Err(self.not_ready(&format!("it ended first: {:?}", decode(&ended))));
            }
        }
    }

    pub(super) fn not_ready(&mut self, how: &str) -> SandboxError {
        let said = self.stderr.take();
        let said = String::from_utf8_lossy(&said.head).trim().to_owned();
        let message = if said.is_empty() { how.to_owned() } else { format!("{how}: {said}") };
        SandboxError::Agent { message }
    }

    /// How the interpreter ended, once it has.
    pub const fn ended(&self) -> Option<Termination> {
        self.ended
    }

    /// Memory charged to it at this moment. What the kernel holds for it in its interpreter's name is not in it.
    pub fn memory(&self) -> Result<ByteSize, SandboxError> {
        self.group.memory_now().map_err(group)
    }

    /// Its processes and threads at this moment, without the init of a branch; more than one if a cell left something running.
    pub fn tasks(&self) -> Result<u64, SandboxError> {
        let now = self.group.tasks_now().map_err(group)?;
        Ok(match self.standing {
            Standing::Trunk => now,
            Standing::Branch { .. } => now.saturating_sub(1),
        })
    }

    /// The same right after its last turn, if there was one.
    pub fn tasks_after_turn(&self) -> Result<u64, SandboxError> {
        self.tasks_seen.map_or_else(|| self.tasks(), Ok)
    }

    /// Its processes at this moment, without the init of a branch.
    pub fn processes(&self) -> Result<usize, SandboxError> {
        let now = self.group.processes_now().map_err(group)?.len();
        Ok(match self.standing {
            Standing::Trunk => now,
            Standing::Branch { .. } => now.saturating_sub(1),
        })
    }

    /// Processor time used since its last turn.
    pub fn cpu_time_since(&self) -> Result<Duration, SandboxError> {
        Ok(self.group.cpu().map_err(group)?.saturating_sub(self.cpu_seen))
    }

    /// Descriptors that it holds open in this process.
    pub fn descriptors(&self) -> u64 {
        // Its socket, its streams and its workspace; then the seat, or the init and the interpreter.
        let own = match self.standing {
            Standing::Trunk => 5,
            Standing::Branch { .. } => 6,
        };
        own + u64::from(self.temporary.is_some())
    }

    /// Waits for the launcher's end, a report, output, a message, room for what waits to be written, or any of `others`.
    pub(super) fn poll_for(&self, time: Duration, others: &[BorrowedFd<'_>]) -> Result<(), SandboxError> {
        match &self.standing {
            Standing::Branch { own, .. } => self.poll_with(own.as_fd(), time, others),
            Standing::Trunk => self.family.with_seat(|seat| self.poll_with(seat.socket(), time, others)),
        }
    }

    /// As [`Self::poll_for`]; `end` is where its end is told.
    fn poll_with(
        &self,
        end: BorrowedFd<'_>,
        time: Duration,
        others: &[BorrowedFd<'_>],
    ) -> Result<(), SandboxError> {
        let control = self.family.bank.launcher().control();
        let mut watched = Vec::with_capacity(8);
        watched.push(PollFd::from_borrowed_fd(control, PollFlags::empty()));
        watched.push(PollFd::from_borrowed_fd(end, PollFlags::IN));
        if self.channel.is_open() {
            let out = if self.channel.has_more() { PollFlags::OUT } else { PollFlags::empty() };
            watched.push(PollFd::from_borrowed_fd(self.channel.fd(), PollFlags::IN | out));
        }
        let pipes = [&self.stdout, &self.stderr].into_iter().filter_map(|stream| stream.pipe.as_ref());
        watched.extend(pipes.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        watched.extend(others.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
        let timeout = Timespec::try_from(time).map_err(|_far| system("set a deadline")(Errno::OVERFLOW))?;
        match poll(&mut watched, Some(&timeout)) {
            Ok(_) if !watched[0].revents().is_empty() => Err(SandboxError::LauncherGone),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(system("wait for the session")(errno)),
        }
    }

    /// Reads a chunk of each stream; says whether anything came.
    pub(super) fn read_output(&mut self, buffer: &mut [u8]) -> Result<bool, SandboxError> {
        let mut came = false;
        for stream in [&mut self.stdout, &mut self.stderr] {
            came |= stream.read_some(buffer).map_err(system("read the session's output"))?;
        }
        Ok(came)
    }
}

fn decode(ended: &Ended) -> Termination {
    outcome::decode(ended.status)
}

/// A slot on its way to a session.
struct Held {
    bank: Arc<SessionBank>,
    place: Option<(Berth, Seat)>,
}

/// What a cage was handed.
struct Furnished {
    branches: Branches,
    channel: Channel,
    stdout: OwnedFd,
    stderr: OwnedFd,
    directory: OwnedFd,
    temporary: Option<OwnedFd>,
    written: Written,
    file_owner: Option<u32>,
    file_user: Option<u32>,
}

impl Held {
    /// Prepares everything the cage needs and hands it over.
    fn furnish(&mut self, request: &ExecRequest, branches: Branches) -> Result<Furnished, SandboxError> {
        let bank = &self.bank;
        let (host, launcher) = (bank.host(), bank.launcher());
        let (berth, seat) = self.place.as_mut().expect("given away only at the end");
        let setting = Setting {
            branches: branches == Branches::Allowed && launcher.asks.is_some(),
            ..host.setting(launcher, bank.start_kind())
        };
        seat.ready(setting.control, Wiring::Sealed)?;
        let open_group = berth.group.begin(&request.limits).map_err(group)?;
        let (entry, groups) = open_group.entry(false);
        let message = plan::encode(request, &setting, seat.generation(), &berth.fixture, entry)?;
        let workspace = workspace_for(&setting, &berth.fixture, seat, request)?;
        workspace.place(&request.files, &request.limits)?;
        let owner = match setting.level {
            IsolationLevel::Full => Some(berth.fixture.uid),
            IsolationLevel::Rootless | IsolationLevel::Process => setting.file_user,
        };
        let (channel, input) = Channel::pair().map_err(system("create a session's socket"))?;
        let (output, stdout) = pipe_for(owner, End::Read)?;
        let (error, stderr) = pipe_for(owner, End::Read)?;
        let [work, tmp] = workspace.descriptors();
        let streams = [&input, &output, &error].map(OwnedFd::as_fd);
        let descriptors: Vec<_> = streams.into_iter().chain([work, tmp]).chain(groups).collect();
        seat.send(&message, &descriptors)?;
        let file_owner = (setting.level == IsolationLevel::Full).then_some(berth.fixture.uid);
        let file_user = setting.file_user;
        let directories = workspace.into_directories();
        let (directory, temporary) = directories.map_err(system("keep a session's workspace"))?;
        let written = Written::none_yet(Arc::clone(host.written()));
        let bytes = request.files.iter().map(|file| file.content.len() as u64).sum();
        written.add(bytes, &directory).map_err(system("look at a workspace"))?;
        Ok(Furnished {
            branches,
            channel,
            stdout,
            stderr,
            directory,
            temporary,
            written,
            file_owner,
            file_user,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some((berth, seat)) = self.place.take() {
            seat.abandon(self.bank.launcher().control());
            self.bank.give_back(berth, seat);
        }
    }
}

impl Furnished {
    fn into_cage(self, mut held: Held, request: &ExecRequest) -> SessionCage {
        let kept = CapturePlan::default();
        let (berth, seat) = held.place.take().expect("given away once");
        SessionCage {
            group: berth.group.clone(),
            family: Family::new(Arc::clone(&held.bank), berth, seat),
            standing: Standing::Trunk,
            branches: self.branches,
            channel: self.channel,
            stdout: Stream::new(self.stdout, &kept),
            stderr: Stream::new(self.stderr, &kept),
            directory: self.directory,
            temporary: self.temporary,
            written: self.written,
            file_owner: self.file_owner,
            file_user: self.file_user,
            // It may live as long as it likes.
            limits: Limits { wall_time: Duration::MAX, ..request.limits.clone() },
            shared: SharedMemory::default(),
            cpu_seen: Duration::ZERO,
            tasks_seen: None,
            ended: None,
        }
    }
}
