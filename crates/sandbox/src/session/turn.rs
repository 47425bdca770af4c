//! One cell: what a session is given, until its agent says that it is done or the interpreter has ended.
//!
//! A cell that meets a limit is interrupted first, as by Ctrl-C, and the session lives on if it ends then. One that does not is
//! killed, and the session with it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rollcage_guest::protocol::Ended;
use rollcage_types::{ByteSize, CapturePlan, Captured, LimitKind, Termination};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::cancel::Cancel;
use crate::capture::CHUNK;
use crate::cgroup::Refusals;
use crate::error::SandboxError;
use crate::furnish::system;
use crate::outcome::Killed;
use crate::session::branch::BRANCHED;
use crate::session::cage::{SessionCage, group};
use crate::session::channel::{Message, Nonsense};
use crate::session::end::END_WAIT;

/// What ends a turn.
const DONE: &str = "done";
/// Bytes of what is said of that. An agent that says more has been tampered with, and is heard to say nothing.
const ENDING_MAX: usize = 256;
/// What the init of a branch says of a process.
const ENDED: &str = "ended";
/// What asks for a line of input.
const INPUT: &str = "input";
/// Messages of one turn, and bytes of all together; what comes after is dropped and counted.
const MESSAGES_MAX: usize = 256;
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Questions of one turn. Whoever asks more is no program that reads the answers.
const QUESTIONS_MAX: u32 = 10_000;
/// Bytes of answers that may wait to be read.
const ANSWERS_MAX: usize = 4 * 1024 * 1024;
/// A cell close to its CPU limit is looked at this often.
const LOOK_MIN: Duration = Duration::from_millis(5);

/// Who hears an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// The interpreter alone, which sees to those that it waits for.
    Interpreter,
    /// Every process of the session, as of a terminal's foreground.
    Everything,
}

/// What a cell may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnLimits {
    /// Processor time of all processes of the session.
    pub cpu_time: Duration,
    /// Time on the clock.
    pub wall_time: Duration,
    /// Time on the clock without a byte of output.
    pub idle_time: Option<Duration>,
    /// Bytes of output.
    pub output: ByteSize,
    /// Time on the clock to end after an interrupt.
    pub grace: Duration,
}

/// A cell on its way to the agent.
#[derive(Clone, Debug)]
pub struct Turn<'a> {
    /// What its end is known by: what the agent says it is done with begins with this number and a space.
    pub number: u32,
    /// What the agent is sent.
    pub order: &'a [u8],
    /// See there.
    pub limits: &'a TurnLimits,
    /// How much of its output is kept.
    pub capture: CapturePlan,
    /// See there.
    pub interrupts: Interrupts,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnEnd {
    /// The agent said that it is done, and what else it says of that.
    Done(Vec<u8>),
    /// The interpreter has ended, and the session with it.
    Ended(Termination),
    /// The agent cannot be spoken to any more, for this reason, and the session was ended.
    Lost(&'static str),
}

/// Why a turn has no outcome.
#[derive(Debug)]
pub enum TurnError {
    /// The agent was told nothing: the session is as it was.
    NotBegun(SandboxError),
    /// Nothing is known of the session any more.
    CutOff(SandboxError),
}

impl TurnError {
    /// What happened, whenever it did.
    pub fn into_inner(self) -> SandboxError {
        let (Self::NotBegun(error) | Self::CutOff(error)) = self;
        error
    }
}

/// What a turn used, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnUsage {
    /// Processor time of all processes of the session.
    pub cpu_time: Duration,
    /// What they had used since the turn before.
    pub cpu_time_between: Duration,
    /// Time on the clock, but for that spent waiting for answers.
    pub wall_time: Duration,
    /// Bytes of output.
    pub output: ByteSize,
}

/// What came of a turn.
#[derive(Clone, Debug)]
pub struct TurnOutcome {
    /// How it ended.
    pub end: TurnEnd,
    /// Why it was interrupted; `None` if it was not.
    pub interrupted: Option<Termination>,
    /// What came over the socket, in order.
    pub messages: Vec<Message>,
    /// Messages that were too many or too long.
    pub messages_dropped: u64,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// See there.
    pub usage: TurnUsage,
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// A turn in progress.
struct Progress {
    cpu_before: Duration,
    cpu_between: Duration,
    started: Duration,
    heard: Duration,
    look_at: Duration,
    interrupted: Option<(Killed, Duration)>,
    messages: Vec<Message>,
    message_bytes: usize,
    messages_dropped: u64,
    questions: u32,
}

impl SessionCage {
    /// Gives the agent a cell and waits until it is done, or the session has ended. Cancelling interrupts the cell. `answer` is
    /// asked for a line of input where the cell wants one; what it returns is sent to the agent.
    ///
    /// # Panics
    ///
    /// If the session has ended.
    pub fn execute(
        &mut self,
        turn: &Turn<'_>,
        cancel: &Cancel,
        answer: &mut dyn FnMut(&[u8]) -> Vec<u8>,
    ) -> Result<TurnOutcome, TurnError> {
        assert!(self.ended().is_none(), "a session that has ended is given no cell");
        let cpu_before = self.cpu_before().map_err(TurnError::NotBegun)?;
        // One that was cancelled already is interrupted at once.
        let counter = u32::from(cancel.is_cancelled());
        let waker = eventfd(counter, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Arc::new);
        let waker = waker.map_err(system("create an eventfd")).map_err(TurnError::NotBegun)?;
        self.carry_out(turn, cpu_before, &waker, cancel, answer).map_err(TurnError::CutOff)
    }

    /// Processor time that was used before a turn. Of an interpreter that was alone after the last, and waits for the next, it is
    /// what it was: if it does something all the same, on a signal, that is the next cell's.
    fn cpu_before(&self) -> Result<Duration, SandboxError> {
        match self.tasks_seen {
            Some(1) => Ok(self.cpu_seen),
            _ => self.group.cpu().map_err(group),
        }
    }

    fn carry_out(
        &mut self,
        turn: &Turn<'_>,
        cpu_before: Duration,
        waker: &Arc<OwnedFd>,
        cancel: &Cancel,
        answer: &mut dyn FnMut(&[u8]) -> Vec<u8>,
    ) -> Result<TurnOutcome, SandboxError> {
        let mut buffer = vec![0; CHUNK];
        for stream in [&mut self.stdout, &mut self.stderr] {
            stream.keep(&turn.capture);
        }
        let watch = cancel.watch(waker);
        self.channel.queue(turn.order);
        let started = now();
        let mut progress = Progress {
            cpu_before,
            cpu_between: cpu_before.saturating_sub(self.cpu_seen),
            started,
            heard: started,
            // With every processor busy.
            look_at: started + turn.limits.cpu_time / processors(),
            interrupted: None,
            messages: Vec::new(),
            message_bytes: 0,
            messages_dropped: 0,
            questions: 0,
        };
        let result = loop {
            self.channel.flush().map_err(system("speak to the session"))?;
            if let Some(end) = self.step(turn, &mut progress, waker, cancel, &mut buffer, answer)? {
                break end;
            }
        };
        drop(watch);
        self.finish(turn, progress, result, &mut buffer)
    }

    fn step(
        &mut self,
        turn: &Turn<'_>,
        progress: &mut Progress,
        waker: &Arc<OwnedFd>,
        cancel: &Cancel,
        buffer: &mut [u8],
        answer: &mut dyn FnMut(&[u8]) -> Vec<u8>,
    ) -> Result<Option<TurnEnd>, SandboxError> {
        let deadline = progress.next_deadline(turn.limits);
        let wakers = [waker.as_fd()];
        let wakers = if progress.interrupted.is_none() { &wakers[..] } else { &[] };
        self.poll_for(deadline.saturating_sub(now()), wakers)?;
        if self.read_output(buffer)? {
            progress.heard = now();
        }
        if self.channel.is_open() {
            self.channel.read_some().map_err(system("hear from the session"))?;
        }
        loop {
            match self.channel.next_message() {
                // Else of an earlier turn, which somebody else had said was done.
                Ok(Some(message)) if message.kind == DONE => {
                    let mine = format!("{} ", turn.number);
                    if let Some(content) = message.content.strip_prefix(mine.as_bytes()) {
                        let content = if content.len() > ENDING_MAX { &[] } else { content };
                        return Ok(Some(TurnEnd::Done(content.to_vec())));
                    }
                }
                Ok(Some(message)) if message.kind == INPUT => {
                    progress.questions += 1;
                    if progress.questions > QUESTIONS_MAX || self.channel.waiting() > ANSWERS_MAX {
                        self.channel.forget();
                        return self.lose(progress, "it asks for more input than it reads").map(Some);
                    }
                    let asked = now();
                    let line = answer(&message.content);
                    progress.wait_for(now().saturating_sub(asked));
                    self.channel.queue(&line);
                }
                Ok(Some(message)) if message.kind == BRANCHED => {}
                Ok(Some(message)) if message.kind == ENDED => self.note_told(&message.content),
                Ok(Some(message)) => progress.keep(message),
                Ok(None) => break,
                Err(Nonsense) => {
                    self.channel.forget();
                    return self.lose(progress, "what was written to its socket is no message").map(Some);
                }
            }
        }
        if let Some(ended) = self.hear(None)? {
            return self.see_off(progress, ended).map(Some);
        }
        if self.channel.is_open() {
            self.intervene(turn, progress, cancel)
        } else {
            self.look_why(progress).map(Some)
        }
    }

    /// The interpreter has ended; whatever it left running goes too.
    fn see_off(&mut self, progress: &Progress, ended: Ended) -> Result<TurnEnd, SandboxError> {
        if ended.alone {
            self.await_gone()?;
        } else {
            self.kill()?;
        }
        // One that ended because it was interrupted ended for that reason.
        let killed = progress.interrupted.map(|(why, _)| why);
        self.note_end(Some(ended), killed).map(TurnEnd::Ended)
    }

    /// The socket was closed: because the interpreter is about to end, or by a program that goes on.
    fn look_why(&mut self, progress: &Progress) -> Result<TurnEnd, SandboxError> {
        /// A process that ends closes its descriptors a moment before it is gone.
        const MOMENT: Duration = Duration::from_millis(50);
        let since = now();
        loop {
            self.poll_for(MOMENT, &[])?;
            if let Some(ended) = self.hear(None)? {
                return self.see_off(progress, ended);
            }
            let members = self.group.processes_now().map_err(group)?;
            let lives = self.channel.speaker().is_none_or(|speaker| members.contains(&speaker));
            let waited = now().saturating_sub(since);
            if waited > if lives { MOMENT } else { END_WAIT } {
                return self.lose(progress, "its socket was closed");
            }
        }
    }

    fn lose(&mut self, progress: &Progress, why: &'static str) -> Result<TurnEnd, SandboxError> {
        self.kill()?;
        let killed = progress.interrupted.map(|(why, _)| why);
        let end = self.note_end(None, Some(killed.unwrap_or(Killed::Cancelled)))?;
        Ok(if killed.is_some() { TurnEnd::Ended(end) } else { TurnEnd::Lost(why) })
    }

    /// Interrupts a cell that met a limit or is cancelled, and ends the session if that was no use.
    fn intervene(
        &mut self,
        turn: &Turn<'_>,
        progress: &mut Progress,
        cancel: &Cancel,
    ) -> Result<Option<TurnEnd>, SandboxError> {
        if let Some((why, since)) = progress.interrupted {
            if now().saturating_sub(since) < turn.limits.grace.min(END_WAIT) {
                return Ok(None);
            }
            self.kill()?;
            return self.note_end(None, Some(why)).map(|end| Some(TurnEnd::Ended(end)));
        }
        let why = match self.limit_reached(turn, progress)? {
            Some(limit) => Killed::Limit(self.behind(limit)?),
            None if cancel.is_cancelled() => Killed::Cancelled,
            None => return Ok(None),
        };
        progress.interrupted = Some((why, now()));
        self.interrupt(turn.interrupts)?;
        Ok(None)
    }

    fn limit_reached(
        &self,
        turn: &Turn<'_>,
        progress: &mut Progress,
    ) -> Result<Option<LimitKind>, SandboxError> {
        let (limits, now) = (turn.limits, now());
        if self.stdout.total() + self.stderr.total() > limits.output.as_u64() {
            return Ok(Some(LimitKind::Output));
        }
        if now >= progress.look_at {
            let used = self.group.cpu().map_err(group)?.saturating_sub(progress.cpu_before);
            if used > limits.cpu_time {
                return Ok(Some(LimitKind::CpuTime));
            }
            let left = limits.cpu_time.saturating_sub(used) / processors();
            progress.look_at = now + left.max(LOOK_MIN);
        }
        if now >= progress.started + limits.wall_time {
            return Ok(Some(LimitKind::WallTime));
        }
        let idle = limits.idle_time.is_some_and(|idle| now >= progress.heard + idle);
        Ok(idle.then_some(LimitKind::IdleTime))
    }

    /// The most specific of the limits that a cell has met: one that waits for processes that it may not have runs into its time.
    fn behind(&self, limit: LimitKind) -> Result<LimitKind, SandboxError> {
        let are_refused = self.group.has_refused_forks().map_err(group)?;
        let account = are_refused.then(|| self.group.account(&self.limits)).transpose().map_err(group)?;
        let is_own = account.is_some_and(|account| account.forks_refused == Refusals::ByOwnLimit);
        Ok(if is_own { LimitKind::Processes } else { limit })
    }

    fn interrupt(&self, whom: Interrupts) -> Result<(), SandboxError> {
        let meant = match whom {
            Interrupts::Everything => self.group.processes_now().map_err(group)?,
            Interrupts::Interpreter => self.channel.speaker().into_iter().collect(),
        };
        self.group.signal(&meant, Signal::INT).map_err(group)
    }

    fn finish(
        &mut self,
        turn: &Turn<'_>,
        progress: Progress,
        end: TurnEnd,
        buffer: &mut [u8],
    ) -> Result<TurnOutcome, SandboxError> {
        let ended_at = now();
        // What was written before the agent spoke is there by now.
        let bound = turn.limits.output.as_u64().saturating_add(CHUNK as u64);
        for stream in [&mut self.stdout, &mut self.stderr] {
            stream.drain(buffer, bound).map_err(system("read the session's output"))?;
        }
        let cpu = self.group.cpu().map_err(group)?;
        if matches!(end, TurnEnd::Done(_)) {
            // The next cell is not to blame for what this one was refused, and lived with.
            self.group.forget_refusals().map_err(group)?;
            self.tasks_seen = Some(self.tasks()?);
        }
        self.cpu_seen = cpu;
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let usage = TurnUsage {
            cpu_time: cpu.saturating_sub(progress.cpu_before),
            cpu_time_between: progress.cpu_between,
            wall_time: ended_at.saturating_sub(progress.started),
            output: ByteSize::bytes(stdout.bytes_total + stderr.bytes_total),
        };
        let interrupted = progress.interrupted.map(|(why, _)| match why {
            Killed::Limit(limit) => Termination::LimitExceeded(limit),
            Killed::Cancelled => Termination::Cancelled,
        });
        let Progress { messages, messages_dropped, .. } = progress;
        Ok(TurnOutcome { end, interrupted, messages, messages_dropped, stdout, stderr, usage })
    }
}

impl Progress {
    fn next_deadline(&self, limits: &TurnLimits) -> Duration {
        if let Some((_, since)) = self.interrupted {
            return since + limits.grace.min(END_WAIT);
        }
        let wall = self.started + limits.wall_time;
        let idle = limits.idle_time.map_or(wall, |idle| self.heard + idle);
        wall.min(idle).min(self.look_at)
    }

    /// Time that somebody else took.
    fn wait_for(&mut self, time: Duration) {
        self.started += time;
        self.heard += time;
        self.look_at += time;
    }

    fn keep(&mut self, message: Message) {
        let bytes = self.message_bytes.saturating_add(message.content.len());
        if self.messages.len() < MESSAGES_MAX && bytes <= MESSAGE_BYTES_MAX {
            self.message_bytes = bytes;
            self.messages.push(message);
        } else {
            self.messages_dropped += 1;
        }
    }
}

fn processors() -> u32 {
    static KNOWN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *KNOWN.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1))
    })
}
