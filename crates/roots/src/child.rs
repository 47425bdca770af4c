//! Programs of the host that do part of the work: run to their end, or ended when the caller wants no more.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::error::BuildError;

/// How soon cancelling is noticed, and progress shown, where nothing else happens.
const TICK: Duration = Duration::from_millis(100);

/// Bytes read of what a program said: its complaint is at the end, and a list of packages is some ten kilobytes.
const SAID_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Lines of a complaint that are passed on.
const COMPLAINT_LINES_MAX: usize = 3;

/// Looked at while a program runs.
pub(crate) trait Watch {
    /// Whether to end it.
    fn is_cancelled(&self) -> bool;
    /// Called every tick.
    fn tick(&self);
}

/// What a program came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it wrote to standard output.
    pub(crate) stdout: String,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
}

impl Ended {
    /// The end of what it complained of, in one line.
    pub(crate) fn complaint(&self) -> String {
        let is_complaint = |line: &&str| line.starts_with("E: ") || line.starts_with("Err:");
        let all = || self.stderr.lines().chain(self.stdout.lines()).map(str::trim);
        let mut lines: Vec<_> = all().filter(is_complaint).collect();
        if lines.is_empty() {
            lines = all().filter(|line| !line.is_empty()).collect();
        }
        lines.dedup();
        let first = lines.len().saturating_sub(COMPLAINT_LINES_MAX);
        match &lines[first..] {
            [] => format!("it ended with {}", self.status),
            lines => lines.join("; "),
        }
    }
}

/// Runs `command` in a process group of its own, with its output in files below `scratch`, and waits for it. The
/// descriptors that we leave open to it stay open in what it starts, and a lock held by them is held on.
pub(crate) fn run(
    program: &'static str,
    command: Command,
    scratch: &Path,
    watch: &dyn Watch,
) -> Result<Ended, BuildError> {
    run_from(program, command, Stdio::null(), scratch, watch)
}

/// As [`run`], with a standard input.
pub(crate) fn run_from(
    program: &'static str,
    mut command: Command,
    stdin: Stdio,
    scratch: &Path,
    watch: &dyn Watch,
) -> Result<Ended, BuildError> {
    let failed = |source: io::Error| BuildError::Run { program, source };
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| {
        let path = scratch.join(name);
        File::options().create(true).truncate(true).read(true).write(true).open(path)
    });
    let (stdout, stderr) = (stdout.map_err(failed)?, stderr.map_err(failed)?);
    let output = |file: &File| file.try_clone().map(Stdio::from).map_err(failed);
    // Messages are looked at, and sizes printed, as they are in English.
    command.env("LC_ALL", "C").stdin(stdin).process_group(0);
    command.stdout(output(&stdout)?).stderr(output(&stderr)?);
    let mut child = command.spawn().map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            BuildError::HostLacks { what: program.to_owned(), package: package(program) }
        } else {
            failed(source)
        }
    })?;
    let waited = wait(&mut child, watch);
    if waited.is_err() {
        end(&mut child);
    }
    let status = waited.map_err(failed)?.ok_or(BuildError::Cancelled)?;
    Ok(Ended { status, stdout: said(stdout).map_err(failed)?, stderr: said(stderr).map_err(failed)? })
}

/// Waits for `child`; `None` if it was ended, with all of its group, because the caller wants no more.
fn wait(child: &mut Child, watch: &dyn Watch) -> io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let tick = Timespec::try_from(TICK).map_err(io::Error::other)?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if watch.is_cancelled() {
            end(child);
            return Ok(None);
        }
        watch.tick();
        let mut waited = [PollFd::new(&ended, PollFlags::IN)];
        match poll(&mut waited, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Ends a child that has not been waited for, and all of its group.
fn end(child: &mut Child) {
    // It may have ended in between.
    let _gone = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _reaped = child.wait();
}

fn said(mut file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(SAID_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The package a program comes from.
fn package(program: &str) -> &'static str {
    match program {
        "dpkg-deb" => "dpkg",
        "apt-get" | "apt-config" => "apt",
        "ldconfig" => "libc-bin",
        _ => "tar",
    }
}
