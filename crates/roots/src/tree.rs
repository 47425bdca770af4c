//! From packages' archives to a root file system.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rollcage_language::{Fixup, FixupChange};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::child::{self, Watch};
use crate::error::{BuildError, file};
use crate::machine::Machine;

/// Directories that are links into `/usr`. Made before anything is unpacked: packages from before the merge have files
/// below the names on the left, and later ones below those on the right.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Where a cage puts directories of its own.
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "sys", "run", "tmp"];

/// Makes `root` with the directories that packages expect.
pub(crate) fn begin(root: &Path) -> Result<(), BuildError> {
    let directory = |path: &Path| {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(path).map_err(file("create", path))
    };
    for name in MOUNT_POINTS {
        directory(&root.join(name))?;
    }
    for name in MERGED {
        directory(&root.join("usr").join(name))?;
        let link = root.join(name);
        symlink(Path::new("usr").join(name), &link).map_err(file("create", &link))?;
    }
    Ok(())
}

/// Unpacks one archive into `root`, which keeps links that lead to directories. Everything belongs to the caller, and
/// nothing runs as somebody else.
pub(crate) fn unpack(
    archive: &Path,
    root: &Path,
    scratch: &Path,
    watch: &dyn Watch,
) -> Result<(), BuildError> {
    let name = || archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let run = |source| BuildError::Run { program: "dpkg-deb", source };
    let mut reader = Command::new("dpkg-deb");
    reader
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut reader = reader.process_group(0).spawn().map_err(run)?;
    let content = reader.stdout.take().map(Stdio::from).unwrap_or_else(Stdio::null);
    let mut writer = Command::new("tar");
    writer.args(["--extract", "--keep-directory-symlink", "--no-same-owner", "--no-same-permissions"]);
    writer.arg("--directory").arg(root);
    let written = child::run_from("tar", writer, content, scratch, watch);
    // Without its reader it ends by itself.
    let read = reader.wait().map_err(run)?;
    let written = written?;
    if !written.status.success() {
        return Err(BuildError::Unpack { archive: name(), why: written.complaint() });
    }
    if !read.success() {
        return Err(BuildError::Unpack { archive: name(), why: format!("dpkg-deb ended with {read}") });
    }
    Ok(())
}

/// Changes one file of `root` as `fixup` says.
pub(crate) fn fix(root: &Path, fixup: &Fixup, machine: Machine) -> Result<(), BuildError> {
    let path = fixup.path.replace("{triplet}", machine.triplet);
    let failed = |why: String| BuildError::Fixup { path: path.clone(), why };
    let io_failed = |error: io::Error| failed(error.to_string());
    let place = place(root, &path).map_err(io_failed)?;
    match &fixup.change {
        FixupChange::Link(to) => {
            remove_if_there(&place).map_err(io_failed)?;
            symlink(to.replace("{triplet}", machine.triplet), &place).map_err(io_failed)
        }
        FixupChange::Content(content) => {
            remove_if_there(&place).map_err(io_failed)?;
            fs::write(&place, content).map_err(io_failed)
        }
        FixupChange::Replace { text, with } => {
            if !fs::symlink_metadata(&place).map_err(io_failed)?.is_file() {
                return Err(failed("it is not a plain file".to_owned()));
            }
            let mut content = fs::read(&place).map_err(io_failed)?;
            match replace(&mut content, text.as_bytes(), with.as_bytes()) {
                0 => Err(failed(format!("it does not hold `{text}`"))),
                _ => fs::write(&place, content).map_err(io_failed),
            }
        }
    }
}

/// Writes the loader's cache with the host's own `ldconfig`. Whether that worked: a user who is not root needs a
/// namespace for it, and does without where there are none. What lies in a library directory of the system is found
/// without a cache.
pub(crate) fn cache_libraries(root: &Path, scratch: &Path, watch: &dyn Watch) -> Result<bool, BuildError> {
    const LDCONFIG: &str = "/sbin/ldconfig";
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(LDCONFIG)
    } else {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", LDCONFIG]);
        command
    };
    command.arg("-r").arg(root);
    match child::run("ldconfig", command, scratch, watch) {
        Ok(ended) => Ok(ended.status.success()),
        Err(BuildError::HostLacks { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes a directory and all in it, whatever modes its directories came with.
pub(crate) fn remove(path: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path).and_then(|()| fs::remove_dir_all(path)).map_err(file("remove", path))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn make_writable(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

/// The path on the host of a file below `root`, where links on the way lead as they would with `root` as the root. Its
/// directory is made if it is missing.
fn place(root: &Path, path: &str) -> io::Result<PathBuf> {
    let path = Path::new(path.trim_start_matches('/'));
    let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let base = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let open = || rustix::fs::openat2(&base, parent, flags, Mode::empty(), ResolveFlags::IN_ROOT);
    let directory = match open() {
        Err(rustix::io::Errno::NOENT) => {
            fs::create_dir_all(root.join(parent))?;
            open()?
        }
        opened => opened?,
    };
    use std::os::fd::AsRawFd as _;
    let opened = fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
    Ok(opened.join(name))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Replaces each occurrence of `text` by `with`, of the same length; how many there were.
fn replace(content: &mut [u8], text: &[u8], with: &[u8]) -> usize {
    let (mut count, mut from) = (0, 0);
    while let Some(at) = content[from..].windows(text.len()).position(|window| window == text) {
        let start = from + at;
        content[start..start + with.len()].copy_from_slice(with);
        (count, from) = (count + 1, start + with.len());
    }
    count
}
