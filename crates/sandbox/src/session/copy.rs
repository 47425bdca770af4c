//! A copy of a workspace, for a branch: everything in it as it is, by a walk that follows nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Stat, Timespec, Timestamps, Uid,
    chownat, fchmod, fchown, fstat, ftruncate, futimens, linkat, mkdirat, mknodat, openat, openat2,
    readlinkat, seek, sendfile, statat, symlinkat, utimensat,
};
use rustix::io::Errno;

/// Directories within directories.
const DEPTH_MAX: usize = 64;

const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Copies what is in `from` into the directory `to`, for this owner, but not the directory `without` if that is in it. What has
/// several names has them in the copy too, and holes stay holes.
pub(super) fn copy_all(
    from: &OwnedFd,
    to: &OwnedFd,
    owner: u32,
    without: Option<&OwnedFd>,
) -> Result<(), Errno> {
    let without = without.map(fstat).transpose()?.map(|status| (status.st_dev, status.st_ino));
    let mut copy = Copy { root: to, owner, without, path: Vec::new(), linked: HashMap::new() };
    copy.copy_below(from, to, DEPTH_MAX)
}

struct Copy<'a> {
    root: &'a OwnedFd,
    owner: u32,
    without: Option<(u64, u64)>,
    /// Names from the root to what is being copied.
    path: Vec<CString>,
    /// Where the first copy is of a file that has several names.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

impl Copy<'_> {
    fn copy_below(&mut self, from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = openat2(from, ".", flags, Mode::empty(), BENEATH)?;
        for entry in Dir::read_from(listed.as_fd())? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            self.path.push(entry.file_name().to_owned());
            self.copy_entry(from, to, entry.file_name(), entry.file_type(), depth)?;
            self.path.pop();
        }
        Ok(())
    }

    fn copy_entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        kind: FileType,
        depth: usize,
    ) -> Result<(), Errno> {
        match kind {
            FileType::Directory => self.copy_directory(from, to, name, depth),
            FileType::RegularFile => self.copy_file(from, to, name),
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new())?;
                symlinkat(&target, to, name)?;
                chownat(to, name, self.user(), self.group(), AtFlags::SYMLINK_NOFOLLOW)?;
                let status = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
                utimensat(to, name, &times(&status), AtFlags::SYMLINK_NOFOLLOW)
            }
            FileType::Fifo => {
                mknodat(to, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
                chownat(to, name, self.user(), self.group(), AtFlags::SYMLINK_NOFOLLOW)
            }
            // Nobody listens on it in the branch.
            FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
                Ok(())
            }
        }
    }

    fn copy_directory(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        depth: usize,
    ) -> Result<(), Errno> {
        let depth = depth.checked_sub(1).ok_or(Errno::LOOP)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let source = openat2(from, name, flags, Mode::empty(), BENEATH)?;
        let status = fstat(&source)?;
        if self.without == Some((status.st_dev, status.st_ino)) {
            return Ok(());
        }
        mkdirat(to, name, Mode::RWXU)?;
        let copy = openat(to, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        self.copy_below(&source, &copy, depth)?;
        self.liken(&copy, &status)
    }

    fn copy_file(&mut self, from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat2(from, name, flags, Mode::empty(), BENEATH)?;
        let status = fstat(&source)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        if status.st_nlink > 1 {
            match self.linked.entry((status.st_dev, status.st_ino)) {
                // By a path that only we have made.
                Entry::Occupied(first) => {
                    return linkat(self.root, first.get().as_slice(), to, name, AtFlags::empty());
                }
                Entry::Vacant(place) => {
                    let names: Vec<_> = self.path.iter().map(|name| name.as_bytes()).collect();
                    place.insert(names.join(&b'/'));
                }
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let copy = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
        copy_content(&source, &copy, status.st_size.cast_unsigned())?;
        self.liken(&copy, &status)
    }

    /// Gives a copy, when it is filled, the mode and the times of what it is one of: tools tell by these what is newer.
    fn liken(&self, copy: &OwnedFd, status: &Stat) -> Result<(), Errno> {
        fchmod(copy, Mode::from_raw_mode(status.st_mode & 0o7777))?;
        fchown(copy, self.user(), self.group())?;
        futimens(copy, &times(status))
    }

    fn user(&self) -> Option<Uid> {
        Some(Uid::from_raw(self.owner))
    }

    fn group(&self) -> Option<Gid> {
        Some(Gid::from_raw(self.owner))
    }
}

fn times(status: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec),
        last_modification: time(status.st_mtime, status.st_mtime_nsec),
    }
}

/// Copies what is data of the first `size` bytes.
fn copy_content(source: &OwnedFd, copy: &OwnedFd, size: u64) -> Result<(), Errno> {
    ftruncate(copy, size)?;
    let mut at = 0;
    while at < size {
        let data = match seek(source, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole, or it was made shorter meanwhile.
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno),
        };
        let end = seek(source, SeekFrom::Hole(data))?.min(size);
        seek(copy, SeekFrom::Start(data))?;
        let mut from = data;
        while from < end {
            let left = usize::try_from(end - from).unwrap_or(usize::MAX);
            if sendfile(copy, source, Some(&mut from), left)? == 0 {
                return Ok(());
            }
        }
        at = end;
    }
    Ok(())
}
