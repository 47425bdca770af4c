//! Where sessions lie that are put aside: a directory for each farm, on a disk, which whoever is killed leaves to the next to remove.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock, statfs};

const PREFIX: &str = "rollcage-sessions-";
/// While it is made: nobody removes it yet.
const PART: &str = ".part";
/// Held locked by whoever it is of.
const LOCK: &str = "owner.lock";
/// `TMPFS_MAGIC` and `RAMFS_MAGIC`: see statfs(2).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A directory of its own, removed with this.
#[derive(Debug)]
pub struct AsideDirectory {
    path: PathBuf,
    _lock: File,
}

impl AsideDirectory {
    /// Makes one in `$TMPDIR`, or else in `/var/tmp` or `/tmp`, whichever is on a disk; and removes what was left there by
    /// processes of this user that are gone.
    pub fn create() -> io::Result<Self> {
        let asked = std::env::var_os("TMPDIR").map(PathBuf::from);
        let usual = ["/var/tmp", "/tmp"].map(PathBuf::from);
        let places: Vec<PathBuf> = asked.map_or_else(|| usual.to_vec(), |asked| vec![asked]);
        let parent = places.iter().find(|place| is_on_disk(place)).unwrap_or(&places[0]);
        if !is_on_disk(parent) {
            tracing::warn!(directory = %parent.display(), "sessions that are put aside stay in memory; set TMPDIR");
        }
        Self::create_in(parent)
    }

    /// Makes one in `parent`.
    pub fn create_in(parent: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        remove_left(parent);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        let part = path.with_extension(&PART[1..]);
        // Of somebody with this number, who was killed.
        let _left = std::fs::remove_dir_all(&part);
        DirBuilder::new().mode(0o700).create(&part)?;
        let lock = File::create(part.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(&part, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AsideDirectory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "what was put aside is left behind");
        }
    }
}

fn is_on_disk(directory: &Path) -> bool {
    statfs(directory).is_ok_and(|status| !IN_MEMORY.contains(&u64::try_from(status.f_type).unwrap_or(0)))
}

/// Removes directories of this user's that nobody holds any more.
fn remove_left(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX) && !name.ends_with(PART));
        let is_own = || entry.metadata().is_ok_and(|known| known.uid() == rustix::process::getuid().as_raw());
        if is_ours && is_own() && is_left(&entry.path()) {
            let _gone = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_left(directory: &Path) -> bool {
    let Ok(lock) = File::open(directory.join(LOCK)) else { return false };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_removed_and_what_is_held_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let held = AsideDirectory::create_in(parent.path()).unwrap();
        std::fs::write(held.path().join("session-1"), "x").unwrap();
        let left = parent.path().join(format!("{PREFIX}1-0"));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(LOCK), "").unwrap();
        std::fs::write(left.join("session-1"), "x").unwrap();
        let part = parent.path().join(format!("{PREFIX}1-1{PART}"));
        std::fs::create_dir(&part).unwrap();
        std::fs::write(part.join(LOCK), "").unwrap();

        let next = AsideDirectory::create_in(parent.path()).unwrap();
        assert!(held.path().join("session-1").exists() && next.path().exists() && part.exists());
        assert!(!left.exists());
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
    }
}
