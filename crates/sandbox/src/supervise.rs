//! Watches one run from the request to its end.
//!
//! One loop waits on the cage's socket, both output pipes, the input pipe and the caller's cancellation, until the
//! earliest deadline. Both pipes are drained at once, so a program that fills one never blocks the other.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rollcage_guest::Stage;
use rollcage_guest::protocol::{Ended, Report, Wiring, start_clock_offset};
use rollcage_types::{
    ByteSize, ExecOutcome, ExecRequest, IsolationLevel, LimitKind, Limits, NetworkLog, Start, Usage,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, statat, unlinkat};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::accounts::Look;
use crate::cancel::Cancel;
use crate::capture::{CHUNK, Stream};
use crate::cgroup::GroupError;
use crate::collect::{self, ExecuteBit};
use crate::error::SandboxError;
use crate::furnish::{End, Setting, network_log, pipe_for, relay_for, system, wiring, workspace_for};
use crate::network::Relay;
use crate::outcome::{Ending, Evidence, Killed, termination, wall_time};
use crate::plan;
use crate::seat::{CAGE_WAIT, Seat};
use crate::slot::Slot;
use crate::workspace::Workspace;

/// Where a run takes place: a slot, and its seat at the launcher that makes the cage.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) slot: &'a mut Slot,
    pub(crate) seat: &'a mut Seat,
}

/// Runs `request` in the cage at `place`.
pub(crate) fn run(
    setting: &Setting<'_>,
    place: &mut Place<'_>,
    request: &ExecRequest,
    cancel: &Cancel,
) -> Result<ExecOutcome, SandboxError> {
    let wiring = wiring(&request.network);
    if wiring == Wiring::Wired && setting.level == IsolationLevel::Process {
        return Err(SandboxError::NoNetwork { level: request.network.level().as_str() });
    }
    place.seat.ready(setting.control, wiring)?;
    let outcome = Run::start(setting, place, request).and_then(|mut run| {
        run.feed(&request.stdin)?;
        run.supervise(setting, place, request, cancel)
    });
    if outcome.is_err() {
        place.seat.abandon(setting.control);
    }
    outcome
}

/// Has a program executed that waits for its input, and for all else of its request but what `request` says.
pub(crate) fn execute_ahead(
    setting: &Setting<'_>,
    place: &mut Place<'_>,
    request: &ExecRequest,
) -> Result<Run, SandboxError> {
    place.seat.ready(setting.control, Wiring::Sealed)?;
    Run::start(setting, place, request).inspect_err(|_| place.seat.abandon(setting.control))
}

fn group(error: GroupError) -> SandboxError {
    SandboxError::System { action: "use the cage's cgroup", source: std::io::Error::other(error) }
}

/// Nanoseconds on the clock the stub uses too.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A run in progress.
#[derive(Debug)]
pub(crate) struct Run {
    workspace: Workspace,
    stdin: Option<OwnedFd>,
    /// How much of the request's input has been written.
    stdin_written: usize,
    stdout: Stream,
    stderr: Stream,
    asked_at: Duration,
    /// The program cannot have started before this.
    sent_at: Duration,
    /// When the program was executed, once a deadline made it worth knowing.
    started_at: Option<Duration>,
    /// When it went on, if it was executed ahead.
    went_on_at: Option<Duration>,
    /// When output last came.
    heard_at: Duration,
    /// When the tree's accounts are worth looking at again.
    look_at: Duration,
    /// When a workspace that nothing else bounds is worth measuring again, which takes a while.
    measure_at: Duration,
    killed: Option<Killed>,
    ended: Option<Ended>,
    /// When the cage began to come to its end: it was killed, or its program ended.
    closing_at: Option<Duration>,
    reaped: bool,
    /// What serves the hosts that the program may reach.
    relay: Option<Relay>,
}

impl Run {
    /// Prepares everything the cage needs and hands it over.
    fn start(
        setting: &Setting<'_>,
        place: &mut Place<'_>,
        request: &ExecRequest,
    ) -> Result<Self, SandboxError> {
        let Place { slot, seat } = place;
        let may_be_cloned = setting.start == Start::Cold && setting.level == IsolationLevel::Full;
        let (entry, _groups) = slot.accounts.entry(may_be_cloned);
        let message = plan::encode(request, setting, seat.generation(), &slot.fixture, entry)?;
        let workspace = workspace_for(setting, &slot.fixture, seat, request)?;
        workspace.place(&request.files, &request.limits)?;
        let owner = match setting.level {
            IsolationLevel::Full => Some(slot.fixture.uid),
            IsolationLevel::Rootless | IsolationLevel::Process => setting.file_user,
        };
        let (stdin_theirs, stdin) = pipe_for(owner, End::Write)?;
        let (stdout_theirs, stdout) = pipe_for(owner, End::Read)?;
        let (stderr_theirs, stderr) = pipe_for(owner, End::Read)?;
        slot.accounts.begin(&request.limits, seat.stub_process()).map_err(group)?;
        let (_entry, cgroups) = slot.accounts.entry(may_be_cloned);
        let [work, tmp] = workspace.descriptors();
        let streams = [&stdin_theirs, &stdout_theirs, &stderr_theirs].map(OwnedFd::as_fd);
        let descriptors: Vec<_> = streams.into_iter().chain([work, tmp]).chain(cgroups).collect();
        seat.send(&message, &descriptors)?;
        let sent_at = now();
        Ok(Self {
            workspace,
            stdin: Some(stdin),
            stdin_written: 0,
            stdout: Stream::new(stdout, &request.capture),
            stderr: Stream::new(stderr, &request.capture),
            asked_at: sent_at,
            sent_at,
            started_at: None,
            went_on_at: None,
            heard_at: sent_at,
            look_at: sent_at + slot.accounts.first_look(&request.limits, setting.processors),
            measure_at: sent_at,
            killed: None,
            ended: None,
            closing_at: None,
            reaped: false,
            relay: None,
        })
    }

    /// Waits until a program that was executed ahead has made `sign`, or nothing waits for it any more, or it is too late;
    /// an error if it came to its end instead.
    pub(crate) fn await_sign(
        &self,
        seat: &mut Seat,
        sign: &CStr,
        time: Duration,
        is_wanted: impl Fn() -> bool,
    ) -> Result<bool, SandboxError> {
        /// Looked for this often: nobody says when a file is made.
        const LOOK_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        let began = now();
        while statat(self.workspace.directory(), sign, AtFlags::SYMLINK_NOFOLLOW).is_err() {
            if !Self::is_silent(seat)? {
                return Err(SandboxError::StubLost);
            }
            if now().saturating_sub(began) > time || !is_wanted() {
                return Ok(false);
            }
            let mut heard = [PollFd::from_borrowed_fd(seat.socket(), PollFlags::IN)];
            match poll(&mut heard, Some(&LOOK_INTERVAL)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(system("wait for the cage")(errno)),
            }
        }
        unlinkat(self.workspace.directory(), sign, AtFlags::empty()).map_err(system("remove a sign"))?;
        Ok(true)
    }

    /// Whether nothing has been heard of a program that was executed ahead. Whatever is heard, it does not wait.
    pub(crate) fn is_silent(seat: &mut Seat) -> Result<bool, SandboxError> {
        match seat.next_report()? {
            None => Ok(true),
            Some(Report::Failed { stage, errno }) => Err(SandboxError::Cage { stage, source: errno.into() }),
            Some(Report::Waiting | Report::Listening | Report::Ended(_) | Report::Reaped { .. }) => Ok(false),
        }
    }

    /// Gives a program that was executed ahead the rest of its request, and supervises it from there on.
    pub(crate) fn go_on(
        mut self,
        setting: &Setting<'_>,
        place: &mut Place<'_>,
        request: &ExecRequest,
        cancel: &Cancel,
    ) -> Result<ExecOutcome, SandboxError> {
        self.workspace.place(&request.files, &request.limits)?;
        place.slot.accounts.restart_clock().map_err(group)?;
        for stream in [&mut self.stdout, &mut self.stderr] {
            stream.keep(&request.capture);
        }
        let now = now();
        (self.asked_at, self.sent_at, self.heard_at, self.measure_at) = (now, now, now, now);
        (self.started_at, self.went_on_at) = (Some(now), Some(now));
        self.look_at = now + place.slot.accounts.first_look(&request.limits, setting.processors);
        self.feed(&request.stdin)?;
        self.supervise(setting, place, request, cancel)
    }

    fn supervise(
        mut self,
        setting: &Setting<'_>,
        place: &mut Place<'_>,
        request: &ExecRequest,
        cancel: &Cancel,
    ) -> Result<ExecOutcome, SandboxError> {
        let mut buffer = std::mem::take(&mut place.slot.buffer);
        buffer.resize(CHUNK, 0);
        let waker = Arc::clone(&place.slot.waker);
        let watch = cancel.watch(&waker);
        if watch.is_none() {
            self.kill(setting, place.seat, Killed::Cancelled)?;
        }
        while !self.is_over() {
            self.wait(setting, place, request)?;
            self.read_output(&mut buffer)?;
            self.feed(&request.stdin)?;
            while let Some(report) = place.seat.next_report()? {
                if report == Report::Listening {
                    self.relay = Some(relay_for(request, place.seat.take_sockets())?);
                }
                self.hear(report, request)?;
            }
            self.intervene(setting, place, request, cancel)?;
        }
        drop(watch);
        let outcome = self.finish(setting, place, request, &mut buffer);
        place.slot.buffer = buffer;
        outcome
    }

    /// Ends a run that was cancelled or met a limit; but not one whose program has ended, which has met none, however late
    /// we are to see it.
    fn intervene(
        &mut self,
        setting: &Setting<'_>,
        place: &mut Place<'_>,
        request: &ExecRequest,
        cancel: &Cancel,
    ) -> Result<(), SandboxError> {
        if let Some(since) = self.closing_at {
            let late = now().saturating_sub(since) > CAGE_WAIT;
            return if late {
                Err(SandboxError::Unkillable { seconds: CAGE_WAIT.as_secs() })
            } else {
                Ok(())
            };
        }
        if cancel.is_cancelled() {
            return self.kill(setting, place.seat, Killed::Cancelled);
        }
        match self.limit_reached(setting, place, request)? {
            Some(limit) => self.kill(setting, place.seat, Killed::Limit(limit)),
            None => Ok(()),
        }
    }

    /// Over when the program's process ended and took its tree along, or when nothing of the cage is left.
    fn is_over(&self) -> bool {
        self.reaped || self.ended.is_some_and(|ended| ended.alone)
    }

    fn wait(
        &self,
        setting: &Setting<'_>,
        place: &Place<'_>,
        request: &ExecRequest,
    ) -> Result<(), SandboxError> {
        let mut watched = Vec::with_capacity(6);
        // Only for its end, which is always told. Where no namespace ends with the launcher, its cages would go on.
        watched.push(PollFd::from_borrowed_fd(setting.control, PollFlags::empty()));
        watched.push(PollFd::from_borrowed_fd(place.seat.socket(), PollFlags::IN));
        if self.closing_at.is_none() {
            watched.push(PollFd::new(&*place.slot.waker, PollFlags::IN));
        }
        watched.extend(
            [&self.stdout, &self.stderr]
                .into_iter()
                .filter_map(|stream| stream.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN))),
        );
        watched.extend(self.stdin.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        let until = self.next_deadline(request).saturating_sub(now());
        let timeout =
            Timespec::try_from(until).map_err(|_too_far| system("set a deadline")(Errno::OVERFLOW))?;
        match poll(&mut watched, Some(&timeout)) {
            Ok(_) if !watched[0].revents().is_empty() => Err(SandboxError::LauncherGone),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(system("wait for the cage")(errno)),
        }
    }

    fn next_deadline(&self, request: &ExecRequest) -> Duration {
        let limits = &request.limits;
        // A cage that closes is our own affair and has our own bound.
        if let Some(since) = self.closing_at {
            return since + CAGE_WAIT;
        }
        // No program starts before its request is sent, so this is never too late; `limit_reached` looks closer.
        let started = self.started_at.unwrap_or(self.sent_at);
        let wall = started + limits.wall_time;
        let idle = limits.idle_time.map_or(wall, |idle| self.heard_at + idle);
        wall.min(idle).min(self.look_at)
    }

    fn limit_reached(
        &mut self,
        setting: &Setting<'_>,
        place: &mut Place<'_>,
        request: &ExecRequest,
    ) -> Result<Option<LimitKind>, SandboxError> {
        let (limits, now) = (&request.limits, now());
        if self.output() > limits.output.as_u64() {
            return Ok(Some(LimitKind::Output));
        }
        if now < self.next_deadline(request) {
            return Ok(None);
        }
        let Some(started) = self.look_at_start_clock(setting, place.slot, request, now)? else {
            return Ok(None);
        };
        if now >= self.look_at {
            match place.slot.accounts.look(limits, setting.processors).map_err(group)? {
                Look::Exceeded(limit) => return Ok(Some(limit)),
                Look::Again(after) => self.look_at = now + after,
            }
            if self.is_disk_exceeded(limits) {
                return Ok(Some(LimitKind::DiskSpace));
            }
        }
        if now >= started + limits.wall_time {
            return Ok(Some(LimitKind::WallTime));
        }
        let idle = limits.idle_time.is_some_and(|idle| now >= self.heard_at + idle);
        Ok(idle.then_some(LimitKind::IdleTime))
    }

    /// Measures a workspace that no file system bounds, a tenth of the time at most.
    fn is_disk_exceeded(&mut self, limits: &Limits) -> bool {
        let begun = now();
        if begun < self.measure_at {
            return false;
        }
        let Some(measured) = self.workspace.measure() else { return false };
        self.measure_at = begun + now().saturating_sub(begun) * 10;
        measured.too_many || measured.bytes > limits.disk.as_u64()
    }

    /// When the program started. Time a busy machine took to get there is not the program's: if it has not started,
    /// the deadlines that seemed to have come are put off.
    fn look_at_start_clock(
        &mut self,
        setting: &Setting<'_>,
        slot: &Slot,
        request: &ExecRequest,
        now: Duration,
    ) -> Result<Option<Duration>, SandboxError> {
        if self.started_at.is_none() && !self.read_start_clock(setting, slot.fixture.index)? {
            if now.saturating_sub(self.asked_at) > CAGE_WAIT {
                return Err(SandboxError::NotReady { seconds: CAGE_WAIT.as_secs() });
            }
            self.sent_at = now;
            self.heard_at = now;
            self.look_at = now + slot.accounts.first_look(&request.limits, setting.processors);
        }
        Ok(self.started_at)
    }

    /// Takes note of the start if it has happened.
    fn read_start_clock(&mut self, setting: &Setting<'_>, slot: u32) -> Result<bool, SandboxError> {
        let mut word = [0; size_of::<u64>()];
        rustix::io::pread(setting.start_clock, &mut word, start_clock_offset(slot))
            .map_err(system("read the start clock"))?;
        let at_ns = u64::from_ne_bytes(word);
        if at_ns != 0 {
            let started = Duration::from_nanos(at_ns);
            self.started_at = Some(started);
            self.heard_at = self.heard_at.max(started);
        }
        Ok(at_ns != 0)
    }

    const fn output(&self) -> u64 {
        self.stdout.total() + self.stderr.total()
    }

    fn kill(&mut self, setting: &Setting<'_>, seat: &Seat, why: Killed) -> Result<(), SandboxError> {
        // Before the kill: the clock is reset for the cage that follows.
        if self.started_at.is_none() {
            self.read_start_clock(setting, seat.index())?;
        }
        seat.kill(setting.control)?;
        self.killed = Some(why);
        self.closing_at = Some(now());
        Ok(())
    }

    fn read_output(&mut self, buffer: &mut [u8]) -> Result<(), SandboxError> {
        for stream in [&mut self.stdout, &mut self.stderr] {
            if stream.read_some(buffer).map_err(system("read the program's output"))? {
                self.heard_at = now();
            }
        }
        Ok(())
    }

    /// Writes as much input as the pipe takes, and closes it when all is written or nobody reads.
    fn feed(&mut self, input: &[u8]) -> Result<(), SandboxError> {
        let Some(pipe) = &self.stdin else { return Ok(()) };
        while let Some(rest) = input.get(self.stdin_written..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(pipe, rest) {
                Ok(count) => self.stdin_written += count,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => break,
                Err(errno) => return Err(system("write the program's input")(errno)),
            }
        }
        self.stdin = None;
        Ok(())
    }

    fn hear(&mut self, report: Report, request: &ExecRequest) -> Result<(), SandboxError> {
        match report {
            Report::Ended(mut ended) => {
                if let Some(went_on_at) = self.went_on_at {
                    let at = u64::try_from(went_on_at.as_nanos()).unwrap_or(u64::MAX);
                    ended.started_ns = ended.started_ns.max(at);
                }
                self.ended = Some(ended);
                self.closing_at.get_or_insert_with(now);
            }
            Report::Failed { stage: Stage::Exec, errno } => {
                let program = request.argv.first().cloned().unwrap_or_default();
                return Err(SandboxError::Exec { program, source: errno.into() });
            }
            Report::Failed { stage, errno } => {
                return Err(SandboxError::Cage { stage, source: errno.into() });
            }
            Report::Reaped { .. } => self.reaped = true,
            Report::Waiting | Report::Listening => {}
        }
        Ok(())
    }

    fn finish(
        mut self,
        setting: &Setting<'_>,
        place: &mut Place<'_>,
        request: &ExecRequest,
        buffer: &mut [u8],
    ) -> Result<ExecOutcome, SandboxError> {
        let bound = request.limits.output.as_u64();
        for stream in [&mut self.stdout, &mut self.stderr] {
            stream.drain(buffer, bound).map_err(system("read the program's output"))?;
        }
        let account = place.slot.accounts.account(&request.limits, self.ended.as_ref()).map_err(group)?;
        if let (Some(measured), Some(ended)) = (self.workspace.measure(), &mut self.ended) {
            ended.disk_used = measured.bytes;
            ended.disk_full = measured.too_many || measured.bytes > request.limits.disk.as_u64();
        }
        let output = self.output();
        let ending = match (self.killed, self.ended) {
            (Some(why), _) => Ending::Killed(why),
            (None, Some(ended)) => Ending::Own(ended),
            // Unless we killed it, a cage says how it went before it goes.
            (None, None) => return Err(SandboxError::StubLost),
        };
        let termination =
            termination(&Evidence { ending, account: &account, output, limits: &request.limits })?;
        let wall_time = match (&self.ended, self.started_at) {
            (Some(ended), _) => wall_time(ended),
            (None, Some(started)) => now().saturating_sub(started),
            (None, None) => Duration::ZERO,
        };
        let usage = Usage {
            cpu_time: account.cpu,
            wall_time,
            memory: account.memory,
            processes: account.processes,
            output: ByteSize::bytes(output),
            disk: ByteSize::bytes(self.ended.map_or(0, |ended| ended.disk_used)),
        };
        let network = self.relay.take().map_or_else(|| Ok(NetworkLog::default()), network_log)?;
        let execute_bit = match setting.level {
            IsolationLevel::Full | IsolationLevel::Rootless => ExecuteBit::Kept,
            IsolationLevel::Process => ExecuteBit::Inferred,
        };
        let collected = collect::collect(self.workspace.directory(), &request.collect, execute_bit)
            .map_err(system("read files back from the workspace"))?;
        Ok(ExecOutcome {
            termination,
            start: setting.start,
            network,
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            usage,
            enforcement: Arc::clone(setting.enforcement),
            files: collected.files,
            files_omitted: collected.omitted,
        })
    }
}
