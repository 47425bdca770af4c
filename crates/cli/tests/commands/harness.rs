//! Runs the binary and keeps what came of it.

use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The binary under test.
pub(crate) const ROLLCAGE: &str = env!("CARGO_BIN_EXE_rollcage");

/// A finished command.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Finished {
    /// Standard output as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output as the one JSON value it must be.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the binary with `arguments` and nothing on standard input.
pub(crate) fn rollcage(arguments: &[&str]) -> Finished {
    rollcage_reading(arguments, b"")
}

/// Runs the binary with `arguments` and `stdin` on standard input.
pub(crate) fn rollcage_reading(arguments: &[&str], stdin: &[u8]) -> Finished {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(stdin).unwrap();
    input.rewind().unwrap();
    finish(command(arguments).stdin(input))
}

/// The command, not yet started, with nothing of this process's own settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(ROLLCAGE);
    command.args(arguments).stdin(Stdio::null()).env_remove("ROLLCAGE_LANGUAGES").env_remove("ROLLCAGE_LOG");
    command
}

/// Starts `command` and waits for it.
pub(crate) fn finish(command: &mut Command) -> Finished {
    let output = command.output().unwrap();
    Finished {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether cages can be made and every one of `programs` is here; says what is missing if not.
pub(crate) fn can_run(programs: &[&str]) -> bool {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: needs root");
        return false;
    }
    let here = |program: &&&str| {
        ["/usr/local/bin", "/usr/bin"].iter().any(|directory| Path::new(directory).join(program).exists())
    };
    if let Some(missing) = programs.iter().find(|program| !here(program)) {
        eprintln!("skipped: needs {missing}");
        return false;
    }
    true
}

/// A directory with files in it, gone when dropped.
pub(crate) struct Files(TempDir);

impl Files {
    /// Writes each name's content.
    pub(crate) fn new<C: AsRef<[u8]>>(files: &[(&str, C)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            File::create(directory.path().join(name)).unwrap().write_all(content.as_ref()).unwrap();
        }
        Self(directory)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// The path of a file in it.
    pub(crate) fn at(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.to_str().unwrap().to_owned()
    }
}
