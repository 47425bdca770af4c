//! The host, as it must be after every attack.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Uids of one host of ours; see the sandbox's leases.
/// Those of slots, of fork servers, and of the slots of 32 banks of sessions.
const UIDS_PER_BLOCK: u32 = 512 + 2 + 32 * 512;
const FIRST_UID: u32 = 0x7000_0000;
/// The kernel takes a moment to remove what it has killed; this is many times that.
const SETTLING: Duration = Duration::from_secs(10);

/// Where an attack that escapes would leave its marker, or a mount.
const WRITTEN_PLACES: [&str; 18] = [
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
    "/proc",
    "/sys",
];
const MARKER: &str = "rollcage-escape-marker";

/// The processes of one supervisor: what descends from it, and what runs as one of its users.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    supervisor: u32,
    uids: BTreeSet<u32>,
    /// First uids of leased blocks.
    blocks: BTreeSet<u32>,
}

/// What belongs to one supervisor, and the host as it was when it had just started.
#[derive(Clone, Debug)]
pub(super) struct Traces {
    watch: Watch,
    /// What launchers and what waits in their cages execute, and no attack can.
    launcher: PathBuf,
    cgroups: Vec<PathBuf>,
    mounts: String,
    host_name: String,
    /// Processes that an attack left behind: one breach, not one for each attack that follows.
    told: BTreeSet<u32>,
}

/// A process as the host sees it.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) uid: u32,
    parent: u32,
    name: String,
    /// Ended, and the machine's init has yet to take note of it. How soon it does is none of ours.
    is_left_to_init: bool,
}

impl Watch {
    /// That of the calling process, for whom descent is enough.
    pub(super) fn own() -> Self {
        Self { supervisor: std::process::id(), uids: BTreeSet::new(), blocks: BTreeSet::new() }
    }

    /// That of a supervisor that runs as `uid`, and whose cages run as `cage_uids`.
    pub(super) fn of(supervisor: u32, uid: u32, cage_uids: &[u32]) -> Self {
        // Root's other processes are none of ours.
        let uids = [uid].into_iter().filter(|uid| *uid != 0).collect();
        let blocks = cage_uids.iter().filter_map(|uid| block_of(*uid)).collect();
        Self { supervisor, uids, blocks }
    }

    /// Waits for a companion that says it is ready; `None` if it never does.
    pub(super) fn await_ready(&self) -> Option<Process> {
        let deadline = Instant::now() + SETTLING;
        loop {
            let found = self.processes().into_iter().find(|process| process.name == "escape-ready");
            if found.is_some() || Instant::now() > deadline {
                return found;
            }
            std::thread::yield_now();
        }
    }

    fn processes(&self) -> Vec<Process> {
        let all: BTreeMap<u32, Process> = processes().map(|process| (process.pid, process)).collect();
        let descends = |process: &Process| {
            let line = std::iter::successors(Some(process), |process| all.get(&process.parent));
            line.skip(1).any(|ancestor| ancestor.pid == self.supervisor)
        };
        let is_one = |process: &&Process| {
            self.uids.contains(&process.uid)
                || block_of(process.uid).is_some_and(|block| self.blocks.contains(&block))
                || descends(process)
        };
        all.values().filter(is_one).filter(|process| process.pid != self.supervisor).cloned().collect()
    }
}

impl Traces {
    /// Of the host as it is now.
    pub(super) fn of(watch: Watch, launcher: PathBuf) -> Self {
        let mut cgroups = Vec::new();
        for first in &watch.blocks {
            let number = (first - FIRST_UID) / UIDS_PER_BLOCK;
            let name = Path::new("rollcage").join(number.to_string());
            find_groups(Path::new("/sys/fs/cgroup"), &name, 6, &mut cgroups);
        }
        Self { watch, launcher, cgroups, mounts: mounts(), host_name: host_name(), told: BTreeSet::new() }
    }

    /// Whether the host is as it was; `Err` says what is not.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + SETTLING;
        loop {
            let left = self.left_behind();
            if left.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                let (pids, names): (Vec<u32>, Vec<String>) = left.into_iter().unzip();
                self.told.extend(pids);
                return Err(format!("left behind: {}", names.join(", ")));
            }
            std::thread::yield_now();
        }
        for place in WRITTEN_PLACES {
            let Ok(entries) = fs::read_dir(place) else { continue };
            for entry in entries.flatten() {
                if entry.file_name().to_string_lossy().contains(MARKER) {
                    return Err(format!("left behind: {}", entry.path().display()));
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

    /// Processes that are not the supervisor's own, and members of the cages' groups.
    fn left_behind(&self) -> Vec<(u32, String)> {
        let is_own = |process: &Process| {
            fs::read_link(format!("/proc/{}/exe", process.pid)).is_ok_and(|program| program == self.launcher)
        };
        let mut left: Vec<(u32, String)> = self
            .watch
            .processes()
            .into_iter()
            .filter(|process| {
                !is_own(process) && !process.is_left_to_init && !self.told.contains(&process.pid)
            })
            .map(|process| {
                (process.pid, format!("process {} ({}, uid {})", process.pid, process.name, process.uid))
            })
            .collect();
        for group in &self.cgroups {
            let Ok(slots) = fs::read_dir(group) else { continue };
            for slot in slots.flatten() {
                let members = fs::read_to_string(slot.path().join("cgroup.procs")).unwrap_or_default();
                let told = |pid: &u32| !self.told.contains(pid);
                left.extend(
                    members
                        .lines()
                        .filter_map(|pid| pid.parse().ok())
                        .filter(told)
                        .map(|pid: u32| (pid, format!("process {pid} in {}", slot.path().display()))),
                );
            }
        }
        left
    }
}

/// The first uid of the leased block that `uid` is in.
fn block_of(uid: u32) -> Option<u32> {
    uid.checked_sub(FIRST_UID).map(|above| FIRST_UID + above / UIDS_PER_BLOCK * UIDS_PER_BLOCK)
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        // One that ended since is no process.
        let status = fs::read(format!("/proc/{pid}/status")).ok()?;
        let status = String::from_utf8_lossy(&status);
        let field = |name: &str| Some(status.lines().find_map(|line| line.strip_prefix(name))?.trim());
        let uid = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
        let parent = field("PPid:")?.parse().ok()?;
        let is_left_to_init = parent == 1 && field("State:")?.starts_with('Z');
        Some(Process { pid, uid, parent, name: field("Name:")?.to_owned(), is_left_to_init })
    })
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

/// What is mounted at the written places. Elsewhere others may mount meanwhile.
fn mounts() -> String {
    let all = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let at_place = |line: &&str| line.split(' ').nth(4).is_some_and(|place| WRITTEN_PLACES.contains(&place));
    all.lines().filter(at_place).collect::<Vec<_>>().join("\n")
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").expect("/proc is mounted")
}
