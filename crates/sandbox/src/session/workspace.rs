//! The files of a session, from outside.

use rollcage_sys::identity::FileUser;
use rollcage_types::{ByteSize, FileEntry, RelativePath};
use rustix::fs::{AtFlags, stat, statat};
use rustix::io::Errno;

use crate::error::SandboxError;
use crate::furnish::system;
use crate::session::cage::{SessionCage, group};
use crate::session::files::{self, AllFiles, ListedFile, SessionFileError};
use crate::session::written;

impl SessionCage {
    /// Writes a file of the workspace.
    pub fn put_file(&self, file: &FileEntry) -> Result<(), SessionFileError> {
        let _user = self.file_user.map(FileUser::become_user);
        files::put(&self.directory, file, self.file_owner)?;
        let counted = self.written.add(file.content.len() as u64, &self.directory);
        counted.map_err(|errno| SessionFileError::List(errno.into()))
    }

    /// Bytes that its files take, `/tmp` included where that is in the same file system.
    pub fn workspace_used(&self) -> Result<ByteSize, SandboxError> {
        written::used(&self.directory).map(ByteSize::bytes).map_err(system("look at a workspace"))
    }

    /// Whether any of its processes has this file of the workspace open.
    pub fn has_open(&self, path: &RelativePath) -> Result<bool, SandboxError> {
        let looked = system("look at a session's files");
        let file = match statat(&self.directory, path.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => (status.st_dev, status.st_ino),
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(looked(errno)),
        };
        for process in self.group.processes_now().map_err(group)? {
            // One that has ended meanwhile has nothing open.
            let Ok(listed) = std::fs::read_dir(format!("/proc/{process}/fd")) else { continue };
            for entry in listed.flatten() {
                let status = stat(entry.path());
                if status.is_ok_and(|status| (status.st_dev, status.st_ino) == file) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Reads a file of the workspace.
    pub fn get_file(&self, path: &RelativePath) -> Result<FileEntry, SessionFileError> {
        let _user = self.file_user.map(FileUser::become_user);
        files::get(&self.directory, path)
    }

    /// Removes a file of the workspace, if it is there.
    pub fn remove_file(&self, path: &RelativePath) -> Result<(), SessionFileError> {
        let _user = self.file_user.map(FileUser::become_user);
        files::remove(&self.directory, path)
    }

    /// Reads all regular files of the workspace, within the bounds of [`rollcage_types::Collect::Everything`].
    pub fn all_files(&self) -> Result<AllFiles, SessionFileError> {
        let _user = self.file_user.map(FileUser::become_user);
        files::all(&self.directory)
    }

    /// Lists the files of the workspace.
    pub fn list_files(&self) -> Result<Vec<ListedFile>, SessionFileError> {
        let _user = self.file_user.map(FileUser::become_user);
        files::list(&self.directory)
    }
}
