//! Reads files back from a workspace whose owner was hostile.
//!
//! Links are never followed, nothing is opened that could block or is not a regular file, and count, depth and
//! size are bounded. What does not fit is counted, so that a caller knows something is missing.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rollcage_types::{Collect, FileEntry, RelativePath};
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, chmodat, fchmod, fstat, openat2, statat,
};
use rustix::io::Errno;

/// More than any compiler leaves behind; a bomb of small files stops here.
const FILES_MAX: usize = 1024;
/// All files together. They are held in memory.
const BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Directories within directories.
const DEPTH_MAX: usize = 16;
/// Directory entries looked at, whatever they are.
const ENTRIES_MAX: usize = 16 * 1024;

/// How a program is told from another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecuteBit {
    /// By the mode it was given.
    Kept,
    /// By what it is as well: where modes cannot be changed by name, a linker cannot set it.
    Inferred,
}

/// The first bytes of an executable file; see elf(5).
const ELF: &[u8] = b"\x7fELF";

/// What was read, and how many entries were left behind.
#[derive(Debug)]
pub(crate) struct Collected {
    execute_bit: ExecuteBit,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) omitted: u64,
    /// Those of them that are neither files nor directories, where everything was asked for.
    pub(crate) special: u64,
    bytes: u64,
    entries: usize,
}

/// Reads what `collect` asks for below `directory`.
pub(crate) fn collect(
    directory: &OwnedFd,
    collect: &Collect,
    execute_bit: ExecuteBit,
) -> Result<Collected, Errno> {
    let mut collected =
        Collected { execute_bit, files: Vec::new(), omitted: 0, special: 0, bytes: 0, entries: 0 };
    match collect {
        Collect::Nothing => {}
        Collect::Files(paths) => {
            for path in paths {
                collected.take_file(directory, path);
            }
        }
        Collect::Everything => {
            collected.walk(directory, "", 0)?;
            collected.files.sort_by(|a, b| a.path.cmp(&b.path));
        }
    }
    Ok(collected)
}

fn open_beneath(directory: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || openat2(directory, path, flags, Mode::empty(), resolve);
    match open() {
        Err(Errno::ACCESS) => {
            open_up(directory, path)?;
            open()
        }
        other => other,
    }
}

/// The program may have closed its files and directories to itself. To root that is nothing; anyone else who is their
/// owner opens them again. Nobody but us changes anything there any more.
fn open_up(directory: &OwnedFd, path: &str) -> Result<(), Errno> {
    fchmod(directory, Mode::RWXU)?;
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for part in ends.map(|end| &path[..end]) {
        let status = statat(directory, part, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(status.st_mode);
        let mode = if kind == FileType::Directory {
            Mode::RWXU
        } else if kind == FileType::RegularFile {
            Mode::from_raw_mode(status.st_mode) | Mode::RUSR
        } else {
            return Err(Errno::ACCESS);
        };
        chmodat(directory, part, mode, AtFlags::empty())?;
    }
    Ok(())
}

impl Collected {
    fn walk(&mut self, root: &OwnedFd, prefix: &str, depth: usize) -> Result<(), Errno> {
        let path = if prefix.is_empty() { "." } else { prefix };
        let listing = Dir::new(open_beneath(root, path, OFlags::RDONLY | OFlags::DIRECTORY)?)?;
        for entry in listing {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            self.entries += 1;
            let joined = std::str::from_utf8(name)
                .ok()
                .map(|name| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") });
            match (joined, entry.file_type()) {
                _ if self.entries > ENTRIES_MAX => {
                    self.omitted += 1;
                    return Ok(());
                }
                (Some(path), FileType::Directory) if depth < DEPTH_MAX => {
                    self.walk(root, &path, depth + 1)?;
                }
                (Some(path), FileType::RegularFile) => match RelativePath::new(&path) {
                    Ok(path) => self.take_file(root, &path),
                    Err(_) => self.omitted += 1,
                },
                (_, kind) => {
                    self.omitted += 1;
                    let is_special = !matches!(kind, FileType::Directory | FileType::RegularFile);
                    self.special += u64::from(is_special);
                }
            }
        }
        Ok(())
    }

    /// Takes one file if it is there, regular and fits. A file that is not there is not an omission.
    fn take_file(&mut self, root: &OwnedFd, path: &RelativePath) {
        match self.read_file(root, path) {
            Ok(Some(file)) => self.files.push(file),
            Ok(None) => self.omitted += 1,
            Err(Errno::NOENT) => {}
            Err(_) => self.omitted += 1,
        }
    }

    fn read_file(&mut self, root: &OwnedFd, path: &RelativePath) -> Result<Option<FileEntry>, Errno> {
        let file = open_beneath(root, path.as_str(), OFlags::RDONLY)?;
        let status = fstat(&file)?;
        let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let size = status.st_size.cast_unsigned();
        if !regular || self.files.len() >= FILES_MAX || self.bytes.saturating_add(size) > BYTES_MAX {
            return Ok(None);
        }
        // The size is bounded above, and the program that could change it is dead.
        let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut filled = 0;
        while filled < content.len() {
            match rustix::io::read(&file, &mut content[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        content.truncate(filled);
        self.bytes += filled as u64;
        let inferred = self.execute_bit == ExecuteBit::Inferred && content.starts_with(ELF);
        let executable = status.st_mode & 0o100 != 0 || inferred;
        Ok(Some(FileEntry { path: path.clone(), content: Arc::from(content), executable }))
    }
}
