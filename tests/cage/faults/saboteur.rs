//! Makes chosen system calls of a launcher fail: the kernel asks a listener of ours about each, and it says so.
//!
//! Nothing of the product knows of it. What is executed as the launcher is a script that takes on the filter and then
//! becomes the launcher; see `saboteur.py`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use rollcage_sandbox::{HostConfig, LauncherProgram};
use rustix::io::Errno;

use super::calls::Steps;
use crate::traces::wait_until;

const SCRIPT: &str = include_str!("saboteur.py");
/// Not what a user has put in front of the system's, which may be a script.
const PYTHON: &str = "/usr/bin/python3";

/// The listener, and the script that leads to it.
pub(super) struct Saboteur {
    listener: Child,
    speech: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    directory: tempfile::TempDir,
}

impl Saboteur {
    /// One that is asked about every call of `calls` that `program` and all it starts make.
    pub(super) fn of(program: &Path, calls: &[u32]) -> Self {
        // Launchers below level full do not run as root.
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let place = |name: &str| directory.path().join(name);
        let (script, socket, wrapper) = (place("saboteur.py"), place("socket"), place("launcher"));
        fs::write(&script, SCRIPT).expect("it is ours");
        let calls = calls.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let text = format!(
            "#!/bin/sh\nexec {PYTHON} -IS {} launch {} {calls} {} \"$@\"\n",
            script.display(),
            socket.display(),
            program.display(),
        );
        fs::write(&wrapper, text).expect("it is ours");
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let mut listener = Command::new(PYTHON)
            .args(["-IS".as_ref(), script.as_os_str(), "listen".as_ref(), socket.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mouth = listener.stdin.take().expect("piped");
        let ear = BufReader::new(listener.stdout.take().expect("piped"));
        let own = Self { listener, speech: Mutex::new((mouth, ear)), directory };
        // It answers once it listens.
        own.rest();
        own
    }

    /// One that is asked about the launcher's calls.
    pub(super) fn of_launcher(calls: &[u32]) -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_rollcage")), calls)
    }

    /// What to execute in the program's place.
    pub(super) fn wrapper(&self) -> PathBuf {
        self.directory.path().join("launcher")
    }

    /// With the wrapper as its launcher.
    pub(super) fn spoil(&self, config: HostConfig) -> HostConfig {
        HostConfig { launcher: LauncherProgram::Path(self.wrapper()), ..config }
    }

    fn say(&self, line: &str) -> String {
        let (mouth, ear) = &mut *self.speech.lock().expect("nobody panics while speaking");
        writeln!(mouth, "{line}").expect("the listener lives");
        let mut answer = String::new();
        ear.read_line(&mut answer).expect("the listener lives");
        answer.trim_end().to_owned()
    }

    /// The call that takes the last of these steps fails.
    pub(super) fn arm(&self, errno: Errno, steps: &Steps) {
        assert_eq!(self.say(&format!("arm {} {steps}", errno.raw_os_error())), "ok");
    }

    /// The call that takes the last of these steps waits.
    pub(super) fn hold(&self, steps: &Steps) {
        assert_eq!(self.say(&format!("hold {steps}")), "ok");
    }

    /// The call that waits goes on.
    pub(super) fn release(&self) {
        assert_eq!(self.say("release"), "ok");
    }

    /// Nothing fails any more.
    pub(super) fn rest(&self) {
        assert_eq!(self.say("rest"), "ok");
    }

    fn asked(&self) -> (u32, u32) {
        let answer = self.say("ask");
        let (failed, held) = answer.split_once(' ').expect("two numbers");
        (failed.parse().expect("a number"), held.parse().expect("a number"))
    }

    /// How many calls have been made to fail.
    pub(super) fn failed(&self) -> u32 {
        self.asked().0
    }

    /// The process whose call waits, as soon as one does.
    pub(super) fn held(&self) -> u32 {
        wait_until("a call waits", || self.asked().1 != 0);
        self.asked().1
    }

    /// The process that last became the program.
    pub(super) fn root(&self) -> u32 {
        self.say("root").parse().expect("a number")
    }
}

impl Drop for Saboteur {
    fn drop(&mut self) {
        let _ended = self.listener.kill();
        let _reaped = self.listener.wait();
    }
}
