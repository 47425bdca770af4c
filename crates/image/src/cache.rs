//! One unpacked root directory for each image, kept between runs.
//!
//! A cache is a directory of ours alone:
//!
//! ```text
//! DIGEST-own-1/root       complete: it got its name by one rename, after everything in it was on disk
//! DIGEST-own-1.partial/   being made, or left by a process that died
//! DIGEST-own-1.lock       held while the two above are touched; the kernel lets go when the holder dies
//! ```
//!
//! So whoever sees the first may use it without a lock, and whoever holds the third knows that the second is nobody's.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

use crate::error::ImageError;
use crate::image::Image;
use crate::unpack::{self, Ids, UnpackOptions, UnpackReport};

/// Part of each name. To be raised when the same image would be unpacked differently.
const FORMAT: u32 = 1;
const PARTIAL: &str = "partial";
const LOCK: &str = "lock";

/// An unpacked image in a cache.
#[derive(Debug, Clone)]
pub struct Cached {
    /// The root directory. To be mounted, never to be read by paths of the host: its links are hostile.
    pub root: PathBuf,
    /// What was unpacked; `None` if it was there already.
    pub unpacked: Option<UnpackReport>,
}

/// Why there is no root directory.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The cache cannot be used.
    #[error("using the cache at {}", path.display())]
    Use {
        /// The path in the cache.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// Others may change what is in the cache.
    #[error("{} belongs to somebody else, or others may write to it", path.display())]
    NotPrivate {
        /// The cache.
        path: PathBuf,
    },
    /// The image cannot be unpacked.
    #[error("unpacking the image {digest}")]
    Unpack {
        /// The image.
        digest: crate::Digest,
        /// What happened.
        #[source]
        source: Box<ImageError>,
    },
}

/// The root directory of `image` in the cache at `cache`, unpacked now if it is not there. The cache is made if it
/// is missing, for its owner alone. A second process that wants the same image waits until the first is done, has
/// failed or is dead.
pub fn root_for(image: &Image, cache: &Path, options: &UnpackOptions) -> Result<Cached, CacheError> {
    prepare(cache)?;
    sweep(cache)?;
    let ids = match options.ids {
        Ids::Keep => "keep",
        Ids::Own => "own",
    };
    let name = format!("{}-{ids}-{FORMAT}", image.digest().hex());
    let complete = cache.join(&name);
    let root = complete.join("root");
    if exists(&complete)? {
        return Ok(Cached { root, unpacked: None });
    }
    let lock_path = cache.join(&name).with_added_extension(LOCK);
    let _lock = lock(&lock_path, FlockOperation::LockExclusive)?;
    if exists(&complete)? {
        return Ok(Cached { root, unpacked: None });
    }
    let partial = complete.with_added_extension(PARTIAL);
    remove_if_there(&partial)?;
    rustix::fs::mkdir(&partial, Mode::RWXU).map_err(|errno| used(&partial)(errno.into()))?;
    let unpacked = image.unpack(&partial.join("root"), options);
    let unpacked = unpacked
        .map_err(|source| CacheError::Unpack { digest: image.digest(), source: Box::new(source) })
        .and_then(|report| settle(cache, &partial, &complete).map(|()| report));
    if unpacked.is_err() {
        // Left over, it is removed by the next start.
        let _ = remove_if_there(&partial);
    }
    Ok(Cached { root, unpacked: Some(unpacked?) })
}

/// Names the path that a failure is about.
fn used(path: &Path) -> impl Fn(io::Error) -> CacheError {
    move |source| CacheError::Use { path: path.to_owned(), source }
}

/// Makes the cache, and sees that nobody else can put anything there.
fn prepare(cache: &Path) -> Result<(), CacheError> {
    fs::create_dir_all(cache.parent().unwrap_or(cache)).map_err(used(cache))?;
    match rustix::fs::mkdir(cache, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(used(cache)(errno.into())),
    }
    let metadata = fs::metadata(cache).map_err(used(cache))?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_dir() || !is_ours || metadata.mode() & 0o022 != 0 {
        return Err(CacheError::NotPrivate { path: cache.to_owned() });
    }
    Ok(())
}

/// Puts everything on disk, and only then gives it the name under which it is used.
fn settle(cache: &Path, partial: &Path, complete: &Path) -> Result<(), CacheError> {
    let directory = File::open(partial).map_err(used(partial))?;
    // A million files at once: the whole file system is quicker than each of them.
    rustix::fs::syncfs(&directory).map_err(|errno| used(partial)(errno.into()))?;
    fs::rename(partial, complete).map_err(used(complete))?;
    let directory = File::open(cache).map_err(used(cache))?;
    directory.sync_all().map_err(used(cache))
}

/// Removes what dead processes left half done. What a living one is at is told by its lock.
fn sweep(cache: &Path) -> Result<(), CacheError> {
    for entry in fs::read_dir(cache).map_err(used(cache))? {
        let partial = entry.map_err(used(cache))?.path();
        if partial.extension() != Some(OsStr::new(PARTIAL)) {
            continue;
        }
        match lock(&partial.with_extension(LOCK), FlockOperation::NonBlockingLockExclusive) {
            Ok(_lock) => remove_if_there(&partial)?,
            Err(CacheError::Use { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The lock's file stays: were it removed, two processes could each hold a file of that name.
fn lock(path: &Path, operation: FlockOperation) -> Result<OwnedFd, CacheError> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let locked = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).and_then(|file| {
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation))?;
        Ok(file)
    });
    locked.map_err(|errno| used(path)(errno.into()))
}

fn exists(path: &Path) -> Result<bool, CacheError> {
    path.try_exists().map_err(used(path))
}

fn remove_if_there(path: &Path) -> Result<(), CacheError> {
    match unpack::remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(used(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
