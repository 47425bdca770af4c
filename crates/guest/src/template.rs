//! The read-only view of the host that every cage starts from.
//!
//! Built once, in the launcher's own mount namespace, and copied by the kernel for each cage: a dozen mounts
//! are cheaper to copy than a host's. The host's own tree is detached at the end, so that no path leads to it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rollcage_sys::mount as attributes;
use rollcage_types::IsolationLevel;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, OpenTreeFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, unmount,
};
use rustix::process::{chdir, pivot_root};

use crate::base;
use crate::host_files::{HOST_TREES, is_wanted_in_etc};
use crate::protocol::Order;
use crate::{PREPARED_PATH, SPARE_LIBRARY_PATH};

/// Devices a program may open: name, major, minor. See Documentation/admin-guide/devices.txt.
const DEVICES: [(&str, u32, u32); 5] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)];

/// Links every program expects below `/dev`; shared memory lives in the cage's own `/tmp`.
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("shm", "/ws/tmp"),
];

/// What a cage has of its own, whatever its root tree has under these names.
const OWN: [&str; 6] = ["dev", "proc", "sys", "run", "tmp", "ws"];

/// The template itself holds only directories, links and copies of small files from `/etc`.
const TEMPLATE_OPTIONS: &std::ffi::CStr = c"mode=0755,size=16m";

/// Where the template could not be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`")]
pub(crate) struct TemplateError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn at<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> TemplateError {
    move |source| TemplateError { action, path: path.to_owned(), source: source.into() }
}

/// What a template is made of.
#[derive(Debug)]
pub(crate) struct Template<'a> {
    pub(crate) level: IsolationLevel,
    /// The empty directory that it is built on.
    pub(crate) root: &'a Path,
    pub(crate) order: &'a Order,
    /// They get a name in `/etc/passwd`.
    pub(crate) uids: &'a [u32],
    /// What programs find at [`SPARE_LIBRARY_PATH`].
    pub(crate) library: Option<BorrowedFd<'a>>,
}

impl Template<'_> {
    /// Replaces the calling process's root by the template. The process must be alone in its mount namespace.
    pub(crate) fn enter(&self) -> Result<(), TemplateError> {
        let (root, host) = (self.root, Path::new("/"));
        // First of all: nothing mounted from here on may propagate to the host.
        mount_change(host, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .map_err(at("make private", host))?;
        // Device nodes work here, and only here; nobody but us ever writes to this file system.
        mount("tmpfs", root, "tmpfs", MountFlags::NOSUID, TEMPLATE_OPTIONS)
            .map_err(at("mount a tmpfs on", root))?;
        let server = self.order.fork_server.as_ref();
        let owner = server.and_then(|server| server.uids).map(|uids| uids.root);
        let shown = Shown::to(owner).map_err(at("map the owner of", host))?;
        match &self.order.tree {
            None => {
                for name in HOST_TREES {
                    shown.show(&Path::new("/").join(name), &root.join(name))?;
                }
                configuration(&root.join("etc"), self.uids)?;
                directory(&root.join("var"), 0o755)?;
                link("/ws/tmp", &root.join("var/tmp"))?;
            }
            Some(tree) => every_entry(&shown, tree, root)?,
        }
        devices(self.level, &root.join("dev"))?;
        for name in ["proc", "ws", "ws/work", "ws/tmp", "run"] {
            directory(&root.join(name), 0o755)?;
        }
        link("/ws/tmp", &root.join("tmp"))?;
        if let Some(base) = &self.order.base {
            show_base(self.level, root, base, self.uids)?;
        }
        if let Some(library) = self.library {
            let to = root.join(SPARE_LIBRARY_PATH.trim_start_matches('/'));
            let from = format!("/proc/self/fd/{}", library.as_raw_fd());
            fs::copy(from, &to).map_err(at("copy the library to", &to))?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).map_err(at("open up", &to))?;
        }
        for name in server.iter().flat_map(|server| &server.files) {
            let file = root.join("ws/work").join(name);
            fs::write(&file, "").map_err(at("create", &file))?;
        }
        if let Some(owner) = owner {
            std::os::unix::fs::lchown(root, Some(owner), Some(owner)).map_err(at("give away", root))?;
            for own in ["etc", "var", "dev", "ws", "run"] {
                give_to(owner, &root.join(own))?;
            }
        }

        // Compilers do without what the launcher's user may not reach.
        if let Some(prepared) = self.order.prepared.as_ref().filter(|prepared| prepared.is_dir()) {
            shown.show(prepared, &root.join(PREPARED_PATH.trim_start_matches('/')))?;
        }
        // Recursively, because a read-only rebind of the top mount leaves those below it writable.
        let path = c_path(root);
        attributes::set_attributes_recursively(CWD, &path, attributes::READ_ONLY)
            .map_err(at("make read-only", root))?;
        if self.level == IsolationLevel::Rootless || server.is_some() {
            // In a user namespace a proc can be mounted only where another one can be seen whole. Cages mount theirs over
            // it. After the above, because a mount may not have fewer restrictions than the one that is seen.
            let proc = root.join("proc");
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mount("proc", &proc, "proc", flags, None).map_err(at("mount a proc on", &proc))?;
        }
        // With `.` for both, the old root ends up mounted over the new one and is then detached: no directory has
        // to be set aside for it.
        chdir(root).map_err(at("enter", root))?;
        pivot_root(".", ".").map_err(at("pivot to", root))?;
        unmount(".", UnmountFlags::DETACH).map_err(at("detach the host below", root))?;
        chdir(host).map_err(at("enter", host))
    }
}

/// Shows the directory that workspaces start from, at level full once for each slot.
fn show_base(level: IsolationLevel, root: &Path, base: &Path, uids: &[u32]) -> Result<(), TemplateError> {
    let shown = root.join(base::SHOWN_AT);
    directory(&shown, 0o755)?;
    directory(&root.join("ws/layer"), 0o755)?;
    if level == IsolationLevel::Rootless {
        let only = shown.join("only");
        directory(&only, 0o755)?;
        return base::show(base, &only).map_err(at("show workspaces", base));
    }
    for (slot, uid) in uids.iter().enumerate() {
        let own = shown.join(slot.to_string());
        directory(&own, 0o755)?;
        base::show_as(base, &own, *uid).map_err(at("show workspaces, as their user's,", base))?;
    }
    Ok(())
}

/// Shows every entry of the directory `tree` below `root`.
fn every_entry(shown: &Shown, tree: &Path, root: &Path) -> Result<(), TemplateError> {
    for entry in fs::read_dir(tree).map_err(at("list", tree))? {
        let name = entry.map_err(at("list", tree))?.file_name();
        if !OWN.iter().any(|own| name == *own) {
            shown.show(&tree.join(&name), &root.join(&name))?;
        }
    }
    Ok(())
}

/// How files of the host are shown.
#[derive(Debug)]
struct Shown {
    /// Where programs are in a user namespace that does not have the host's root: in its place, whoever is root there.
    owner: Option<OwnedFd>,
}

impl Shown {
    /// With root's files as those of `owner`.
    fn to(owner: Option<u32>) -> io::Result<Self> {
        let root_to = |uid| base::namespace_that_maps([(0, "uid_map"), (0, "gid_map")], uid);
        Ok(Self { owner: owner.map(root_to).transpose()? })
    }

    /// Shows a tree, a file or a link of the host at `target`, confined; one that is not there is left out.
    fn show(&self, source: &Path, target: &Path) -> Result<(), TemplateError> {
        let metadata = match fs::symlink_metadata(source) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata.map_err(at("look at", source))?,
        };
        if metadata.is_symlink() {
            // Made anew, so that it leads where it leads inside.
            let to = fs::read_link(source).map_err(at("read the link", source))?;
            return link(to, target);
        }
        if metadata.is_dir() {
            directory(target, 0o755)?;
        } else if metadata.is_file() {
            fs::write(target, "").map_err(at("create", target))?;
        } else {
            return Ok(());
        }
        // Not every file system can map ids. Without, root's files are shown as nobody's, which takes no right away.
        let all = OpenTreeFlags::AT_RECURSIVE;
        let map = |owner| base::show_mapped(source, target, owner, all).is_ok();
        if !self.owner.as_ref().is_some_and(map) {
            mount_bind_recursive(source, target).map_err(at("bind", source))?;
        }
        let confined = attributes::READ_ONLY | attributes::NO_SUID | attributes::NO_DEV;
        attributes::set_attributes_recursively(CWD, &c_path(target), confined)
            .map_err(at("confine the bind of", source))
    }
}

/// Makes `owner` the owner of what the template itself holds at `path` and below.
fn give_to(owner: u32, path: &Path) -> Result<(), TemplateError> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata.map_err(at("look at", path))?,
    };
    std::os::unix::fs::lchown(path, Some(owner), Some(owner)).map_err(at("give away", path))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(at("list", path))? {
            give_to(owner, &entry.map_err(at("list", path))?.path())?;
        }
    }
    Ok(())
}

fn devices(level: IsolationLevel, dev: &Path) -> Result<(), TemplateError> {
    directory(dev, 0o755)?;
    for (name, major, minor) in DEVICES {
        let node = dev.join(name);
        if level == IsolationLevel::Rootless {
            // No device nodes can be made in a user namespace, but the host's can be bound.
            let host_node = Path::new("/dev").join(name);
            fs::write(&node, "").map_err(at("create", &node))?;
            mount_bind(&host_node, &node).map_err(at("bind", &host_node))?;
            continue;
        }
        mknodat(CWD, &node, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor))
            .map_err(at("create the device", &node))?;
        fs::set_permissions(&node, fs::Permissions::from_mode(0o666)).map_err(at("open up", &node))?;
    }
    DEVICE_LINKS.iter().try_for_each(|(name, to)| link(to, &dev.join(name)))
}

fn configuration(etc: &Path, uids: &[u32]) -> Result<(), TemplateError> {
    directory(etc, 0o755)?;
    let mut passwd = String::from("root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n");
    let mut group = String::from("root:x:0:\n");
    for uid in uids {
        passwd.push_str(&format!("sandbox:x:{uid}:{uid}:sandbox:/tmp:/bin/sh\n"));
        group.push_str(&format!("sandbox:x:{uid}:\n"));
    }
    for (name, text) in [
        ("passwd", passwd.as_str()),
        ("group", &group),
        ("hosts", "127.0.0.1 localhost cage\n::1 localhost\n"),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
        // Whoever has an allow-list is answered there.
        ("resolv.conf", "nameserver 127.0.0.1\n"),
        ("hostname", "cage\n"),
    ] {
        let path = etc.join(name);
        fs::write(&path, text).map_err(at("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(at("open up", &path))?;
    }
    let host_etc = Path::new("/etc");
    for entry in fs::read_dir(host_etc).map_err(at("list", host_etc))? {
        let name = entry.map_err(at("list", host_etc))?.file_name();
        if is_wanted_in_etc(&name.to_string_lossy()) {
            copy_tree(&host_etc.join(&name), &etc.join(&name))?;
        }
    }
    Ok(())
}

/// Copies what everyone may read; links stay links.
fn copy_tree(from: &Path, to: &Path) -> Result<(), TemplateError> {
    let metadata = fs::symlink_metadata(from).map_err(at("look at", from))?;
    if metadata.is_symlink() {
        return link(fs::read_link(from).map_err(at("read the link", from))?, to);
    }
    // What the host keeps from ordinary users is kept from cages too.
    if metadata.permissions().mode() & 0o004 == 0 {
        return Ok(());
    }
    if metadata.is_dir() {
        directory(to, 0o755)?;
        for entry in fs::read_dir(from).map_err(at("list", from))? {
            let name = entry.map_err(at("list", from))?.file_name();
            copy_tree(&from.join(&name), &to.join(&name))?;
        }
    } else if metadata.is_file() {
        fs::copy(from, to).map_err(at("copy", from))?;
    }
    Ok(())
}

fn directory(path: &Path, mode: u32) -> Result<(), TemplateError> {
    fs::DirBuilder::new().mode(mode).create(path).map_err(at("create", path))
}

fn link(to: impl AsRef<Path>, path: &Path) -> Result<(), TemplateError> {
    symlink(to, path).map_err(at("link", path))
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("paths from the file system contain no NUL")
}
