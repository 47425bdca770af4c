//! Signals to `rollcage` itself: the run is cancelled and nothing is left.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Files, can_run, command};

/// Far longer than starting a program takes anywhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a process on this machine has `marker` among its arguments.
fn is_running(marker: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.into_iter().any(|entry| {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == marker.as_bytes())
            && !fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe.ends_with("rollcage"))
    })
}

#[test]
fn an_interrupted_run_is_cancelled_and_leaves_nothing() {
    if !can_run(&["bash"]) {
        return;
    }
    for (signal, name) in [(Signal::INT, "int"), (Signal::TERM, "term"), (Signal::HUP, "hup")] {
        let marker = format!("marker-{}-{name}", std::process::id());
        let files = Files::new(&[("a.sh", "trap '' INT TERM HUP\nwhile :; do read -t 1 <> <(:); done\n")]);
        let child = command(&["run", &files.at("a.sh"), "--cpu", "10m", "--", &marker])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !is_running(&marker) {
            assert!(began.elapsed() < PATIENCE, "the program never started");
        }
        kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(110), "{name}: {stderr}");
        assert!(stderr.contains("cancelled"), "{stderr}");
        assert!(!is_running(&marker), "{name}");
    }
}
