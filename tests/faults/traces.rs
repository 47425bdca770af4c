//! What a command of ours may leave on this machine, and must not: processes, cgroups, mounts.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};

use crate::place::BINARY;

/// Where hosts write down which cgroups are theirs; the lock on the file is the owner's life.
const BLOCKS: &str = "/run/rollcage";
/// What is dying takes a moment; this is a bound for a machine in trouble.
const SETTLING: Duration = Duration::from_secs(20);

/// Makes this process the parent of whatever a dead supervisor leaves, so that it can be found.
pub(crate) fn adopt_orphans() {
    set_child_subreaper(Some(getpid())).unwrap();
}

/// Asserts that everything this process started, and what that started, has ended. No command may be running.
#[track_caller]
pub(crate) fn check_no_process() {
    wait_until("no process is left", || {
        // The dead that nobody else waits for.
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let children = fs::read_dir("/proc/self/task").unwrap().map(|thread| {
            // A thread that ends takes its list along.
            fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default()
        });
        children.collect::<String>()
    });
}

/// Asserts that no cgroup is left of hosts that are gone, once a host has started and ended after them.
#[track_caller]
pub(crate) fn check_no_group() {
    wait_until("no cgroup of a dead host is left", || {
        let mut command = Command::new(BINARY);
        // An empty program on standard input.
        command.args(["run", "-", "--lang", "python"]).stdin(Stdio::null());
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(ended.success(), "{ended}");
        groups_of_the_dead().iter().map(|group| format!("{} ", group.display())).collect()
    });
}

/// Mounts seen from here.
pub(crate) fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// Groups that stand although nobody holds the block they belong to.
fn groups_of_the_dead() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(BLOCKS).into_iter().flatten().flatten() {
        let Ok(file) = File::open(entry.path()) else { continue };
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => panic!("{}: {error}", entry.path().display()),
        }
        let names = fs::read_to_string(entry.path()).unwrap_or_default();
        found.extend(names.lines().map(PathBuf::from).filter(|group| group.exists()));
    }
    found
}

/// Waits until nothing is left, however long this machine takes within reason.
#[track_caller]
fn wait_until(what: &str, left: impl Fn() -> String) {
    let deadline = Instant::now() + SETTLING;
    loop {
        let left = left();
        if left.trim().is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still not so after {SETTLING:?}: {what}: {left}");
        std::thread::yield_now();
    }
}
