//! One file of a group, held open: kernfs files are read and written whole, at offset 0.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, retry_on_intr};

use super::GroupError;

/// No file we read is longer: the longest is memory.events or cpu.stat.
const TEXT_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct GroupFile {
    fd: OwnedFd,
    path: PathBuf,
}

impl GroupFile {
    pub(super) fn open(path: &Path, flags: OFlags) -> Result<Self, GroupError> {
        let fd = openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| GroupError::new("open", path, errno))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// `None` where this kernel has no such file.
    pub(super) fn open_if_there(path: &Path, flags: OFlags) -> Result<Option<Self>, GroupError> {
        match openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: path.to_owned() })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(GroupError::new("open", path, errno)),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn try_write(&self, text: &str) -> Result<(), Errno> {
        retry_on_intr(|| rustix::io::pwrite(&self.fd, text.as_bytes(), 0)).map(|_written| ())
    }

    pub(super) fn write(&self, text: &str) -> Result<(), GroupError> {
        self.try_write(text).map_err(|errno| GroupError::new("write", &self.path, errno))
    }

    /// The single number the file holds.
    pub(super) fn number(&self) -> Result<u64, GroupError> {
        self.with_text(|text| text.trim().parse().ok())
    }

    /// The number after `key` at the start of a line.
    pub(super) fn keyed_number(&self, key: &str) -> Result<u64, GroupError> {
        self.with_text(|text| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
        })
    }

    fn with_text(&self, read: impl FnOnce(&str) -> Option<u64>) -> Result<u64, GroupError> {
        let mut buffer = [0; TEXT_MAX];
        let count = retry_on_intr(|| rustix::io::pread(&self.fd, &mut buffer, 0))
            .map_err(|errno| GroupError::new("read", &self.path, errno))?;
        std::str::from_utf8(&buffer[..count])
            .ok()
            .and_then(read)
            .ok_or_else(|| GroupError::new("understand", &self.path, Errno::INVAL))
    }
}
