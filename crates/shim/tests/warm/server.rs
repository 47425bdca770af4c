//! One interpreter, started cold or as a fork server, and what its programs do.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, thread};

use rustix::io::FdFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use tempfile::TempDir;

use crate::wire::{self, Report, Request};

/// How one interpreter is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// Tried in turn.
    pub(crate) programs: &'static [&'static str],
    pub(crate) arguments: &'static [&'static str],
    pub(crate) filename: &'static str,
}

pub(crate) const PYTHON: Recipe =
    Recipe { programs: &["/usr/bin/python3"], arguments: &["-B", "snippet.py"], filename: "snippet.py" };
pub(crate) const PERL: Recipe =
    Recipe { programs: &["/usr/bin/perl"], arguments: &["snippet.pl"], filename: "snippet.pl" };
pub(crate) const RUBY: Recipe =
    Recipe { programs: &["/usr/bin/ruby"], arguments: &["snippet.rb"], filename: "snippet.rb" };
pub(crate) const PHP: Recipe =
    Recipe { programs: &["/usr/bin/php"], arguments: &["snippet.php"], filename: "snippet.php" };
pub(crate) const LUA: Recipe =
    Recipe { programs: &["/usr/bin/lua5.4"], arguments: &["snippet.lua"], filename: "snippet.lua" };
pub(crate) const BASH: Recipe =
    Recipe { programs: &["/bin/bash"], arguments: &["snippet.sh"], filename: "snippet.sh" };

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// As wait4(2) gives it.
    pub(crate) status: i32,
}

impl Outcome {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap().trim_end()
    }
}

/// A directory with a program, and what the interpreter is started with.
pub(crate) struct Place {
    pub(crate) recipe: Recipe,
    pub(crate) program: PathBuf,
    pub(crate) directory: TempDir,
    /// Variables of the interpreter, warm and cold.
    pub(crate) variables: Vec<(String, String)>,
    /// Where the fork point is, if it is not the program.
    pub(crate) point: Option<PathBuf>,
    pub(crate) executable: Option<String>,
    pub(crate) preload: Option<PathBuf>,
    pub(crate) hidden: Option<&'static str>,
    /// Preloaded behind ours.
    pub(crate) other_library: Option<&'static str>,
}

impl Place {
    /// `None`, and a line that says so, where the interpreter is missing.
    pub(crate) fn new(recipe: Recipe) -> Option<Self> {
        let Some(program) = recipe.programs.iter().find(|path| Path::new(path).exists()) else {
            eprintln!("skipped: no {}", recipe.programs.join(" or "));
            return None;
        };
        let place = Self {
            recipe,
            program: program.into(),
            directory: TempDir::new().unwrap(),
            variables: vec![("PATH".into(), "/usr/bin:/bin".into()), ("LANG".into(), "C.UTF-8".into())],
            point: None,
            executable: None,
            preload: None,
            hidden: None,
            other_library: None,
        };
        place.write("");
        Some(place)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join(self.recipe.filename)
    }

    pub(crate) fn write(&self, source: &str) {
        fs::write(self.file(), source).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(self.recipe.arguments).current_dir(self.directory.path()).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn cold(&self, stdin: &str) -> Outcome {
        let mut command = self.command();
        // SAFETY: neither call allocates.
        unsafe {
            command.pre_exec(|| {
                // Whatever this test's own parent left open, and other tests' servers.
                libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
                rustix::process::setsid().map(drop).map_err(Into::into)
            });
        };
        let mut child = command.spawn().unwrap();
        let to = child.stdin.take().unwrap();
        feed(to.into(), stdin);
        let output = child.wait_with_output().unwrap();
        Outcome { stdout: output.stdout, stderr: output.stderr, status: output.status.into_raw() }
    }

    pub(crate) fn serve(&self) -> Server {
        let server = self.start();
        let Some((Report::Ready { .. }, _)) = server.receive() else {
            panic!("the interpreter is not ready: {}", server.fail());
        };
        server
    }

    /// Without waiting for it.
    pub(crate) fn start(&self) -> Server {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let mut command = self.command();
        let own = library();
        let own = own.to_str().unwrap();
        let preloaded = self.other_library.map_or_else(|| own.to_owned(), |other| format!("{own}:{other}"));
        let point = self.point.clone().unwrap_or_else(|| self.file());
        command
            .env("LD_PRELOAD", preloaded)
            .env(wire::POINT_VARIABLE, point)
            .env(wire::SOCKET_VARIABLE, theirs.as_raw_fd().to_string());
        command.envs(self.executable.iter().map(|path| (wire::EXECUTABLE_VARIABLE, path)));
        command.envs(self.preload.iter().map(|path| (wire::PRELOAD_VARIABLE, path)));
        command.envs(self.hidden.iter().map(|names| (wire::HIDDEN_VARIABLE, names)));
        let handed = theirs.as_raw_fd();
        // SAFETY: fcntl allocates nothing, and the descriptor is open until after the spawn.
        unsafe {
            command.pre_exec(move || {
                let handed = BorrowedFd::borrow_raw(handed);
                rustix::io::fcntl_setfd(handed, FdFlags::empty()).map_err(Into::into)
            });
        }
        Server { socket: ours, process: command.spawn().unwrap() }
    }
}

/// The library that was built for this test.
pub(crate) fn library() -> PathBuf {
    let beside = std::env::current_exe().unwrap();
    let library = beside.parent().unwrap().join("librollcage_shim.so");
    assert!(library.exists(), "{} was not built", library.display());
    library
}

/// An interpreter at its fork point.
pub(crate) struct Server {
    pub(crate) socket: OwnedFd,
    pub(crate) process: Child,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Writes a program and runs it, for what it prints.
    pub(crate) fn say(&self, place: &Place, source: &str) -> String {
        place.write(source);
        let outcome = self.run(place, "");
        let error = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert_eq!((outcome.status, error.as_str()), (0, ""), "program:\n{source}");
        outcome.text().to_owned()
    }

    /// Runs the program in `place`.
    pub(crate) fn run(&self, place: &Place, stdin: &str) -> Outcome {
        self.run_as(place, stdin, 0)
    }

    pub(crate) fn run_as(&self, place: &Place, stdin: &str, clone_flags: u64) -> Outcome {
        let directory = File::open(place.directory.path()).unwrap();
        let [(input, to), (from, output), (from_error, error)] =
            [(); 3].map(|()| rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap());
        let request = Request { id: 7, clone_flags, steps: 0 };
        self.send(&request, &[input.as_fd(), output.as_fd(), error.as_fd(), directory.as_fd()]);
        drop((input, output, error));
        feed(to, stdin);
        let errors = thread::spawn(move || read_all(from_error));
        let stdout = read_all(from);
        let stderr = errors.join().unwrap();
        Outcome { stdout, stderr, status: self.status_of(7) }
    }

    /// Reads reports until the program has ended.
    pub(crate) fn status_of(&self, wanted: u64) -> i32 {
        loop {
            match self.receive() {
                Some((Report::Ended { id, status, .. }, _)) if id == wanted => return status,
                Some((Report::Started { .. }, pidfd)) => assert!(pidfd.is_some(), "no pidfd came"),
                other => panic!("unexpected report: {other:?}"),
            }
        }
    }

    pub(crate) fn send(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) {
        self.send_bytes(&request.encode(), descriptors);
    }

    pub(crate) fn send_bytes(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(wire::DESCRIPTORS_MAX + 1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        let parts = [IoSlice::new(bytes)];
        rustix::net::sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL).unwrap();
    }

    /// `None` when the server has closed its end.
    pub(crate) fn receive(&self) -> Option<(Report, Option<OwnedFd>)> {
        let mut bytes = [0; wire::REPORT_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [IoSliceMut::new(&mut bytes)];
        let message =
            rustix::net::recvmsg(&self.socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
        let mut descriptor = None;
        for ancillary in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = ancillary {
                descriptor = fds.next();
            }
        }
        (message.bytes > 0).then(|| (Report::decode(&bytes).unwrap(), descriptor))
    }

    /// Waits for it to end by itself.
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// Ends it, for its standard error.
    pub(crate) fn fail(mut self) -> String {
        let _ended = self.process.kill();
        let mut text = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The socket's end would do, but nothing may be left when a test fails.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// A program may end without having read it all.
fn feed(to: OwnedFd, text: &str) {
    let _unread = File::from(to).write_all(text.as_bytes());
}

fn read_all(from: OwnedFd) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::from(from).read_to_end(&mut bytes).unwrap();
    bytes
}
