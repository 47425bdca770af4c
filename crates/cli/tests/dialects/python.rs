//! Python with the clients that are installed from PyPI, once, below the target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Brings `requests` and `aiohttp` too, which is what verl and rStar2 speak with.
const CLIENT: &str = "sandbox-fusion==0.3.7";

/// The interpreter; `None`, having said so, where the client is not here and cannot be had.
pub(crate) fn interpreter() -> Option<&'static Path> {
    static INTERPRETER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = INTERPRETER.get_or_init(|| install().ok()).as_deref();
    if found.is_none() {
        eprintln!("skipped: PyPI's {CLIENT}");
    }
    found
}

/// Runs `script`, which reads the server's address as its first argument and prints one JSON value.
pub(crate) fn run(interpreter: &Path, script: &str, arguments: &[&str]) -> Value {
    let output =
        Command::new(interpreter).args(["-c", script]).args(arguments).env("NO_PROXY", "*").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn install() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(CLIENT.replace("==", "-"));
    let interpreter = place.join("bin/python");
    let has_client =
        |interpreter: &Path| done(Command::new(interpreter).args(["-c", "import sandbox_fusion"]));
    if has_client(&interpreter).is_ok() {
        return Ok(interpreter);
    }
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
    let install = ["-m", "pip", "install", "--quiet", "--retries", "1", "--timeout", "10", CLIENT];
    done(Command::new(&interpreter).args(install))?;
    has_client(&interpreter).map(|()| interpreter)
}

fn done(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
