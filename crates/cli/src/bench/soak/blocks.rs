//! The blocks of this soak's hosts: what lies below their names once they are gone is left behind.
//!
//! A block is its lock file, a range of uids, the cgroups that the file names and a directory beside it. Other hosts of
//! the machine come and go meanwhile; only what nobody holds the lock of is looked at.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::bench::soak::inventory::entries;
use crate::bench::soak::processes::Process;

/// Where root's hosts lock their blocks.
const LOCKS_OF_ROOT: &str = "/run/rollcage";
/// Where what root's cages write lies, where they have no mounts.
const SLOTS_OF_ROOT: &str = "/var/lib/rollcage";
/// Where the template is mounted, in namespaces of which none is ours; kept for the next host.
const MOUNT_POINT: &str = "root";
/// The uids of blocks, one range after the other.
const FIRST_UID: u32 = 0x7000_0000;
/// Those of slots, of fork servers, and of the slots of 32 banks of sessions; see the sandbox's `lease.rs`.
const UIDS_PER_BLOCK: u32 = 512 + 2 + 32 * 512;

/// What is known of them.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Only root's hosts give cages the uids of their blocks.
    has_uids: bool,
    state: PathBuf,
    locks: PathBuf,
    /// Every block that a host of ours, or of a supervisor of ours, has held.
    numbers: BTreeSet<u32>,
    /// Every group that a lock file of ours has named.
    named: BTreeSet<PathBuf>,
}

impl Blocks {
    /// Those of hosts that this process starts without a state directory of its own choosing.
    pub(super) fn new() -> Self {
        let own = fs::metadata("/proc/self").map_or(0, |status| status.uid());
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
        let state = match runtime {
            _ if own == 0 => PathBuf::from(LOCKS_OF_ROOT),
            Some(runtime) => runtime.join("rollcage"),
            None => PathBuf::from(format!("/tmp/rollcage-{own}")),
        };
        let locks = if own == 0 { PathBuf::from(LOCKS_OF_ROOT) } else { state.clone() };
        Self { has_uids: own == 0, state, locks, numbers: BTreeSet::new(), named: BTreeSet::new() }
    }

    /// Takes note of what the supervisor with this process number holds now: this process, or one that it has started.
    pub(super) fn look_at(&mut self, supervisor: u32) {
        for (number, path) in held(supervisor) {
            self.numbers.insert(number);
            let text = fs::read_to_string(path).unwrap_or_default();
            self.named.extend(text.lines().map(PathBuf::from));
        }
    }

    /// Whether a process can only be a cage's of a host of ours.
    pub(super) fn is_ours(&self, process: &Process) -> bool {
        let of_uid = process.uid.checked_sub(FIRST_UID).map(|above| above / UIDS_PER_BLOCK);
        if let Some(number) = of_uid.filter(|number| self.has_uids && self.numbers.contains(number)) {
            return self.is_free(number);
        }
        let slots = self.slots_directory();
        let below = |number: &u32| slots.join(format!("block-{number}.slots"));
        let is_inside =
            |number: &&u32| process.directory().is_some_and(|directory| directory.starts_with(below(number)));
        self.numbers.iter().find(is_inside).is_some_and(|number| self.is_free(*number))
    }

    /// How many groups there are below those of the blocks that are held now.
    pub(super) fn groups(&self) -> usize {
        let named = held(std::process::id()).into_iter().flat_map(|(_, path)| {
            fs::read_to_string(path).unwrap_or_default().lines().map(PathBuf::from).collect::<Vec<_>>()
        });
        named.map(|group| groups_below(&group)).sum()
    }

    /// Groups of blocks that nobody holds.
    pub(super) fn abandoned_groups(&self) -> BTreeSet<String> {
        let is_free = |group: &&PathBuf| {
            let number = group.file_name().and_then(|name| name.to_str()?.parse().ok());
            number.is_some_and(|number| self.is_free(number))
        };
        let left = self.named.iter().filter(|group| group.exists()).filter(is_free);
        left.map(|group| group.display().to_string()).collect()
    }

    /// What is in the state directory, but for locks, the template's mount point, and what belongs to other hosts.
    pub(super) fn state_files(&self) -> BTreeSet<String> {
        let directories = BTreeSet::from([self.state.as_path(), self.slots_directory()]);
        let names = directories
            .into_iter()
            .flat_map(entries)
            .map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| !name.ends_with(".lock") && name != MOUNT_POINT && !self.is_in_order(name))
            .collect()
    }

    fn slots_directory(&self) -> &Path {
        if self.has_uids { Path::new(SLOTS_OF_ROOT) } else { &self.state }
    }

    /// Whether this is the directory of a block that is held, or never was ours.
    fn is_in_order(&self, name: &str) -> bool {
        let number = name.strip_prefix("block-").and_then(|name| name.strip_suffix(".slots")?.parse().ok());
        number.is_some_and(|number| !self.numbers.contains(&number) || !self.is_free(number))
    }

    /// Whether nobody holds a block, ourselves included: a lock is of an open file, and this opens another.
    fn is_free(&self, number: u32) -> bool {
        let file = File::open(self.locks.join(format!("block-{number}.lock")));
        file.is_ok_and(|file| file.try_lock_shared().is_ok())
    }
}

/// The blocks whose lock files a process has open.
fn held(process: u32) -> Vec<(u32, PathBuf)> {
    let links = entries(format!("/proc/{process}/fd"))
        .into_iter()
        .filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|path| Some((number_of(&path)?, path))).collect()
}

fn number_of(lock: &Path) -> Option<u32> {
    lock.file_name()?.to_str()?.strip_prefix("block-")?.strip_suffix(".lock")?.parse().ok()
}

/// The group itself and all below it.
fn groups_below(group: &Path) -> usize {
    if !group.is_dir() {
        return 0;
    }
    let directories =
        entries(group).into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    1 + directories.map(|entry| groups_below(&entry.path())).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_told_by_their_names() {
        let check = |path: &str, expected| assert_eq!(number_of(Path::new(path)), expected, "{path}");
        check("/run/rollcage/block-12.lock", Some(12));
        check("/run/rollcage/block-12.slots", None);
        check("/run/rollcage/block-x.lock", None);
        check("socket:[12]", None);
    }

    #[test]
    fn groups_are_counted_with_all_below_them() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("0/1/2")).unwrap();
        fs::create_dir(directory.path().join("0/3")).unwrap();
        fs::write(directory.path().join("0/tasks"), "").unwrap();
        assert_eq!(groups_below(&directory.path().join("0")), 4);
        assert_eq!(groups_below(&directory.path().join("9")), 0);
    }
}
