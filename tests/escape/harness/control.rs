//! Runs an attack unconfined, on a throw-away machine made of namespaces.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::probe::{Companion, Control, Probe, User, Workspace};
use super::scene::{PRELUDE, SECRET, Scene};

/// Far more than any control takes; a control that hangs is killed with everything it started.
const PATIENCE_SECONDS: &str = "180";

/// Where the control finds mount(8) and the like.
const CONTROL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a control went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ControlResult {
    /// The attack works where nothing stops it.
    Succeeded(String),
    /// It cannot work on this kernel.
    Skipped(String),
    /// It does not work, so the probe proves nothing.
    Failed(String),
}

pub(super) fn run(scene: &Scene, probe: &Probe) -> ControlResult {
    let (companion, earlier) = match probe.companion {
        Companion::None => (None, false),
        Companion::Host(source) | Companion::Neighbour(source) => (Some(source), false),
        Companion::Earlier(source) => (Some(source), true),
    };
    let order = serde_json::json!({
        "attack": format!("{PRELUDE}{}", probe.attack),
        "companion": companion.map_or_else(String::new, |source| format!("{PRELUDE}{source}")),
        "earlier": earlier,
        "collect": probe.workspace == Workspace::Collected,
        "setup": probe.control_setup,
        "user": match probe.user {
            User::Root => "root",
            User::Nobody => "nobody",
        },
        "secret_path": scene.secret_path(),
    });
    let mut child = Command::new("timeout")
        .args(["--signal=KILL", PATIENCE_SECONDS, "unshare"])
        .args(["--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child=KILL"])
        .args(["--propagation", "private", "sh", "-c", include_str!("control.sh"), "control"])
        .arg(scene.control_directory())
        .arg(include_str!("control.py"))
        // What PID 1 of the control holds is printed if the attack reads it: none of it may be the tester's own.
        .env_clear()
        .env("ESCAPE_HOST_SECRET", SECRET)
        .env("PATH", CONTROL_PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("timeout(1) starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A control that could not be built says why on its standard error.
    let _written = stdin.write_all(order.to_string().as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the control ends");
    let text = String::from_utf8_lossy(&output.stdout);
    match (text.lines().find_map(|line| line.strip_prefix("BREACHED ")), probe.control) {
        (Some(detail), _) => ControlResult::Succeeded(detail.to_owned()),
        (None, Control::NeedsKernel(why)) => ControlResult::Skipped(why.to_owned()),
        (None, Control::Succeeds) => {
            ControlResult::Failed(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
        }
    }
}
