//! Uids that no other host on this machine uses, and the traces of hosts that died.
//!
//! A host holds one *block*: a lock file, and with it a range of uids, the cgroups named in the file and a directory beside
//! it. The lock ends with its owner however that ends, so whoever takes a block knows that what it finds there is a dead
//! host's.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rollcage_guest::protocol::ServerUids;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, ftruncate, openat};
use rustix::io::Errno;

use crate::cgroup::{Hierarchy, remove_tree};
use crate::error::HostError;
use crate::workspace::remove_directory;

/// Where root's locks lie, whatever a host's own state directory is: uids and cgroups are the machine's, and hosts that
/// looked for locks in different places would take the same block and kill each other's cages.
pub(crate) const LOCKS_OF_ROOT: &str = "/run/rollcage";
/// Where what root's cages write lies, where they have no mounts.
const SLOTS_OF_ROOT: &str = "/var/lib/rollcage";
/// The directory of all blocks' groups below the group chosen for them.
const OWN: &str = "rollcage";
/// Hosts on one machine at a time.
const BLOCKS: u32 = 64;
/// Slots one host may have.
pub(crate) const SLOTS_MAX: usize = 256;
/// Two for each slot: the program's, even, and its stub's, the odd one after it.
const UIDS_OF_SLOTS: u32 = 512;
const _: () = assert!(UIDS_OF_SLOTS as usize == 2 * SLOTS_MAX, "a slot has two uids");
/// Two for fork servers: their own, and the one that is root in their namespaces.
const UIDS_OF_SERVERS: u32 = 2;
/// Banks of sessions one host may have, each with as many slots again.
pub(crate) const BANKS_MAX: u32 = 32;
const UIDS_PER_BLOCK: u32 = UIDS_OF_SLOTS + UIDS_OF_SERVERS + BANKS_MAX * UIDS_OF_SLOTS;
/// Above what systemd, container runtimes and directory services hand out; see systemd's UIDS-GIDS.
const FIRST_UID: u32 = 0x7000_0000;

/// A lock file holds a few paths; see [`Block::own`].
const LOCK_BYTES_MAX: usize = 64 * 1024;

/// A held block.
#[derive(Debug)]
pub(crate) struct Block {
    number: u32,
    lock: OwnedFd,
    path: PathBuf,
    /// The block's groups, each locked too: hosts whose locks lie in different places, as in containers with a `/run` of their
    /// own, may share a tree of groups.
    groups: Vec<OwnedFd>,
    /// Its directory, locked for the same reason, where it has one.
    slots: Option<OwnedFd>,
}

impl Block {
    /// Takes a free block of those in the directory `locks`, and removes what dead hosts left behind, in it and in others.
    /// `with_directory` for a block that needs one of its own.
    pub(crate) fn take(
        locks: &Path,
        hierarchy: Option<&Hierarchy>,
        with_directory: bool,
    ) -> Result<Self, HostError> {
        let mut taken = None;
        for number in 0..BLOCKS {
            let path = locks.join(format!("block-{number}.lock"));
            let names_groups = fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0);
            if taken.is_some() && !names_groups && !directory_beside(&path).exists() {
                continue;
            }
            let Some(mut block) = Self::try_take(number, path)? else { continue };
            match block.sweep() {
                Ok(()) if taken.is_none() => {
                    if block.own(hierarchy)? && (!with_directory || block.make_directory()?) {
                        taken = Some(block);
                    }
                }
                Ok(()) => {}
                // A process that cannot be killed costs its block, and must not cost the machine.
                Err(error) => tracing::warn!(%error, "a dead host's leavings cannot be removed"),
            }
        }
        taken.ok_or_else(|| HostError::NoFreeBlock { blocks: BLOCKS, locks: locks.to_owned() })
    }

    fn try_take(number: u32, path: PathBuf) -> Result<Option<Self>, HostError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let lock = openat(CWD, &path, flags, mode).map_err(|errno| failed("open", &path, errno))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { number, lock, path, groups: Vec::new(), slots: None })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed("lock", &path, errno)),
        }
    }

    /// Makes the block's groups, locks them and writes down which they are: the next owner may be started from another
    /// cgroup, where a name relative to its own would lead elsewhere. `false` if a host whose lock lies elsewhere has them.
    fn own(&mut self, hierarchy: Option<&Hierarchy>) -> Result<bool, HostError> {
        let roots = hierarchy.map(Hierarchy::roots).unwrap_or_default();
        let groups: Vec<PathBuf> = roots.into_iter().map(|root| root.join(self.name())).collect();
        for path in &groups {
            fs::create_dir_all(path).map_err(|source| HostError::Path {
                action: "create",
                path: path.clone(),
                source,
            })?;
            match lock_directory(path).map_err(|errno| failed("lock", path, errno))? {
                Some(group) => self.groups.push(group),
                None => {
                    self.groups.clear();
                    return Ok(false);
                }
            }
        }
        let text: String = groups.iter().map(|path| format!("{}\n", path.display())).collect();
        rustix::io::pwrite(&self.lock, text.as_bytes(), 0)
            .map(|_written| true)
            .map_err(|errno| failed("write", &self.path, errno))
    }

    /// Removes the groups named in the lock file, and the directories above them where no other host uses them.
    fn sweep(&self) -> Result<(), HostError> {
        let mut buffer = vec![0; LOCK_BYTES_MAX];
        let length = rustix::io::pread(&self.lock, &mut buffer[..], 0)
            .map_err(|errno| failed("read", &self.path, errno))?;
        for line in String::from_utf8_lossy(&buffer[..length]).lines() {
            let group = PathBuf::from(line);
            // All in it will be killed. A line cut short would name a group above ours.
            if !group.ends_with(self.name()) {
                continue;
            }
            // By now it may be that of a host whose lock lies elsewhere.
            let is_own = !self.groups.is_empty();
            if !is_own && group.exists() && matches!(lock_directory(&group), Ok(None)) {
                continue;
            }
            remove_tree(&group).map_err(|source| HostError::Path {
                action: "remove the cgroup",
                path: group.clone(),
                source,
            })?;
            if let Some(above) = group.parent() {
                // Busy: another host's groups are in it.
                let _kept = fs::remove_dir(above);
            }
        }
        ftruncate(&self.lock, 0).map_err(|errno| failed("clear", &self.path, errno))?;
        let directory = self.directory();
        if self.slots.is_none() && directory.exists() && matches!(lock_directory(&directory), Ok(None)) {
            return Ok(());
        }
        remove_directory(&directory).map_err(|errno| failed("remove", &directory, errno))
    }

    /// The block's own directory, which need not exist. Whatever is in it goes with the block.
    pub(crate) fn directory(&self) -> PathBuf {
        directory_beside(&self.path)
    }

    /// Makes the block's own directory. `false` if a host whose lock lies elsewhere has it.
    fn make_directory(&mut self) -> Result<bool, HostError> {
        let path = self.directory();
        fs::create_dir_all(&path).map_err(|source| HostError::Path {
            action: "create",
            path: path.clone(),
            source,
        })?;
        self.slots = lock_directory(&path).map_err(|errno| failed("lock", &path, errno))?;
        Ok(self.slots.is_some())
    }

    /// A user for a launcher that needs no more than one.
    pub(crate) fn launcher_uid(&self) -> u32 {
        self.uid(0)
    }

    /// The users of fork servers whose programs have the uids from `first` on.
    pub(crate) fn server_uids(&self, first: u32) -> ServerUids {
        let own = self.uid(0) + UIDS_OF_SLOTS;
        ServerUids { own, root: own + 1, first, count: UIDS_OF_SLOTS }
    }

    /// The name of the block's groups below [`Hierarchy::roots`].
    pub(crate) fn name(&self) -> PathBuf {
        Path::new(OWN).join(self.number.to_string())
    }

    /// The program's uid in a slot.
    pub(crate) fn uid(&self, slot: usize) -> u32 {
        let slot = u32::try_from(slot).expect("a slot index is below SLOTS_MAX");
        FIRST_UID + self.number * UIDS_PER_BLOCK + 2 * slot
    }

    /// The program's uid in a slot of a bank.
    pub(crate) fn uid_in_bank(&self, bank: u32, slot: usize) -> u32 {
        self.uid(slot) + UIDS_OF_SLOTS + UIDS_OF_SERVERS + bank * UIDS_OF_SLOTS
    }
}

impl Drop for Block {
    /// Whoever drops a block has seen to it that the processes in its groups are dying.
    fn drop(&mut self) {
        if let Err(error) = self.sweep() {
            tracing::warn!(%error, "something is left behind; the next start removes it");
        }
    }
}

/// A directory, locked for as long as it is held open; `None` if somebody else has it.
fn lock_directory(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let group = openat(CWD, path, flags, Mode::empty())?;
    match flock(&group, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(group)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Root's lies elsewhere: programs are executed there, which most systems forbid below `/run`.
fn directory_beside(lock: &Path) -> PathBuf {
    let slots = lock.with_extension("slots");
    match slots.strip_prefix(LOCKS_OF_ROOT) {
        Ok(name) => Path::new(SLOTS_OF_ROOT).join(name),
        Err(_elsewhere) => slots,
    }
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> HostError {
    HostError::Path { action, path: path.to_owned(), source: errno.into() }
}
