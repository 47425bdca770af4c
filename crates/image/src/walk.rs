//! Directories by descriptor, and walks through trees of them that end however deep they are.
//!
//! No path of the host is formed: a step down opens a name without following links, a step up opens `..`, and one
//! descriptor is held at a time besides the one above it. So neither the length of paths nor the number of
//! descriptors bounds what can be walked, and removed. This holds for trees that nobody else changes meanwhile.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// How directories are opened: to be read, and never through a link as the last name.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What directories have while a tree is made: nobody else enters, and we may do anything.
pub(crate) const WORKING_MODE: Mode = Mode::RWXU;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    inode: u64,
}

/// What is done on a walk.
pub(crate) trait Visit {
    /// Comes to a directory, and says into which of its directories to descend.
    fn enter(&mut self, directory: &Directory) -> io::Result<Vec<OsString>>;

    /// Is done with a directory and all below it. `above` is where it lies and its name; the top has none.
    fn leave(&mut self, directory: &Directory, above: Option<(&Directory, &OsStr)>) -> io::Result<()>;
}

impl Directory {
    /// Opens a directory by a path of the host.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::from_fd(rustix::fs::open(path, DIRECTORY, Mode::empty())?)
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let inode = rustix::fs::fstat(&fd)?.st_ino;
        Ok(Self { fd, inode })
    }

    /// Tells it from every other directory of the tree.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }

    /// The directory of this name in it.
    pub(crate) fn child(&self, name: &OsStr) -> io::Result<Self> {
        Self::from_fd(rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty())?)
    }

    /// The directory that it lies in.
    pub(crate) fn above(&self) -> io::Result<Self> {
        self.child(OsStr::new(".."))
    }

    /// What is in it, and which of that are directories.
    pub(crate) fn names(&self) -> io::Result<Vec<(OsString, bool)>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let mut kind = entry.file_type();
            // Not every file system says.
            if kind == FileType::Unknown {
                let Some((found, _)) = self.kind(name)? else { continue };
                kind = found;
            }
            names.push((name.to_owned(), kind == FileType::Directory));
        }
        Ok(names)
    }

    /// What is under this name, and its inode. Links are not followed.
    pub(crate) fn kind(&self, name: &OsStr) -> io::Result<Option<(FileType, u64)>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some((FileType::from_raw_mode(stat.st_mode), stat.st_ino))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes what is under this name, whatever it is and if it is there at all.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
        walk(self.openable(name)?, &mut Remove)?;
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes everything in it.
    pub(crate) fn clear(self) -> io::Result<()> {
        walk(self, &mut Remove)
    }

    /// The child, with a mode that lets us in. Following links, as chmod does, is not to be feared: it has been seen
    /// that there is a directory, and nobody else changes the tree.
    fn openable(&self, name: &OsStr) -> io::Result<Self> {
        match self.child(name) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                rustix::fs::chmodat(&self.fd, name, WORKING_MODE, AtFlags::empty())?;
                self.child(name)
            }
            other => other,
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Walks through `top` and what is below it, deepest first.
pub(crate) fn walk(top: Directory, visit: &mut impl Visit) -> io::Result<()> {
    let mut path: Vec<OsString> = Vec::new();
    let mut pending = vec![visit.enter(&top)?];
    let mut here = top;
    while let Some(names) = pending.last_mut() {
        if let Some(name) = names.pop() {
            here = here.openable(&name)?;
            path.push(name);
            pending.push(visit.enter(&here)?);
            continue;
        }
        pending.pop();
        match path.pop() {
            None => return visit.leave(&here, None),
            Some(name) => {
                // Before leaving, which may take away the right to look.
                let above = here.above()?;
                visit.leave(&here, Some((&above, &name)))?;
                here = above;
            }
        }
    }
    Ok(())
}

/// Removes everything below the top.
struct Remove;

impl Visit for Remove {
    fn enter(&mut self, directory: &Directory) -> io::Result<Vec<OsString>> {
        // A finished directory that is read-only even for its owner would keep its content.
        rustix::fs::fchmod(directory, WORKING_MODE)?;
        let mut below = Vec::new();
        for (name, is_directory) in directory.names()? {
            if is_directory {
                below.push(name);
            } else {
                rustix::fs::unlinkat(directory, &name, AtFlags::empty())?;
            }
        }
        Ok(below)
    }

    fn leave(&mut self, _: &Directory, above: Option<(&Directory, &OsStr)>) -> io::Result<()> {
        match above {
            Some((above, name)) => Ok(rustix::fs::unlinkat(above, name, AtFlags::REMOVEDIR)?),
            None => Ok(()),
        }
    }
}
