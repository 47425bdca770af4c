//! What the host holds that an attack is after.

use std::fs::{self, Permissions};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What every program of the suite starts with.
pub(super) const PRELUDE: &str = include_str!("prelude.py");
/// Found in what an attack read, it proves that the attack read the host.
pub(super) const SECRET: &str = "ESCAPE-SECRET";

/// A directory with a secret of one user's in it, removed when dropped.
#[derive(Debug)]
pub(super) struct Scene {
    directory: PathBuf,
    owner: u32,
}

impl Scene {
    /// Where the control's machine sees it too: on the root file system, and not below `/tmp`.
    pub(super) fn make(name: &str, owner: u32) -> Self {
        let directory = PathBuf::from(format!("/var/lib/rollcage-escape-{}-{name}", std::process::id()));
        // What a run that was killed left behind under the same process id.
        let _absent = fs::remove_dir_all(&directory);
        let made = fs::create_dir(&directory)
            .and_then(|()| fs::create_dir(directory.join("control")))
            .and_then(|()| fs::write(directory.join("secret"), format!("{SECRET}\n")))
            .and_then(|()| fs::set_permissions(directory.join("secret"), Permissions::from_mode(0o600)))
            // Passable, for launchers that are another user by the time they are executed.
            .and_then(|()| fs::set_permissions(&directory, Permissions::from_mode(0o711)))
            .and_then(|()| chown(directory.join("secret"), Some(owner), Some(owner)))
            .and_then(|()| chown(&directory, Some(owner), Some(owner)));
        made.expect("root can write below /var/lib");
        Self { directory, owner }
    }

    pub(super) const fn owner(&self) -> u32 {
        self.owner
    }

    /// A copy of a program, which the scene's owner can execute.
    pub(super) fn program(&self, program: &Path, name: &str) -> io::Result<PathBuf> {
        let copy = self.directory.join(name);
        fs::copy(program, &copy)?;
        fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
        Ok(copy)
    }

    pub(super) fn secret_path(&self) -> String {
        self.directory.join("secret").to_str().expect("the name is ASCII").to_owned()
    }

    /// An empty directory for the control's mounts.
    pub(super) fn control_directory(&self) -> PathBuf {
        self.directory.join("control")
    }

    /// For what a supervisor that is not root writes. A cage without a mount namespace is then a few steps away from the
    /// secret.
    pub(super) fn state_directory(&self) -> PathBuf {
        self.directory.join("state")
    }

    pub(super) fn holds_secret(bytes: &[u8]) -> bool {
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    }

    pub(super) fn secret_is_untouched(&self) -> bool {
        fs::read(Path::new(&self.secret_path())).is_ok_and(|bytes| bytes == format!("{SECRET}\n").as_bytes())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            eprintln!("cannot remove {}: {error}", self.directory.display());
        }
    }
}

/// A companion on the host; killed when dropped.
#[derive(Debug)]
pub(super) struct HostCompanion {
    process: Child,
    /// Kept open, so that it does not die of a closed pipe.
    _stdout: BufReader<ChildStdout>,
    words: Vec<String>,
}

impl HostCompanion {
    pub(super) fn start(secret_path: &str, source: &str) -> Self {
        let mut process = Command::new("python3")
            .args(["-c", &format!("{PRELUDE}{source}")])
            .env("ESCAPE_SECRET_PATH", secret_path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the companion speaks");
        let words = line.split_whitespace().skip(1).map(str::to_owned).collect();
        Self { process, _stdout: stdout, words }
    }

    /// The attack's arguments.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.process.id().to_string()];
        arguments.extend(self.words.iter().cloned());
        arguments
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_none())
    }
}

impl Drop for HostCompanion {
    fn drop(&mut self) {
        // It may have ended by itself, which the probe has already looked at.
        let _killed = self.process.kill();
        let _waited = self.process.wait();
    }
}
