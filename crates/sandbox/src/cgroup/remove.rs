//! Removes groups, whoever is still in them.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Two seconds in all: the kernel ends killed processes far sooner unless they hang in it.
const ATTEMPTS: u32 = 200;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Removes the group `directory` and all below it, killing what is left inside. Missing is fine.
pub(crate) fn remove_tree(directory: &Path) -> io::Result<()> {
    kill_all(directory);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    // What forks while it is being killed has to be killed again.
    remove_patiently(directory, kill_all)
}

/// A group is busy until the last of its killed processes is gone, which takes a moment.
pub(super) fn remove_emptied(directory: &Path) -> io::Result<()> {
    remove_patiently(directory, |_directory| ())
}

fn remove_patiently(directory: &Path, meanwhile: impl Fn(&Path)) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                meanwhile(directory);
                std::thread::sleep(PAUSE);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
    fs::remove_dir(directory)
}

/// Only processes of a dead host of ours can be in it; they may already be ending, so nothing that fails here matters.
fn kill_all(directory: &Path) {
    // Version 2 since Linux 5.14: the whole subtree at once, and nothing forks its way out.
    if fs::write(directory.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        let _sent = kill_process(pid, Signal::KILL);
    }
}
