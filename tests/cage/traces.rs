//! What a host of ours leaves to be seen on this machine: processes and groups.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rollcage_sandbox::Host;

use crate::harness::{run, sh, text};

const FIRST_UID: u32 = 0x7000_0000;
/// Those of slots, of fork servers, and of the slots of 32 banks of sessions; see the sandbox's `lease.rs`.
const UIDS_PER_BLOCK: u32 = 512 + 2 + 32 * 512;
/// Directories below the root of a hierarchy in which this process's own group may lie.
const GROUP_DEPTH_MAX: u32 = 6;
/// What is dying takes a moment; this is a bound for a machine in trouble.
const SETTLING: Duration = Duration::from_secs(20);

/// A uid block, and with it everything that is one host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block(u32);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) uid: u32,
    /// In clock ticks since the machine started: with the pid, it names a process for ever.
    pub(crate) started: u64,
}

impl Block {
    pub(crate) fn of(host: &Host) -> Self {
        let printed = text(&run(host, &sh("id -u")).stdout.head);
        Self::of_uid(printed.trim().parse().expect("`id -u` prints a number"))
    }

    pub(crate) const fn of_uid(uid: u32) -> Self {
        Self((uid - FIRST_UID) / UIDS_PER_BLOCK)
    }

    /// Processes that run as a cage of this host.
    pub(crate) fn processes(self) -> Vec<Process> {
        let first = FIRST_UID + self.0 * UIDS_PER_BLOCK;
        processes().into_iter().filter(|p| (first..first + UIDS_PER_BLOCK).contains(&p.uid)).collect()
    }

    /// This host's groups in every hierarchy, with their inodes.
    pub(crate) fn groups(self) -> BTreeSet<(PathBuf, u64)> {
        groups_named(&format!("rollcage/{}", self.0))
    }
}

/// The groups whose path ends so, in every hierarchy, with their inodes.
pub(crate) fn groups_named(name: &str) -> BTreeSet<(PathBuf, u64)> {
    let mut found = BTreeSet::new();
    find(Path::new("/sys/fs/cgroup"), Path::new(name), GROUP_DEPTH_MAX, &mut found);
    found
}

fn find(directory: &Path, wanted: &Path, depth: u32, found: &mut BTreeSet<(PathBuf, u64)>) {
    let candidate = directory.join(wanted);
    if let Ok(metadata) = fs::metadata(&candidate) {
        found.insert((candidate, metadata.ino()));
    }
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        find(&entry.path(), wanted, depth, found);
    }
}

/// What is mounted on hosts' own directories, below which cages mount everything. What is mounted elsewhere is not theirs:
/// a test of this very process mounts something for a moment.
pub(crate) fn mounts() -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    all.lines().filter(|line| line.contains("rollcage")).map(str::to_owned).collect()
}

pub(crate) fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries.flatten().filter_map(|entry| read_process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// `None` for one that has ended.
fn read_process(pid: u32) -> Option<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next();
    // The name is in parentheses and may hold anything; the start time is the 20th field after it.
    let started = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()?;
    Some(Process { pid, parent: field("PPid:")?.parse().ok()?, uid: field("Uid:")?.parse().ok()?, started })
}

/// Everything that `ancestor` started, directly or not.
pub(crate) fn descendants(ancestor: u32) -> Vec<Process> {
    let all = processes();
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            parents.push(process.pid);
            found.push(process.clone());
        }
    }
    found
}

/// Waits until `condition` holds, however long this machine takes within reason.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SETTLING;
    while !condition() {
        assert!(Instant::now() < deadline, "still not so after {SETTLING:?}: {what}");
        std::thread::yield_now();
    }
}
