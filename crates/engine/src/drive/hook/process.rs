//! One process of a hook: its pipes, its end, and what it leaves in standard error.
//!
//! It leads a process group of its own, so that a terminal's Ctrl-C does not reach it before us and so that one signal
//! ends its children with it. The group is signalled only while its leader has not been waited for: until then the
//! number is nobody else's. A child that made itself a session of its own is the operator's to end.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::{HookFailure, Waiting};
use super::spec::HookSpec;

/// Bytes of one answer: more than a tool's output that any model's window holds.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of standard error that are kept: a Python traceback of ordinary depth.
const STDERR_BYTES_MAX: usize = 2048;

/// Bytes of an unasked line that are shown.
const EXCERPT_BYTES_MAX: usize = 120;

/// How long a process that closed its standard output has to end by itself, so that its exit code can be told.
const EXIT_GRACE: Duration = Duration::from_millis(500);

/// How long a process has to end after its standard input did.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A killed process is gone in milliseconds; one that the kernel does not let go is left to it.
const REAP_MAX: Duration = Duration::from_secs(5);

/// What is left in the pipe of a dead group is read in less; longer lasts only what another process holds open.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// A running process. Dropping it ends its group.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Readable once the leader has ended, which waiting for it would not leave to be asked.
    ended: AsyncFd<OwnedFd>,
    /// Closed when it is to stop.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Arc<Mutex<VecDeque<u8>>>,
    stderr_reader: JoinHandle<()>,
    /// Requests it has answered.
    pub(super) answered: u64,
}

/// What reading a line came to.
enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

impl Process {
    /// Starts a process. It has not been asked anything.
    pub(super) fn start(spec: &HookSpec) -> Result<Self, HookFailure> {
        let failed = |error: std::io::Error| HookFailure::Start(Arc::new(error));
        let (program, arguments) = spec.command.split_first().ok_or_else(|| {
            failed(std::io::Error::new(std::io::ErrorKind::InvalidInput, "the command is empty"))
        })?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &spec.directory {
            command.current_dir(directory);
        }
        let mut child = command.spawn().map_err(failed)?;
        let leader = group_of(&child).expect("nobody has waited for it");
        let ended = watch(leader).map_err(|error| {
            let _gone_already = kill_process_group(leader, Signal::KILL);
            failed(error)
        })?;
        let stderr = Arc::default();
        let reader = keep_end(child.stderr.take().expect("it was asked for"), Arc::clone(&stderr));
        Ok(Self {
            ended,
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("it was asked for")),
            stderr,
            stderr_reader: tokio::spawn(reader),
            child,
            answered: 0,
        })
    }

    /// Writes one line and reads one. After a failure it must be ended.
    pub(super) async fn exchange(
        &mut self,
        request: &[u8],
        within: Duration,
        waiting: Waiting,
    ) -> Result<Vec<u8>, HookFailure> {
        let unasked = self.stdout.buffer();
        if !unasked.is_empty() {
            let shown = &unasked[..unasked.len().min(EXCERPT_BYTES_MAX)];
            let line = String::from_utf8_lossy(shown).lines().next().unwrap_or_default().to_owned();
            return Err(HookFailure::Unasked { line });
        }
        let line = match timeout(within, self.write_and_read(request)).await {
            Ok(line) => line?,
            Err(_elapsed) => return Err(HookFailure::Hung { within }),
        };
        match line {
            Line::Whole(line) => Ok(line),
            Line::TooLong => Err(HookFailure::LineTooLong { bytes_max: LINE_BYTES_MAX }),
            // Said more precisely once it is known whether it ended.
            Line::End => Err(HookFailure::Closed(waiting)),
        }
    }

    async fn write_and_read(&mut self, request: &[u8]) -> Result<Line, HookFailure> {
        let Self { stdin, stdout, ended, .. } = self;
        let stdin = stdin.as_mut().expect("it was not stopped");
        let mut answer = std::pin::pin!(async move {
            let write = async {
                stdin.write_all(request).await?;
                stdin.flush().await
            };
            let mut read = std::pin::pin!(read_line(stdout));
            tokio::select! {
                biased;
                // A pipe that nobody reads: what is still to be read from the other says why.
                _written = write => Ok(read.await),
                line = &mut read => match line {
                    Line::Whole(_) => Err(HookFailure::Early),
                    other @ (Line::TooLong | Line::End) => Ok(other),
                },
            }
        });
        tokio::select! {
            biased;
            line = &mut answer => line,
            // A child of it may hold the pipe open for ever; what it wrote itself is there already.
            _ended = ended.readable() => timeout(DRAIN_MAX, answer).await.unwrap_or(Ok(Line::End)),
        }
    }

    /// Ends the process and its group because of `failure`; says what is known of it by then, and the end of what it
    /// wrote to standard error.
    pub(super) async fn fail(mut self, failure: HookFailure) -> (HookFailure, String) {
        let failure = match failure {
            HookFailure::Closed(when) => {
                let has_ended = self.ends_within(EXIT_GRACE).await;
                let status = self.end().await;
                match status {
                    Some(status) if has_ended => HookFailure::Ended { how: status_text(status), when },
                    Some(_) | None => HookFailure::Closed(when),
                }
            }
            other @ (HookFailure::Start(_)
            | HookFailure::Ended { .. }
            | HookFailure::Hung { .. }
            | HookFailure::LineTooLong { .. }
            | HookFailure::Unasked { .. }
            | HookFailure::Early
            | HookFailure::Reply(_)
            | HookFailure::Value(_)
            | HookFailure::Description(_)
            | HookFailure::GivenUp { .. }) => {
                self.end().await;
                other
            }
        };
        let _may_be_held_open = timeout(DRAIN_MAX, &mut self.stderr_reader).await;
        (failure, self.stderr_end())
    }

    /// Ends a process that is no longer wanted: it is told by the end of its input, and given a moment.
    pub(super) async fn stop(mut self) {
        self.stdin = None;
        let _or_killed = self.ends_within(STOP_GRACE).await;
        self.end().await;
    }

    /// What it has written to standard error, its end.
    pub(super) fn stderr_end(&self) -> String {
        let kept = self.stderr.lock().expect("nothing panics while it holds the lock");
        String::from_utf8_lossy(&kept.iter().copied().collect::<Vec<_>>()).into_owned()
    }

    /// Whether the leader ends by itself in this time. It is not waited for, so that its number stays its own.
    async fn ends_within(&self, grace: Duration) -> bool {
        timeout(grace, self.ended.readable()).await.is_ok()
    }

    /// Kills the group, then waits for its leader.
    async fn end(&mut self) -> Option<ExitStatus> {
        self.kill_group();
        timeout(REAP_MAX, self.child.wait()).await.ok()?.ok()
    }

    fn kill_group(&self) {
        if let Some(leader) = group_of(&self.child) {
            // It may have ended, and its whole group with it.
            let _gone_already = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
        self.stderr_reader.abort();
    }
}

/// A descriptor that is readable once the process has ended.
#[expect(
    deprecated,
    reason = "what stands in for it is unsafe, and the descriptor is owned and never replaced"
)]
fn watch(leader: Pid) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(pidfd_open(leader, PidfdFlags::empty())?)
}

/// The process group, while its leader has not been waited for.
fn group_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

fn status_text(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;

    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Reads to the next line feed, holding no more than an answer may have. What follows the last one is no line.
async fn read_line(input: &mut (impl AsyncBufRead + Unpin)) -> Line {
    let mut line = Vec::new();
    loop {
        // A pipe that cannot be read is one that says nothing more.
        let available = match input.fill_buf().await {
            Ok(available) if !available.is_empty() => available,
            Ok(_) | Err(_) => return Line::End,
        };
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        if line.len() + part.len() > LINE_BYTES_MAX {
            return Line::TooLong;
        }
        line.extend_from_slice(part);
        let used = end.map_or(available.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            return Line::Whole(line);
        }
    }
}

/// Reads standard error to its end and keeps the end of it, so that a hook that writes much never waits for a reader.
async fn keep_end(mut stderr: ChildStderr, kept: Arc<Mutex<VecDeque<u8>>>) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let mut kept = kept.lock().expect("nothing panics while it holds the lock");
        kept.extend(&buffer[..count]);
        let excess = kept.len().saturating_sub(STDERR_BYTES_MAX);
        kept.drain(..excess);
    }
}
