//! A copy of a workspace, for a branch: everything in it as it is, by a walk that follows nothing.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, fchmod, fchown, fstat, mkdirat,
    mknodat, openat, openat2, readlinkat, sendfile, symlinkat,
};
use rustix::io::Errno;

/// Directories within directories.
const DEPTH_MAX: usize = 64;

const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// Copies what is in `from` into the directory `to`, for this owner, but not the directory `without` if that is in it.
pub(super) fn copy_all(
    from: &OwnedFd,
    to: &OwnedFd,
    owner: u32,
    without: Option<&OwnedFd>,
) -> Result<(), Errno> {
    let without = without.map(fstat).transpose()?.map(|status| (status.st_dev, status.st_ino));
    Copy { owner, without }.copy_below(from, to, DEPTH_MAX)
}

struct Copy {
    owner: u32,
    without: Option<(u64, u64)>,
}

impl Copy {
    fn copy_below(&self, from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = openat2(from, ".", flags, Mode::empty(), BENEATH)?;
        for entry in Dir::read_from(listed.as_fd())? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match entry.file_type() {
                FileType::Directory => {
                    let depth = depth.checked_sub(1).ok_or(Errno::LOOP)?;
                    let source = openat2(from, name, flags, Mode::empty(), BENEATH)?;
                    let status = fstat(&source)?;
                    if self.without == Some((status.st_dev, status.st_ino)) {
                        continue;
                    }
                    mkdirat(to, name, Mode::RWXU)?;
                    let copy = openat(to, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
                    self.copy_below(&source, &copy, depth)?;
                    fchmod(&copy, Mode::from_raw_mode(status.st_mode & 0o7777))?;
                    fchown(&copy, self.user(), self.group())?;
                }
                FileType::RegularFile => self.copy_file(from, to, name)?,
                FileType::Symlink => {
                    let target = readlinkat(from, name, Vec::new())?;
                    symlinkat(&target, to, name)?;
                    chownat(to, name, self.user(), self.group(), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                FileType::Fifo => {
                    mknodat(to, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
                    chownat(to, name, self.user(), self.group(), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                // Nobody listens on it in the branch.
                FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {}
            }
        }
        Ok(())
    }

    fn copy_file(&self, from: &OwnedFd, to: &OwnedFd, name: &std::ffi::CStr) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = openat2(from, name, flags, Mode::empty(), BENEATH)?;
        let status = fstat(&source)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let copy = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut left = usize::try_from(status.st_size).unwrap_or(0);
        while left > 0 {
            match sendfile(&copy, &source, None, left)? {
                0 => break,
                count => left -= count.min(left),
            }
        }
        fchmod(&copy, Mode::from_raw_mode(status.st_mode & 0o7777))?;
        fchown(&copy, self.user(), self.group())
    }

    fn user(&self) -> Option<Uid> {
        Some(Uid::from_raw(self.owner))
    }

    fn group(&self) -> Option<Gid> {
        Some(Gid::from_raw(self.owner))
    }
}
