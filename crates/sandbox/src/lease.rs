//! Uids that no other host on this machine uses, and the traces of hosts that died.
//!
//! A host holds one *block*: a lock file, and with it a range of uids and the cgroups named after the block. The
//! lock ends with its owner however that ends, so whoever takes a block knows that everything it finds under its
//! name is a dead host's.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

use crate::cgroup::{Hierarchy, remove_tree};
use crate::error::HostError;

/// Where the locks lie, whatever a host's own state directory is: uids and cgroups are the machine's, and hosts that
/// looked for locks in different places would take the same block and kill each other's cages.
const LOCKS: &str = "/run/rollcage";
/// Hosts on one machine at a time.
const BLOCKS: u32 = 64;
/// Slots one host may have.
pub(crate) const SLOTS_MAX: usize = 256;
/// Two for each slot: the program's, even, and its stub's, the odd one after it.
const UIDS_PER_BLOCK: u32 = 512;
const _: () = assert!(UIDS_PER_BLOCK as usize == 2 * SLOTS_MAX, "a slot has two uids");
/// Above what systemd, container runtimes and directory services hand out; see systemd's UIDS-GIDS.
const FIRST_UID: u32 = 0x7000_0000;

/// A held block.
#[derive(Debug)]
pub(crate) struct Block {
    number: u32,
    /// Held for its lock, which the kernel drops with the descriptor.
    _lock: OwnedFd,
}

impl Block {
    /// Takes a free block and removes what dead hosts left behind, in it and in others.
    pub(crate) fn take(hierarchy: &Hierarchy) -> Result<Self, HostError> {
        let locks = Path::new(LOCKS);
        fs::create_dir_all(locks)
            .map_err(|source| HostError::Path { action: "create", path: locks.to_owned(), source })?;
        let mut taken = None;
        for number in 0..BLOCKS {
            let wanted = taken.is_none() || has_leftovers(hierarchy, number);
            if !wanted {
                continue;
            }
            let Some(block) = Self::try_take(locks, number)? else { continue };
            block.sweep(hierarchy)?;
            taken.get_or_insert(block);
        }
        taken.ok_or_else(|| HostError::NoFreeBlock { blocks: BLOCKS, locks: locks.to_owned() })
    }

    fn try_take(locks: &Path, number: u32) -> Result<Option<Self>, HostError> {
        let path = locks.join(format!("block-{number}.lock"));
        let failed = |action| {
            let path = path.clone();
            move |errno: Errno| HostError::Path { action, path, source: errno.into() }
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR).map_err(failed("open"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { number, _lock: lock })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed("lock")(errno)),
        }
    }

    /// The name of the block's groups below [`Hierarchy::own_directories`].
    pub(crate) fn name(&self) -> PathBuf {
        PathBuf::from(self.number.to_string())
    }

    /// The program's uid in a slot.
    pub(crate) fn uid(&self, slot: usize) -> u32 {
        let slot = u32::try_from(slot).expect("a slot index is below SLOTS_MAX");
        FIRST_UID + self.number * UIDS_PER_BLOCK + 2 * slot
    }

    /// Removes the block's groups, wherever they are.
    pub(crate) fn sweep(&self, hierarchy: &Hierarchy) -> Result<(), HostError> {
        for own in hierarchy.own_directories() {
            let path = own.join(self.name());
            remove_tree(&path).map_err(|source| HostError::Path { action: "remove the cgroup", path, source })?;
        }
        Ok(())
    }
}

fn has_leftovers(hierarchy: &Hierarchy, number: u32) -> bool {
    hierarchy.own_directories().iter().any(|own| own.join(number.to_string()).exists())
}

/// Removes our directory in each hierarchy if no other host's block is left in it.
pub(crate) fn remove_if_last(hierarchy: &Hierarchy) {
    for own in hierarchy.own_directories() {
        match fs::remove_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(path = %own.display(), "cgroup directory kept: another host uses it");
            }
            _ => {}
        }
    }
}
