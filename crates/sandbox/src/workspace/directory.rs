//! A workspace where no file system can be mounted: directories of the host's, emptied between runs.
//!
//! Nothing bounds them but a look from time to time, so what is in them may be more than was allowed, nested deeper than
//! a path is long, and closed to its owner.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid, chmodat, chown, fstat, mkdir, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;

/// Entries looked at when a workspace is measured; with more it is over any limit on files.
const ENTRIES_MAX: u64 = 16 * 1024;
/// Blocks of stat(2) are of this size, whatever the file system's are.
const BLOCK: u64 = 512;

/// One slot's directories.
#[derive(Debug)]
pub(crate) struct DirectoryWorkspace {
    path: PathBuf,
    work: OwnedFd,
    tmp: OwnedFd,
}

/// What was found in a workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) bytes: u64,
    /// There are more entries than a workspace may hold.
    pub(crate) too_many: bool,
}

impl DirectoryWorkspace {
    /// Makes the directories `work` and `tmp` below `path`, or takes those that are there. As root they are `owner`'s.
    pub(crate) fn create(path: &Path, owner: Option<u32>) -> Result<Self, Errno> {
        for directory in [path, &path.join("work"), &path.join("tmp")] {
            match mkdir(directory, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            if let Some(uid) = owner {
                chown(directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)))?;
            }
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |name| openat(CWD, path.join(name), flags, Mode::empty());
        Ok(Self { work: open("work")?, tmp: open("tmp")?, path: path.to_owned() })
    }

    pub(crate) const fn work(&self) -> &OwnedFd {
        &self.work
    }

    pub(crate) const fn tmp(&self) -> &OwnedFd {
        &self.tmp
    }

    /// Where programs find their temporary directory.
    pub(crate) fn tmp_path(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Copies the directories, files and links of `base` in, as `owner`'s.
    pub(crate) fn copy_in(&self, base: &Path, owner: Option<u32>) -> io::Result<()> {
        let target = self.path.join("work");
        let mut pending = vec![PathBuf::new()];
        while let Some(inner) = pending.pop() {
            for entry in fs::read_dir(base.join(&inner))? {
                let entry = entry?;
                let inner = inner.join(entry.file_name());
                let (from, to) = (entry.path(), target.join(&inner));
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    fs::create_dir(&to)?;
                    pending.push(inner);
                } else if kind.is_symlink() {
                    symlink(fs::read_link(&from)?, &to)?;
                } else if kind.is_file() {
                    fs::copy(&from, &to)?;
                }
                if let Some(uid) = owner {
                    lchown(&to, Some(uid), Some(uid))?;
                }
            }
        }
        Ok(())
    }

    /// Removes whatever is inside. Only when nothing of the cage lives any more.
    pub(crate) fn clear(&self) -> Result<(), Errno> {
        empty(&self.work)?;
        empty(&self.tmp)
    }

    /// Adds up what is inside, as far as anyone may look.
    pub(crate) fn measure(&self) -> Measured {
        let mut measured = Measured::default();
        let mut seen = 0;
        for root in [&self.work, &self.tmp] {
            let mut pending: Vec<OwnedFd> = open_directory(root, c".").into_iter().collect();
            while let Some(directory) = pending.pop() {
                let Ok(listing) = Dir::read_from(&directory) else { continue };
                for entry in listing.flatten().filter(|entry| !is_dots(entry.file_name())) {
                    seen += 1;
                    if seen > ENTRIES_MAX {
                        return Measured { too_many: true, ..measured };
                    }
                    // It may be gone by now.
                    let Ok(stat) = statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else {
                        continue;
                    };
                    measured.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * BLOCK;
                    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                        pending.extend(open_directory(&directory, entry.file_name()));
                    }
                }
            }
        }
        measured
    }
}

/// Removes the directory at `path` and whatever is in it. Missing is fine.
pub(crate) fn remove_directory(path: &Path) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(CWD, path, flags, Mode::empty()) {
        Ok(open) => empty(&open)?,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    }
    rustix::fs::rmdir(path)
}

fn is_dots(name: &std::ffi::CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

fn open_directory(beside: &OwnedFd, name: &std::ffi::CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat(beside, name, flags, Mode::empty())
}

/// Removes everything in `top`, however deep: what lies in a directory is moved up beside it first, so that neither
/// descriptors nor stack grow with the depth.
fn empty(top: &OwnedFd) -> Result<(), Errno> {
    let mut moved = 0_u64;
    loop {
        let mut is_empty = true;
        for entry in Dir::read_from(top)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) {
                continue;
            }
            is_empty = false;
            match unlinkat(top, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR | Errno::PERM) => flatten(top, name, &mut moved)?,
                Err(errno) => return Err(errno),
            }
        }
        if is_empty {
            return Ok(());
        }
    }
}

/// Moves the directories in `name` up into `top` and removes it and its files.
fn flatten(top: &OwnedFd, name: &std::ffi::CStr, moved: &mut u64) -> Result<(), Errno> {
    // A directory may be closed to its owner. It is one, so no link is followed.
    chmodat(top, name, Mode::RWXU, AtFlags::empty())?;
    let directory = open_directory(top, name)?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let inner = entry.file_name();
        if is_dots(inner) {
            continue;
        }
        match unlinkat(&directory, inner, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => {
                // A directory that is closed cannot be renamed: that rewrites its own entry of `..`.
                chmodat(&directory, inner, Mode::RWXU, AtFlags::empty())?;
                let fresh = loop {
                    *moved += 1;
                    let fresh = format!(".rollcage-removed-{moved}");
                    if statat(top, fresh.as_str(), AtFlags::SYMLINK_NOFOLLOW).err() == Some(Errno::NOENT) {
                        break fresh;
                    }
                };
                renameat(&directory, inner, top, fresh.as_str())?;
            }
            Err(errno) => return Err(errno),
        }
    }
    unlinkat(top, name, AtFlags::REMOVEDIR)
}

/// Whether a directory is one that nobody but its owner, who is `uid`, may change.
pub(crate) fn is_private_to(directory: &OwnedFd, uid: u32) -> Result<bool, Errno> {
    let stat = fstat(directory)?;
    let others = Mode::from_raw_mode(stat.st_mode) & (Mode::WGRP | Mode::WOTH);
    Ok(stat.st_uid == uid && others.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn whatever_is_inside_goes_and_nothing_outside() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        let place = tempfile::tempdir().unwrap();
        let workspace = DirectoryWorkspace::create(&place.path().join("0"), None).unwrap();
        let work = place.path().join("0/work");
        fs::write(work.join("file"), vec![1; 10_000]).unwrap();
        symlink(outside.path(), work.join("link")).unwrap();
        fs::create_dir_all(work.join("a/b/c")).unwrap();
        fs::write(work.join("a/b/c/file"), "x").unwrap();
        symlink(outside.path(), work.join("a/link")).unwrap();
        fs::set_permissions(work.join("a/b"), fs::Permissions::from_mode(0o000)).unwrap();
        // Deeper than a path may be long.
        let mut deep = open_directory(&workspace.tmp, c".").unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&deep, "deep", Mode::RWXU).unwrap();
            deep = open_directory(&deep, c"deep").unwrap();
        }
        assert!(workspace.measure().bytes >= 10_000);
        workspace.clear().unwrap();
        assert_eq!(workspace.measure(), Measured::default());
        assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn too_many_files_are_not_counted_to_the_end() {
        let place = tempfile::tempdir().unwrap();
        let workspace = DirectoryWorkspace::create(&place.path().join("0"), None).unwrap();
        for number in 0..=ENTRIES_MAX {
            rustix::fs::mknodat(&workspace.work, number.to_string(), FileType::RegularFile, Mode::RUSR, 0)
                .unwrap();
        }
        assert!(workspace.measure().too_many);
    }
}
