//! What the host holds that an attack is after.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What every program of the suite starts with.
pub(super) const PRELUDE: &str = include_str!("prelude.py");
/// Found in what an attack read, it proves that the attack read the host.
pub(super) const SECRET: &str = "ESCAPE-SECRET";

/// A directory of root's with a secret in it, removed when dropped.
#[derive(Debug)]
pub(super) struct Scene {
    directory: PathBuf,
}

impl Scene {
    pub(super) fn make() -> Self {
        let directory = PathBuf::from(format!("/root/rollcage-escape-{}", std::process::id()));
        fs::create_dir_all(directory.join("control")).expect("root can write below /root");
        fs::write(directory.join("secret"), format!("{SECRET}\n")).expect("the directory was just made");
        Self { directory }
    }

    pub(super) fn secret_path(&self) -> String {
        self.directory.join("secret").to_str().expect("the name is ASCII").to_owned()
    }

    /// An empty directory for the control's mounts.
    pub(super) fn control_directory(&self) -> PathBuf {
        self.directory.join("control")
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
    pub(super) fn start(scene: &Scene, source: &str) -> Self {
        let mut process = Command::new("python3")
            .args(["-c", &format!("{PRELUDE}{source}")])
            .env("ESCAPE_SECRET_PATH", scene.secret_path())
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
