//! Files that a session's interpreter has open, which a branch of it opens again in its own copy of the workspace.

use core::ffi::c_int;
use std::ffi::CString;

use crate::descriptors::own_path;
use crate::raw;

const PATH_BYTES: usize = 4096;
/// How a database of SQLite begins.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// A regular file or a directory that is open.
pub(crate) struct OpenFile {
    number: c_int,
    path: CString,
    flags: c_int,
    on_exec: c_int,
    offset: i64,
    identity: (libc::dev_t, libc::ino_t),
    /// An earlier one that is the same opening of the same file, so that both have one offset.
    same_as: Option<c_int>,
}

impl OpenFile {
    /// What has to be known of it, or why it cannot be opened again. `others` are those that were looked at before.
    pub(crate) fn look_at(number: c_int, status: &libc::stat, others: &[Self]) -> Result<Self, &'static str> {
        const GONE: &str = "it holds a file that has no name any more";
        if status.st_nlink == 0 {
            return Err(GONE);
        }
        let mut place = [0; 32];
        let mut buffer = [0; PATH_BYTES];
        let length = raw::read_link(own_path(number, &mut place), &mut buffer).map_err(|_errno| GONE)?;
        let path = CString::new(buffer.get(..length).unwrap_or_default()).map_err(|_nul| GONE)?;
        let is_directory = status.st_mode & libc::S_IFMT == libc::S_IFDIR;
        let offset = if is_directory { 0 } else { raw::seek(number, 0, libc::SEEK_CUR).unwrap_or(0) };
        let flags = raw::flags(number, libc::F_GETFL).map_err(|_errno| GONE)?;
        let on_exec = raw::flags(number, libc::F_GETFD).map_err(|_errno| GONE)?;
        let identity = (status.st_dev, status.st_ino);
        let mut this = Self { number, path, flags, on_exec, offset, identity, same_as: None };
        this.check()?;
        this.same_as = others.iter().find(|other| this.is_one_with(other)).map(|other| other.number);
        Ok(this)
    }

    /// Whether a copy could have it.
    fn check(&self) -> Result<(), &'static str> {
        // By the numbers of the processes there, which are others in a copy.
        if self.path.as_bytes().starts_with(b"/proc/") {
            return Err("it holds a file of /proc");
        }
        // Not by opening it: to close that again would give up the locks that the process has on the file.
        let found = raw::path_status(&self.path);
        if found.map(|status| (status.st_dev, status.st_ino)) != Ok(self.identity) {
            return Err("it holds a file whose name is gone or another's by now");
        }
        let wanted = match self.flags & libc::O_ACCMODE {
            libc::O_RDONLY => libc::R_OK,
            libc::O_WRONLY => libc::W_OK,
            _ => libc::R_OK | libc::W_OK,
        };
        if self.flags & libc::O_PATH == 0 && raw::may_access(&self.path, wanted).is_err() {
            return Err("it holds a file that it may not open again");
        }
        // The library writes to no file whose number in its file system has changed.
        let mut start = [0; SQLITE.len()];
        let is_written = self.flags & libc::O_ACCMODE != libc::O_RDONLY;
        if is_written && raw::read_start(self.number, &mut start).is_ok() && start == *SQLITE {
            return Err("it holds a database of SQLite, which a copy could not write to");
        }
        Ok(())
    }

    /// Whether both are one opening: then moving one moves the other.
    fn is_one_with(&self, other: &Self) -> bool {
        let may_be = (self.identity, self.flags, self.offset) == (other.identity, other.flags, other.offset);
        if !may_be || other.same_as.is_some() || raw::seek(other.number, 1, libc::SEEK_CUR).is_err() {
            return false;
        }
        let moved = raw::seek(self.number, 0, libc::SEEK_CUR);
        let back = raw::seek(other.number, other.offset, libc::SEEK_SET);
        back.is_ok() && moved == Ok(other.offset + 1)
    }

    /// In a branch: opens it there, under the same number.
    pub(crate) fn open_again(&self) -> Result<(), raw::Errno> {
        if let Some(other) = self.same_as {
            return raw::place_with(other, self.number, on_exec_flag(self.on_exec));
        }
        let once = libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC;
        let opened = raw::open_existing(&self.path, self.flags & !once | libc::O_CLOEXEC)?;
        if self.offset > 0 {
            raw::seek(opened, self.offset, libc::SEEK_SET)?;
        }
        raw::place_with(opened, self.number, on_exec_flag(self.on_exec))?;
        raw::close(opened);
        Ok(())
    }
}

/// What dup3(2) takes for `F_GETFD` of a descriptor.
pub(crate) const fn on_exec_flag(on_exec: c_int) -> c_int {
    if on_exec & libc::FD_CLOEXEC == 0 { 0 } else { libc::O_CLOEXEC }
}
