//! How much there is of everything that could leak, and what there is more of than before.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde::Serialize;

use crate::bench::soak::blocks::Blocks;
use crate::bench::soak::processes::{Process, Table, kilobytes, network_namespaces};

/// A supervisor's allocator keeps what its threads once used, up to the largest output they read; a leak grows on.
const SUPERVISOR_GROWTH_KB: u64 = 48 * 1024;
/// The launcher has one thread and allocates little.
const LAUNCHER_GROWTH_KB: u64 = 8 * 1024;

/// What there is at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Inventory {
    pub(crate) at_s: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// Resident memory of this process.
    pub(crate) supervisor_kb: u64,
    /// Resident memory of the launcher, which the waiting cages share.
    pub(crate) launcher_kb: u64,
    /// Processes descended from this one.
    pub(crate) processes: usize,
    pub(crate) zombies: usize,
    /// Processes of this soak's cages that descend from it no more.
    pub(crate) strays: BTreeSet<String>,
    /// On a host's own directories. Whatever else is mounted, others of the machine have mounted.
    pub(crate) mounts: BTreeSet<String>,
    pub(crate) groups: usize,
    /// Groups of hosts of this soak that are gone.
    pub(crate) abandoned_groups: BTreeSet<String>,
    /// In the state directory, but for locks and what belongs to other living hosts.
    pub(crate) state_files: BTreeSet<String>,
    pub(crate) temporary_files: BTreeSet<String>,
    pub(crate) network_namespaces: usize,
    /// The whole machine's, for information: others use it too.
    pub(crate) slab_kb: u64,
}

/// More of something than there was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Leak {
    pub(crate) at_s: u64,
    pub(crate) what: &'static str,
    pub(crate) before: String,
    pub(crate) now: String,
}

impl Inventory {
    /// Looks at everything. `blocks` are those of this soak's hosts.
    pub(super) fn take(blocks: &mut Blocks, at_s: u64) -> Self {
        let own = std::process::id();
        blocks.look_at(own);
        let table = Table::read();
        let below = table.below(own);
        let strays = table
            .iter()
            .filter(|process| blocks.is_ours(process) && !below.contains(process))
            .map(|process| format!("{} {:?} of uid {}", process.number, process.command(), process.uid));
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            at_s,
            // But for the one this is read with.
            descriptors: entries("/proc/self/fd").len().saturating_sub(1),
            threads: entries("/proc/self/task").len(),
            supervisor_kb: kilobytes(&status, "VmRSS").unwrap_or(0),
            launcher_kb: below.iter().map(Process::resident_kb).max().unwrap_or(0),
            processes: below.len(),
            zombies: below.iter().filter(|process| process.state == 'Z').count(),
            strays: strays.collect(),
            mounts: mounts.lines().filter(|line| line.contains("rollcage")).map(str::to_owned).collect(),
            groups: blocks.groups(),
            abandoned_groups: blocks.abandoned_groups(),
            state_files: blocks.state_files(),
            temporary_files: temporary_files(),
            network_namespaces: network_namespaces(&below),
            slab_kb: kilobytes(&meminfo, "Slab").unwrap_or(0),
        }
    }

    /// What there is more of now than at `before`.
    pub(super) fn leaks_since(&self, before: &Self) -> Vec<Leak> {
        let mut leaks = Vec::new();
        let mut find =
            |what, before: String, now: String| leaks.push(Leak { at_s: self.at_s, what, before, now });
        for (what, before, now) in [
            ("descriptors", before.descriptors, self.descriptors),
            ("threads", before.threads, self.threads),
            ("processes", before.processes, self.processes),
            ("zombies", before.zombies, self.zombies),
            ("cgroups", before.groups, self.groups),
            ("network namespaces", before.network_namespaces, self.network_namespaces),
        ] {
            if now > before {
                find(what, before.to_string(), now.to_string());
            }
        }
        for (what, was, now, growth) in [
            ("supervisor's memory in KiB", before.supervisor_kb, self.supervisor_kb, SUPERVISOR_GROWTH_KB),
            ("launcher's memory in KiB", before.launcher_kb, self.launcher_kb, LAUNCHER_GROWTH_KB),
        ] {
            // Before the first host nothing has been used that an allocator could have kept.
            let is_warm = before.launcher_kb > 0;
            if is_warm && now > was + growth {
                find(what, was.to_string(), now.to_string());
            }
        }
        for (what, before, now) in [
            ("stray processes", &before.strays, &self.strays),
            ("mounts", &before.mounts, &self.mounts),
            ("abandoned cgroups", &before.abandoned_groups, &self.abandoned_groups),
            ("files in the state directory", &before.state_files, &self.state_files),
            ("files in /tmp", &before.temporary_files, &self.temporary_files),
        ] {
            let new: Vec<_> = now.difference(before).cloned().collect();
            if !new.is_empty() {
                find(
                    what,
                    format!("{} in all", before.len()),
                    format!("{} more: {}", new.len(), new.join("; ")),
                );
            }
        }
        leaks
    }
}

/// Names in a directory; none where it cannot be read.
pub(super) fn entries(path: impl AsRef<std::path::Path>) -> Vec<fs::DirEntry> {
    fs::read_dir(path).into_iter().flatten().flatten().collect()
}

/// Ours by their name and their owner. A host's state directory is kept for the next.
fn temporary_files() -> BTreeSet<String> {
    let own = fs::metadata("/proc/self").map_or(0, |status| status.uid());
    entries("/tmp")
        .into_iter()
        .filter(|entry| entry.metadata().is_ok_and(|status| status.uid() == own))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("rollcage") && *name != format!("rollcage-{own}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(change: impl Fn(&mut Inventory)) -> Vec<&'static str> {
        let before = Inventory {
            descriptors: 10,
            threads: 2,
            mounts: ["a".to_owned()].into(),
            supervisor_kb: 1000,
            launcher_kb: 10,
            ..Inventory::default()
        };
        let mut now = before.clone();
        change(&mut now);
        now.leaks_since(&before).into_iter().map(|leak| leak.what).collect()
    }

    #[test]
    fn more_of_anything_is_a_leak() {
        assert_eq!(whats(|_| {}), [""; 0]);
        assert_eq!(whats(|now| now.descriptors += 1), ["descriptors"]);
        assert_eq!(whats(|now| now.zombies += 1), ["zombies"]);
        assert_eq!(whats(|now| now.groups += 1), ["cgroups"]);
        assert_eq!(whats(|now| now.mounts.extend(["b".to_owned()])), ["mounts"]);
        assert_eq!(whats(|now| now.strays.extend(["1".to_owned()])), ["stray processes"]);
        assert_eq!(
            whats(|now| now.supervisor_kb += SUPERVISOR_GROWTH_KB + 1),
            ["supervisor's memory in KiB"]
        );
    }

    #[test]
    fn less_is_none_and_neither_is_a_little_memory() {
        assert_eq!(whats(|now| now.descriptors -= 1), [""; 0]);
        assert_eq!(whats(|now| now.mounts.clear()), [""; 0]);
        assert_eq!(whats(|now| now.supervisor_kb += SUPERVISOR_GROWTH_KB), [""; 0]);
        assert_eq!(whats(|now| now.slab_kb += 1 << 30), [""; 0]);
    }
}
