//! The root directory while layers are applied to it.
//!
//! Owns the one thing that keeps a hostile layer inside: each path is resolved by the kernel with the root directory
//! as its root ([`Tree::open`]), only ever up to the directory that something is made in, and the last name is then
//! used in a way that follows no link. Also owns which entries are of the layer at hand, because whiteouts hide what
//! is of the layers below and nothing else.
//!
//! Directories are ours alone, mode 0700, until [`Tree::finish`] gives them the modes and times of the image: a
//! read-only directory could not be filled by an unprivileged user, and filling one changes its time.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::walk::{DIRECTORY, Directory, Visit, WORKING_MODE, walk};

/// Bytes of a file copied at once.
const BUFFER_BYTES: usize = 128 << 10;
/// The kernel answers EAGAIN to `..` in a link while anything on the host is renamed. It passes within microseconds.
const OPEN_ATTEMPTS_MAX: u32 = 1000;

/// What an entry has besides its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) mode: Mode,
    /// `None` leaves everything to the caller of the whole.
    pub(crate) owner: Option<(Uid, Gid)>,
    pub(crate) modified: Timespec,
}

/// A root directory in the making.
pub(crate) struct Tree {
    root: Directory,
    /// What a directory that no entry describes has.
    implied: Attributes,
    /// What each directory shall have in the end, by inode.
    directories: HashMap<u64, Attributes>,
    /// How many of them no entry asked for.
    implied_count: u64,
    layer: OfLayer,
    buffer: Box<[u8]>,
}

/// What the layer at hand has put into the tree.
#[derive(Default)]
struct OfLayer {
    /// Directories that it made or described, and all directories above them and above its files.
    directories: HashSet<u64>,
    /// Everything else, by directory and name: a hard link has the inode of what may be of a layer below.
    names: HashSet<(u64, OsString)>,
    /// Directories that have nothing of the layers below any more. Without them, a layer of opaque whiteouts of one
    /// full directory would take the square of its length.
    hidden: HashSet<u64>,
}

impl Tree {
    /// Begins in an empty directory.
    pub(crate) fn new(root: Directory, implied: Attributes) -> Self {
        let directories = HashMap::from([(root.inode(), implied)]);
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { root, implied, directories, implied_count: 0, layer: OfLayer::default(), buffer }
    }

    /// What comes now is of another layer, above all that came.
    pub(crate) fn begin_layer(&mut self) {
        self.layer = OfLayer::default();
    }

    /// Directories made because something in them was. One entry may ask for two thousand.
    pub(crate) fn implied_count(&self) -> u64 {
        self.implied_count
    }

    /// Makes a directory, or describes the one that is there.
    pub(crate) fn directory(&mut self, path: &Path, attributes: Attributes) -> io::Result<()> {
        let Some(name) = path.file_name() else {
            self.directories.insert(self.root.inode(), attributes);
            return Ok(());
        };
        let parent = self.parent(path)?;
        match parent.kind(name)? {
            Some((FileType::Directory, _)) => {
                let directory = parent.child(name)?;
                self.directories.insert(directory.inode(), attributes);
                self.layer.mark(&self.root, directory)
            }
            Some(_) => {
                parent.remove(name)?;
                self.make_directory(&parent, name, attributes).map(drop)
            }
            None => self.make_directory(&parent, name, attributes).map(drop),
        }
    }

    /// Makes a file in place of whatever is there. Always a new one, so nothing is written through other names.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        attributes: Attributes,
        content: &mut impl Read,
    ) -> io::Result<u64> {
        let (parent, name) = self.vacate(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&parent, &name, flags, Mode::RUSR | Mode::WUSR)?);
        let mut written = 0;
        loop {
            let read = content.read(&mut self.buffer)?;
            if read == 0 {
                break;
            }
            file.write_all(&self.buffer[..read])?;
            written += read as u64;
        }
        attributes.apply(&file)?;
        self.layer.add(&self.root, parent, name)?;
        Ok(written)
    }

    /// Makes a symbolic link in place of whatever is there. Its target is text until somebody follows it.
    pub(crate) fn symlink(&mut self, path: &Path, attributes: Attributes, target: &OsStr) -> io::Result<()> {
        let (parent, name) = self.vacate(path)?;
        rustix::fs::symlinkat(target, &parent, &name)?;
        if let Some((uid, gid)) = attributes.owner {
            rustix::fs::chownat(&parent, &name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        rustix::fs::utimensat(&parent, &name, &attributes.times(), AtFlags::SYMLINK_NOFOLLOW)?;
        self.layer.add(&self.root, parent, name)
    }

    /// Makes another name for what is at `target`, in place of whatever is there.
    pub(crate) fn hard_link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        let name = path.file_name().ok_or(Errno::EXIST)?;
        let target_name = target.file_name().ok_or(Errno::ISDIR)?;
        let parent = self.parent(path)?;
        let target_parent = self.open(target.parent().unwrap_or(Path::new("")))?;
        let (kind, inode) = target_parent.kind(target_name)?.ok_or(Errno::NOENT)?;
        if kind == FileType::Directory {
            return Err(Errno::ISDIR.into());
        }
        // To make room for a second name of itself would remove it.
        if parent.kind(name)?.map(|(_, inode)| inode) != Some(inode) {
            parent.remove(name)?;
            rustix::fs::linkat(&target_parent, target_name, &parent, name, AtFlags::empty())?;
        }
        self.layer.add(&self.root, parent, name.to_owned())
    }

    /// Removes whatever is there, for an entry that is not made.
    pub(crate) fn absent(&mut self, path: &Path) -> io::Result<()> {
        self.vacate(path).map(drop)
    }

    /// Hides what the layers below have under this path.
    pub(crate) fn hide(&mut self, path: &Path) -> io::Result<()> {
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let Some(parent) = self.find(above)? else { return Ok(()) };
        let hidden = match parent.kind(name)? {
            Some((FileType::Directory, _)) => self.layer.hide_directory(&parent, name)?,
            Some(_) | None => {
                self.layer.hide_other(&parent, name)?;
                None
            }
        };
        match hidden {
            Some(directory) => walk(directory, &mut Hide(&mut self.layer)),
            None => Ok(()),
        }
    }

    /// Hides what the layers below have in this directory.
    pub(crate) fn hide_contents(&mut self, path: &Path) -> io::Result<()> {
        match self.find(path)? {
            Some(directory) => walk(directory, &mut Hide(&mut self.layer)),
            None => Ok(()),
        }
    }

    /// Gives every directory the mode, owner and time it shall have.
    pub(crate) fn finish(self) -> io::Result<()> {
        walk(self.root, &mut Finish(&self.directories))
    }

    /// The directory at a path of the tree. This is the only place where links of the tree are followed, and the
    /// kernel follows them as if the tree were all there is.
    fn open(&self, path: &Path) -> io::Result<Directory> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        let mut attempts = 0;
        loop {
            attempts += 1;
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Ok(fd) => return Directory::from_fd(fd),
                Err(Errno::AGAIN) if attempts < OPEN_ATTEMPTS_MAX => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// The directory at a path, if there is one.
    fn find(&self, path: &Path) -> io::Result<Option<Directory>> {
        let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        match self.open(path) {
            Err(error) if absent.contains(&error.kind()) => Ok(None),
            other => other.map(Some),
        }
    }

    /// The directory above a path, made if there is none.
    fn parent(&mut self, path: &Path) -> io::Result<Directory> {
        let above = path.parent().unwrap_or(Path::new(""));
        match self.open(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let mut ancestors: Vec<_> = above.ancestors().collect();
        ancestors.reverse();
        // Halving, because each step may go through a link to as deep a place again.
        let (mut found, mut missing) = (0, ancestors.len() - 1);
        while missing - found > 1 {
            let middle = found.midpoint(missing);
            if self.find(ancestors[middle])?.is_some() { found = middle } else { missing = middle }
        }
        let mut at = self.open(ancestors[found])?;
        for name in ancestors[missing..].iter().filter_map(|path| path.file_name()) {
            self.implied_count += 1;
            // A link that leads nowhere is missing as well; this then fails, as it should.
            at = self.make_directory(&at, name, self.implied)?;
        }
        Ok(at)
    }

    /// The directory above a path and the path's last name, under which there is nothing any more.
    fn vacate(&mut self, path: &Path) -> io::Result<(Directory, OsString)> {
        let name = path.file_name().ok_or(Errno::EXIST)?;
        let parent = self.parent(path)?;
        parent.remove(name)?;
        Ok((parent, name.to_owned()))
    }

    fn make_directory(
        &mut self,
        parent: &Directory,
        name: &OsStr,
        attributes: Attributes,
    ) -> io::Result<Directory> {
        rustix::fs::mkdirat(parent, name, WORKING_MODE)?;
        let directory = parent.child(name)?;
        self.directories.insert(directory.inode(), attributes);
        // The inode may be that of a directory which this layer had made and replaced.
        self.layer.directories.remove(&directory.inode());
        self.layer.mark(&self.root, parent.child(name)?)?;
        Ok(directory)
    }
}

impl OfLayer {
    /// Notes that `directory`, and so every directory above it, has something of this layer.
    fn mark(&mut self, root: &Directory, directory: Directory) -> io::Result<()> {
        let mut at = directory;
        while self.directories.insert(at.inode()) && at.inode() != root.inode() {
            at = at.above()?;
        }
        Ok(())
    }

    fn add(&mut self, root: &Directory, parent: Directory, name: OsString) -> io::Result<()> {
        self.names.insert((parent.inode(), name));
        self.mark(root, parent)
    }

    /// Hides a directory. Returns it if something of this layer is in it, to hide the rest.
    fn hide_directory(&self, parent: &Directory, name: &OsStr) -> io::Result<Option<Directory>> {
        let directory = parent.child(name)?;
        if self.directories.contains(&directory.inode()) {
            return Ok(Some(directory));
        }
        parent.remove(name)?;
        Ok(None)
    }

    /// Hides what is no directory.
    fn hide_other(&self, parent: &Directory, name: &OsStr) -> io::Result<()> {
        if self.names.contains(&(parent.inode(), name.to_owned())) { Ok(()) } else { parent.remove(name) }
    }
}

impl Attributes {
    /// Owner before mode: a change of owner clears bits of the mode.
    fn apply(&self, file: impl AsFd) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&file, self.mode)?;
        Ok(rustix::fs::futimens(&file, &self.times())?)
    }

    fn times(&self) -> Timestamps {
        Timestamps { last_access: self.modified, last_modification: self.modified }
    }
}

/// Hides what is not of the layer at hand.
struct Hide<'a>(&'a mut OfLayer);

impl Visit for Hide<'_> {
    fn enter(&mut self, directory: &Directory) -> io::Result<Vec<OsString>> {
        let mut below = Vec::new();
        if !self.0.hidden.insert(directory.inode()) {
            return Ok(below);
        }
        for (name, is_directory) in directory.names()? {
            if !is_directory {
                self.0.hide_other(directory, &name)?;
            } else if self.0.hide_directory(directory, &name)?.is_some() {
                below.push(name);
            }
        }
        Ok(below)
    }

    fn leave(&mut self, _: &Directory, _: Option<(&Directory, &OsStr)>) -> io::Result<()> {
        Ok(())
    }
}

/// Applies what directories shall have in the end.
struct Finish<'a>(&'a HashMap<u64, Attributes>);

impl Visit for Finish<'_> {
    fn enter(&mut self, directory: &Directory) -> io::Result<Vec<OsString>> {
        let names = directory.names()?.into_iter();
        Ok(names.filter_map(|(name, is_directory)| is_directory.then_some(name)).collect())
    }

    fn leave(&mut self, directory: &Directory, _: Option<(&Directory, &OsStr)>) -> io::Result<()> {
        match self.0.get(&directory.inode()) {
            Some(attributes) => attributes.apply(directory),
            None => Err(io::Error::other("somebody else made a directory in it")),
        }
    }
}
