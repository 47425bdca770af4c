//! The host, as it must be after every attack.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Uids of one host of ours; see the sandbox's leases.
const UIDS_PER_BLOCK: u32 = 512;
const FIRST_UID: u32 = 0x7000_0000;
/// The kernel takes a moment to remove what it has killed; this is many times that.
const SETTLING: Duration = Duration::from_secs(10);

/// Where an attack that escapes would leave its marker.
const WRITTEN_PLACES: [&str; 16] = [
    "/",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/etc",
    "/tmp",
    "/var/tmp",
    "/var",
    "/run",
    "/dev",
    "/dev/shm",
    "/root",
    "/home",
    "/ws",
];
const MARKER: &str = "rollcage-escape-marker";

/// What belongs to one host of ours.
#[derive(Clone, Debug)]
pub(super) struct Traces {
    first_uid: u32,
    cgroups: Vec<PathBuf>,
    mounts: String,
    host_name: String,
}

impl Traces {
    /// For the host one of whose cages runs as `uid`.
    pub(super) fn of(uid: u32) -> Self {
        let block = (uid - FIRST_UID) / UIDS_PER_BLOCK;
        let mut cgroups = Vec::new();
        find_groups(
            Path::new("/sys/fs/cgroup"),
            &Path::new("rollcage").join(block.to_string()),
            6,
            &mut cgroups,
        );
        Self {
            first_uid: FIRST_UID + block * UIDS_PER_BLOCK,
            cgroups,
            mounts: mounts(),
            host_name: host_name(),
        }
    }

    /// Whether the host is as it was; `Err` says what is not.
    pub(super) fn check(&self) -> Result<(), String> {
        let deadline = Instant::now() + SETTLING;
        loop {
            let left = self.left_behind();
            if left.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("left behind: {}", left.join(", ")));
            }
            std::thread::yield_now();
        }
        for place in WRITTEN_PLACES {
            let Ok(entries) = fs::read_dir(place) else { continue };
            for entry in entries.flatten() {
                if entry.file_name().to_string_lossy().contains(MARKER) {
                    return Err(format!("written: {}", entry.path().display()));
                }
            }
        }
        if mounts() != self.mounts {
            return Err("the host's mounts changed".to_owned());
        }
        if host_name() != self.host_name {
            return Err("the host's name changed".to_owned());
        }
        Ok(())
    }

    /// Processes with a uid of a cage, and members of the cages' groups.
    fn left_behind(&self) -> Vec<String> {
        let range = self.first_uid..self.first_uid + UIDS_PER_BLOCK;
        let mut left: Vec<String> = processes()
            .into_iter()
            .filter(|process| range.contains(&process.uid))
            .map(|process| format!("process {} ({}, uid {})", process.pid, process.name, process.uid))
            .collect();
        for group in &self.cgroups {
            let Ok(slots) = fs::read_dir(group) else { continue };
            for slot in slots.flatten() {
                let members = fs::read_to_string(slot.path().join("cgroup.procs")).unwrap_or_default();
                left.extend(members.lines().map(|pid| format!("process {pid} in {}", slot.path().display())));
            }
        }
        left
    }

    /// Waits for a companion that says it is ready, and gives its process id.
    pub(super) fn await_ready(&self) -> u32 {
        let range = self.first_uid..self.first_uid + UIDS_PER_BLOCK;
        let deadline = Instant::now() + SETTLING;
        loop {
            let found = processes().into_iter().find(|p| range.contains(&p.uid) && p.name == "escape-ready");
            if let Some(process) = found {
                return process.pid;
            }
            assert!(Instant::now() < deadline, "the neighbour never became ready");
            std::thread::yield_now();
        }
    }
}

struct Process {
    pid: u32,
    name: String,
    uid: u32,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        // One that ended since is no process.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim());
        let uid = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
        Some(Process { pid, name: field("Name:")?.to_owned(), uid })
    })
    .collect()
}

fn find_groups(directory: &Path, wanted: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    let candidate = directory.join(wanted);
    if candidate.is_dir() {
        found.push(candidate);
    }
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_groups(&entry.path(), wanted, depth, found);
        }
    }
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted")
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").expect("/proc is mounted")
}
