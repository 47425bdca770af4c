//! What compilers made, on disk: shared by all processes of one user, bounded in size, and verified whenever it is read.
//!
//! Each outcome is a file named by its key. Files come into being whole, by being renamed, and are never changed; the time
//! of change says when one was last used. Whoever finds that there is too much removes those not used for longest. Only this
//! process and its like write here: no cage sees any of it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rollcage_types::{ByteSize, Enforcement, ExecOutcome};

use super::key::CompileKey;
use super::record;

/// One outcome takes no more than this part of the whole.
const SHARE_OF_ONE: u64 = 8;
/// What is left when there was too much, in tenths: so that not every file that follows is one too many.
const LEFT_TENTHS: u64 = 9;
/// A use within this time of the last noted one is not noted.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);
/// Left by somebody who died while writing, if it is older than this.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// A directory of outcomes.
#[derive(Debug)]
pub struct DiskCache {
    directory: PathBuf,
    bytes_max: u64,
    /// Bytes there are, as far as is known; `None` before anyone has counted.
    bytes: Mutex<Option<u64>>,
    hits: AtomicU64,
    misses: AtomicU64,
    damaged: AtomicU64,
}

/// How a cache has served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCacheCounts {
    /// Outcomes that were there.
    pub hits: u64,
    /// Outcomes that were not.
    pub misses: u64,
    /// Files that were not what had been written, and were removed.
    pub damaged: u64,
}

impl DiskCache {
    /// A cache below `cache`, made if it is missing, of files that take up to `size` together.
    pub fn open(cache: &Path, size: ByteSize) -> io::Result<Self> {
        let directory = cache.join("compiled");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let metadata = fs::symlink_metadata(&directory)?;
        let is_own = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
        if !is_own || metadata.mode() & 0o022 != 0 {
            let why = format!("`{}` can be written by others", directory.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let counts = [const { AtomicU64::new(0) }; 3];
        let [hits, misses, damaged] = counts;
        Ok(Self { directory, bytes_max: size.as_u64(), bytes: Mutex::new(None), hits, misses, damaged })
    }

    /// How it has served so far.
    pub fn counts(&self) -> DiskCacheCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DiskCacheCounts { hits: read(&self.hits), misses: read(&self.misses), damaged: read(&self.damaged) }
    }

    /// What is kept under `key`. Waits for the disk.
    pub(in super::super) fn find(
        &self,
        key: &CompileKey,
        enforcement: &Arc<Enforcement>,
    ) -> Option<ExecOutcome> {
        let path = self.path(key);
        let Ok(bytes) = fs::read(&path) else {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let Some(outcome) = record::decode(&bytes, enforcement) else {
            self.damaged.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(path = %path.display(), "not what a compiler made: the file is removed");
            let _gone = fs::remove_file(&path);
            return None;
        };
        self.hits.fetch_add(1, Ordering::Relaxed);
        note_use(&path);
        Some(outcome)
    }

    /// Keeps an outcome that would come out the same again. What cannot be written is only said. Waits for the disk.
    pub(in super::super) fn keep(&self, key: &CompileKey, outcome: &ExecOutcome) {
        let Some(bytes) = record::encode(outcome) else { return };
        if bytes.len() as u64 > self.bytes_max / SHARE_OF_ONE {
            return;
        }
        let kept = self.write(key, &bytes).and_then(|()| self.count(bytes.len() as u64));
        if let Err(error) = kept {
            tracing::warn!(%error, directory = %self.directory.display(), "what a compiler made is not kept");
        }
    }

    fn path(&self, key: &CompileKey) -> PathBuf {
        let name = key.to_hex();
        let (first, rest) = name.split_at(2);
        self.directory.join(first).join(rest)
    }

    fn write(&self, key: &CompileKey, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let directory = path.parent().unwrap_or(&self.directory);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Two that write the same at once must not share a file.
        let thread = format!("{:?}", std::thread::current().id());
        let number: String = thread.chars().filter(char::is_ascii_digit).collect();
        let unfinished = directory.join(format!("new-{}-{number}", std::process::id()));
        let written = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(bytes))
            .and_then(|()| fs::rename(&unfinished, &path));
        written.inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    /// Takes note of `added` bytes, and makes room if that is too much.
    fn count(&self, added: u64) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let total = match *bytes {
            Some(known) => known + added,
            None => self.files()?.iter().map(|file| file.bytes).sum(),
        };
        // Others may have written too, or made room.
        let total = if total > self.bytes_max { self.make_room()? } else { total };
        *bytes = Some(total);
        Ok(())
    }

    /// Removes what was not used for longest until enough is left free. Returns the bytes that are left.
    fn make_room(&self) -> io::Result<u64> {
        let mut files = self.files()?;
        files.sort_unstable_by_key(|file| file.used);
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        let aim = self.bytes_max / 10 * LEFT_TENTHS;
        for file in &files {
            if total <= aim {
                break;
            }
            match fs::remove_file(&file.path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            total -= file.bytes;
        }
        Ok(total)
    }

    fn files(&self) -> io::Result<Vec<Kept>> {
        let mut files = Vec::new();
        for directory in fs::read_dir(&self.directory)? {
            let directory = directory?;
            if !directory.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(directory.path())? {
                let entry = entry?;
                // Somebody else may have removed it just now.
                let Ok(metadata) = entry.metadata() else { continue };
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let is_unfinished = entry.file_name().to_string_lossy().starts_with("new-");
                if is_unfinished && used.elapsed().is_ok_and(|age| age < ABANDONED_AFTER) {
                    continue;
                }
                files.push(Kept { path: entry.path(), bytes: metadata.len(), used });
            }
        }
        Ok(files)
    }
}

struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

fn note_use(path: &Path) {
    let noted = || -> io::Result<()> {
        let file = File::options().append(true).open(path)?;
        let is_recent = file.metadata()?.modified()?.elapsed().is_ok_and(|age| age < USE_NOTED_EVERY);
        if is_recent { Ok(()) } else { file.set_modified(SystemTime::now()) }
    };
    // It is only removed a little sooner.
    let _noted = noted();
}

#[cfg(test)]
mod tests {
    use rollcage_types::{ExecRequest, Termination};

    use super::super::record::tests::outcome;
    use super::*;

    fn key(name: &str) -> CompileKey {
        CompileKey::new(&[name.as_bytes()], &ExecRequest::new([name]))
    }

    fn keep(cache: &DiskCache, name: &str) {
        cache.keep(&key(name), &outcome(Termination::Exited { code: 0 }));
    }

    fn has(cache: &DiskCache, name: &str) -> bool {
        let enforcement = outcome(Termination::Cancelled).enforcement;
        cache.find(&key(name), &enforcement).is_some()
    }

    fn bytes_of_one() -> u64 {
        record::encode(&outcome(Termination::Exited { code: 0 })).unwrap().len() as u64
    }

    #[test]
    fn what_is_kept_is_found_by_every_process() {
        let directory = tempfile::tempdir().unwrap();
        let open = || DiskCache::open(directory.path(), ByteSize::mib(1)).unwrap();
        let (first, second) = (open(), open());
        assert!(!has(&first, "a"));
        keep(&first, "a");
        assert!(has(&first, "a") && has(&second, "a") && !has(&second, "b"));
        assert_eq!(first.counts(), DiskCacheCounts { hits: 1, misses: 1, damaged: 0 });
    }

    #[test]
    fn a_damaged_file_is_a_miss_and_goes() {
        let directory = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(directory.path(), ByteSize::mib(1)).unwrap();
        keep(&cache, "a");
        let path = cache.path(&key("a"));
        let mut bytes = fs::read(&path).unwrap();
        bytes[60] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(!has(&cache, "a") && !path.exists());
        assert_eq!(cache.counts().damaged, 1);
        keep(&cache, "a");
        assert!(has(&cache, "a"));
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let directory = tempfile::tempdir().unwrap();
        let room = bytes_of_one() * 12;
        let cache = DiskCache::open(directory.path(), ByteSize::bytes(room)).unwrap();
        let name = |number: u64| format!("program {number}");
        for number in 0..12 {
            keep(&cache, &name(number));
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
            let file = File::options().append(true).open(cache.path(&key(&name(number)))).unwrap();
            file.set_modified(used).unwrap();
        }
        assert!(has(&cache, &name(0)), "and so it was used last");
        keep(&cache, &name(12));
        let left: Vec<u64> = (0..=12).filter(|number| has(&cache, &name(*number))).collect();
        assert_eq!(left, [0, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }

    #[test]
    fn what_is_too_large_and_what_others_may_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(directory.path(), ByteSize::bytes(bytes_of_one())).unwrap();
        keep(&cache, "a");
        assert!(!has(&cache, "a"));
        let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(directory.path().join("compiled"), open_to_all).unwrap();
        assert!(DiskCache::open(directory.path(), ByteSize::mib(1)).is_err());
    }

    #[test]
    fn a_disk_that_cannot_be_written_fails_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(directory.path(), ByteSize::mib(1)).unwrap();
        fs::remove_dir(directory.path().join("compiled")).unwrap();
        fs::write(directory.path().join("compiled"), "a file").unwrap();
        keep(&cache, "a");
        assert!(!has(&cache, "a"));
    }
}
