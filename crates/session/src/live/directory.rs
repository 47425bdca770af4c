//! Where sessions lie that are put aside: a directory for each farm, on a disk, which whoever is killed leaves to the next to remove.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, statfs};

const PREFIX: &str = "rollcage-sessions-";
/// While it is made.
const PART: &str = ".part";
/// One that is made takes no time; what is older was left.
const PART_TIME: Duration = Duration::from_mins(1);
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
        remove_left(parent);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(PART).permissions(Permissions::from_mode(0o700));
        let part = builder.tempdir_in(parent)?;
        let lock = File::create(part.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let path = part.path().with_extension("");
        std::fs::rename(part.keep(), &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AsideDirectory {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "what was put aside is left behind");
        }
    }
}

/// The lock goes last: what it is gone from is empty.
fn remove(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() != LOCK {
            std::fs::remove_file(entry.path())?;
        }
    }
    std::fs::remove_file(directory.join(LOCK))?;
    std::fs::remove_dir(directory)
}

fn is_on_disk(directory: &Path) -> bool {
    statfs(directory).is_ok_and(|status| !IN_MEMORY.contains(&u64::try_from(status.f_type).unwrap_or(0)))
}

/// Removes directories of this user's that nobody holds any more.
fn remove_left(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let (name, Ok(known)) = (entry.file_name(), entry.metadata()) else { continue };
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(PREFIX));
        if !is_ours || known.uid() != rustix::process::getuid().as_raw() || !known.is_dir() {
            continue;
        }
        let is_made = name.to_str().is_some_and(|name| name.ends_with(PART))
            && known.modified().is_ok_and(|when| when.elapsed().is_ok_and(|age| age < PART_TIME));
        if is_made {
            continue;
        }
        // One without a lock is empty, or is none of ours.
        let _gone = match File::open(entry.path().join(LOCK)) {
            Ok(lock) if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() => {
                remove(&entry.path())
            }
            Ok(_held) => Ok(()),
            Err(_) => std::fs::remove_dir(entry.path()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_removed_and_what_is_held_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let held = AsideDirectory::create_in(parent.path()).unwrap();
        std::fs::write(held.path().join("session-1"), "x").unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(LOCK), "").unwrap();
        std::fs::write(left.join("session-1"), "x").unwrap();
        let (part, empty) =
            (parent.path().join(format!("{PREFIX}a{PART}")), parent.path().join(format!("{PREFIX}b")));
        std::fs::create_dir(&empty).unwrap();
        std::fs::create_dir(&part).unwrap();
        std::fs::write(part.join(LOCK), "").unwrap();

        let next = AsideDirectory::create_in(parent.path()).unwrap();
        assert!(held.path().join("session-1").exists() && next.path().exists() && part.exists());
        assert!(!left.exists() && !empty.exists());
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
    }
}
