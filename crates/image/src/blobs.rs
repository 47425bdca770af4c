//! Where blobs lie: in a directory, or in a tar of one.
//!
//! A blob is found by its name within the collection and read from where it lies; nothing is copied out. Whether it
//! is what its digest promises is seen here for documents, which are read whole, and in `layer` for layers.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::digest::Digest;
use crate::names;
use crate::tarball::{Entries, Kind, TarError};

/// Bytes of a manifest, an index or a configuration: registries take no manifest above this.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Members of an archive of images: a hundred images of a hundred layers with some to spare.
const MEMBERS_MAX: usize = 65_536;
/// Links from one member of an archive to another that are followed. `docker save` writes one.
const ALIASES_MAX: usize = 8;

/// Why a blob cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is none of this name.
    #[error("{name} is missing")]
    Missing {
        /// Its name within the collection.
        name: String,
    },
    /// It is there and cannot be read.
    #[error("{name} cannot be read")]
    Read {
        /// Its name within the collection.
        name: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It is something else than a file.
    #[error("{name} is not a file")]
    NotFile {
        /// Its name within the collection.
        name: String,
    },
    /// It is not as long as whoever names it says.
    #[error("{name} has {found} bytes instead of {expected}")]
    Size {
        /// Its name within the collection.
        name: String,
        /// Its length.
        found: u64,
        /// The length it should have.
        expected: u64,
    },
    /// It is too long for a document.
    #[error("{name} has {found} bytes, at most {DOCUMENT_BYTES_MAX}")]
    Long {
        /// Its name within the collection.
        name: String,
        /// Its length.
        found: u64,
    },
    /// Its content is not what its digest promises.
    #[error("{name} has the digest {found} instead of {expected}")]
    Digest {
        /// Its name within the collection.
        name: String,
        /// The digest of its content.
        found: Digest,
        /// The digest it should have.
        expected: Digest,
    },
}

/// The blobs of one collection.
#[derive(Debug)]
pub(crate) enum Blobs {
    Directory(OwnedFd),
    Archive { file: Arc<File>, members: HashMap<String, Member> },
}

/// A member of an archive.
#[derive(Debug, Clone)]
pub(crate) enum Member {
    File { begin: u64, size: u64 },
    Alias(String),
}

/// One blob. Reads by position, so several may be read at once.
#[derive(Debug)]
pub(crate) struct Blob {
    file: Arc<File>,
    position: u64,
    end: u64,
}

/// What should be true of a blob.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    pub(crate) digest: Digest,
    pub(crate) size: Option<u64>,
}

impl Blobs {
    pub(crate) fn directory(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self::Directory(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Reads the headers of a tar and notes where its members lie.
    pub(crate) fn archive(file: File) -> Result<Self, TarError> {
        let length = file.metadata().map_err(|source| TarError::Read { offset: 0, source })?.len();
        let file = Arc::new(file);
        let mut entries = Entries::new(BufReader::new(Arc::clone(&file)));
        let mut members = HashMap::new();
        while let Some(entry) = entries.next()? {
            let begin = entries.pass_over()?;
            if begin.checked_add(entry.size).is_none_or(|end| end > length) {
                return Err(TarError::Read { offset: length, source: io::ErrorKind::UnexpectedEof.into() });
            }
            if members.len() == MEMBERS_MAX {
                return Err(TarError::Many { allowed: MEMBERS_MAX });
            }
            // What has no plain name is no blob: nothing could ask for it.
            let Some(name) = plain_name(&entry.path) else { continue };
            let member = match entry.kind {
                Kind::File => Some(Member::File { begin, size: entry.size }),
                Kind::HardLink => plain_name(&entry.link).map(Member::Alias),
                Kind::Symlink => beside(&name, &entry.link).map(Member::Alias),
                Kind::Directory | Kind::Device | Kind::Fifo => None,
            };
            members.extend(member.map(|member| (name, member)));
        }
        Ok(Self::Archive { file, members })
    }

    /// The blob of this name.
    pub(crate) fn open(&self, name: &str) -> Result<Blob, BlobError> {
        match self {
            Self::Directory(directory) => open_file(directory, name),
            Self::Archive { file, members } => {
                let mut at = name;
                for _ in 0..ALIASES_MAX {
                    match members.get(at) {
                        Some(Member::Alias(target)) => at = target,
                        Some(Member::File { begin, size }) => {
                            return Ok(Blob { file: Arc::clone(file), position: *begin, end: begin + size });
                        }
                        None => break,
                    }
                }
                Err(BlobError::Missing { name: names::shown(name.as_bytes()) })
            }
        }
    }

    /// A document, whole, and its digest.
    pub(crate) fn document(
        &self,
        name: &str,
        promise: Option<Promise>,
    ) -> Result<(Vec<u8>, Digest), BlobError> {
        let mut blob = self.open(name)?;
        let name = || names::shown(name.as_bytes());
        let found = blob.size();
        if found > DOCUMENT_BYTES_MAX {
            return Err(BlobError::Long { name: name(), found });
        }
        blob.check_size(&name(), promise.and_then(|promise| promise.size))?;
        let mut bytes = Vec::new();
        blob.read_to_end(&mut bytes).map_err(|source| BlobError::Read { name: name(), source })?;
        let found = Digest::of(&bytes);
        match promise {
            Some(Promise { digest: expected, .. }) if expected != found => {
                Err(BlobError::Digest { name: name(), found, expected })
            }
            Some(_) | None => Ok((bytes, found)),
        }
    }
}

impl Blob {
    /// How many bytes are left of it.
    pub(crate) fn size(&self) -> u64 {
        self.end - self.position
    }

    pub(crate) fn check_size(&self, name: &str, expected: Option<u64>) -> Result<(), BlobError> {
        match expected {
            Some(expected) if expected != self.size() => {
                Err(BlobError::Size { name: name.to_owned(), found: self.size(), expected })
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.size()).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..want], self.position)?;
        if read == 0 && want > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}

/// Opens a file below `directory`, whatever links its path has. A FIFO must not make us wait.
fn open_file(directory: &OwnedFd, name: &str) -> Result<Blob, BlobError> {
    let shown = || names::shown(name.as_bytes());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Err(BlobError::Missing { name: shown() }),
        Err(errno) => return Err(BlobError::Read { name: shown(), source: errno.into() }),
    };
    let metadata = file.metadata().map_err(|source| BlobError::Read { name: shown(), source })?;
    if !metadata.is_file() {
        return Err(BlobError::NotFile { name: shown() });
    }
    Ok(Blob { file: Arc::new(file), position: 0, end: metadata.len() })
}

/// A member's name without `./` and the like.
fn plain_name(path: &[u8]) -> Option<String> {
    names::plain(path).ok()?.into_os_string().into_string().ok().filter(|name| !name.is_empty())
}

/// The member that a symbolic link at `name` leads to. Older archives link a layer they hold twice: `../ID/layer.tar`.
fn beside(name: &str, target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok()?;
    let mut path: Vec<&str> = name.split('/').collect();
    path.pop();
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(path.pop()?),
            step => path.push(step),
        }
    }
    Some(path.join("/"))
}
