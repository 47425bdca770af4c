//! Making a root: one after the other where two want the same, whole or not at all.

use std::cell::Cell;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollcage_language::RootRecipe;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::apt::{Apt, Archive, archives, fetched_bytes};
use crate::child::Watch;
use crate::error::{BuildError, file};
use crate::machine::machine;
use crate::roots::{Roots, is_trusted, recipe_hash, root_name};
use crate::{mirror, tree};

/// How soon it is noticed that another build is done.
const LOCK_TICK: Duration = Duration::from_millis(200);

/// How a root is made.
#[derive(Clone, Copy)]
pub struct BuildOptions<'a> {
    /// The mirror to fetch from; the host's own if `None`.
    pub mirror: Option<&'a str>,
    /// Asked ten times a second; if it says so, the build ends.
    pub is_cancelled: &'a dyn Fn() -> bool,
    /// Told what is being done.
    pub progress: &'a dyn Fn(Progress<'_>),
}

/// What a build is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Another process is making the same root.
    Waiting,
    /// The suite's index is fetched.
    Resolving {
        /// Where from.
        mirror: &'a str,
    },
    /// Packages are fetched. Told again and again.
    Fetching {
        /// How many there are.
        packages: usize,
        /// Bytes that are here.
        bytes: u64,
        /// Bytes there are.
        bytes_total: u64,
    },
    /// A package is unpacked.
    Unpacking {
        /// Those unpacked before it.
        done: usize,
        /// How many there are.
        packages: usize,
    },
    /// The loader's cache could not be written, and its default directories have to do.
    NoLibraryCache,
}

/// A root that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The root file system.
    pub root: PathBuf,
    /// The archives it was made of, each named by package, version and architecture.
    pub packages: Vec<String>,
    /// Whether it was there before.
    pub was_there: bool,
}

/// What children are watched with.
struct Watcher<'a> {
    options: &'a BuildOptions<'a>,
    apt: &'a Path,
    /// Packages and bytes being fetched.
    fetching: Cell<Option<(usize, u64)>>,
}

impl Watch for Watcher<'_> {
    fn is_cancelled(&self) -> bool {
        (self.options.is_cancelled)()
    }

    fn tick(&self) {
        if let Some((packages, bytes_total)) = self.fetching.get() {
            let bytes = fetched_bytes(self.apt).min(bytes_total);
            (self.options.progress)(Progress::Fetching { packages, bytes, bytes_total });
        }
    }
}

/// Makes the root that `recipe` describes, unless it is there. A second process that wants the same waits until the
/// first is done, has failed or is dead.
pub fn build(roots: &Roots, recipe: &RootRecipe, options: &BuildOptions<'_>) -> Result<Built, BuildError> {
    if let Some(built) = existing(roots, recipe)? {
        return Ok(built);
    }
    let mirror = options.mirror.map(mirror::named).transpose()?;
    prepare(roots.own())?;
    let work = roots.own().join("work").join(recipe_hash(recipe));
    let lock = lock(&work.with_extension("lock"), options)?;
    // Made while we waited.
    if let Some(built) = existing(roots, recipe)? {
        return Ok(built);
    }
    let result = make(roots, recipe, mirror, &work, options);
    // What is unpacked is worthless unless it is whole; archives spare the next attempt the fetching.
    let is_useless = result.is_ok() || fetched_bytes(&work.join("apt")) == 0;
    let removed = tree::remove(&if is_useless { work } else { work.join("new") });
    drop(lock);
    let built = result?;
    removed.map(|()| built)
}

fn existing(roots: &Roots, recipe: &RootRecipe) -> Result<Option<Built>, BuildError> {
    let Some(root) = roots.find(recipe) else { return Ok(None) };
    let list = root.with_file_name("packages");
    let packages = fs::read_to_string(&list).map_err(file("read", &list))?;
    Ok(Some(Built { root, packages: packages.lines().map(str::to_owned).collect(), was_there: true }))
}

fn make(
    roots: &Roots,
    recipe: &RootRecipe,
    mirror: Option<String>,
    work: &Path,
    options: &BuildOptions<'_>,
) -> Result<Built, BuildError> {
    let machine = machine().ok_or(BuildError::Machine)?;
    let (apt_directory, new) = (work.join("apt"), work.join("new"));
    tree::remove(&new)?;
    fs::create_dir_all(&apt_directory).map_err(file("create", &apt_directory))?;
    let watch = Watcher { options, apt: &apt_directory, fetching: Cell::new(None) };
    let mirror = match mirror {
        Some(mirror) => mirror,
        None => mirror::of_host(&apt_directory, &watch)?,
    };
    let apt = Apt::new(&apt_directory, recipe, &mirror, machine, &watch)?;
    (options.progress)(Progress::Resolving { mirror: &mirror });
    let archives = apt.resolve()?;
    let name = root_name(recipe, archives.iter().map(|archive| archive.name.as_str()));
    let complete = roots.own().join(&name);
    if !complete.exists() {
        let bytes = archives.iter().map(|archive| archive.bytes).sum();
        watch.fetching.set(Some((archives.len(), bytes)));
        apt.fetch()?;
        watch.fetching.set(None);
        assemble(recipe, &archives, &apt_directory, &new, &watch)?;
        settle(roots.own(), &new, &complete)?;
    }
    point(roots.own(), &recipe_hash(recipe), &name)?;
    let packages = archives.into_iter().map(|archive| archive.name).collect();
    Ok(Built { root: complete.join("root"), packages, was_there: false })
}

/// Unpacks and fixes everything below `new`.
fn assemble(
    recipe: &RootRecipe,
    list: &[Archive],
    apt: &Path,
    new: &Path,
    watch: &Watcher<'_>,
) -> Result<(), BuildError> {
    let machine = machine().ok_or(BuildError::Machine)?;
    let root = new.join("root");
    tree::begin(&root)?;
    for (done, archive) in list.iter().enumerate() {
        (watch.options.progress)(Progress::Unpacking { done, packages: list.len() });
        tree::unpack(&archives(apt).join(&archive.name), &root, apt, watch)?;
    }
    for fixup in &recipe.fixups {
        tree::fix(&root, fixup, machine)?;
    }
    if !tree::cache_libraries(&root, apt, watch)? {
        (watch.options.progress)(Progress::NoLibraryCache);
    }
    let path = new.join("packages");
    let text: String = list.iter().map(|archive| format!("{}\n", archive.name)).collect();
    fs::write(&path, text).map_err(file("write", &path))
}

/// Puts everything on disk, and only then gives it the name under which it is used.
fn settle(own: &Path, new: &Path, complete: &Path) -> Result<(), BuildError> {
    let directory = File::open(new).map_err(file("open", new))?;
    // Thousands of files at once: the whole file system is quicker than each of them.
    rustix::fs::syncfs(&directory).map_err(|errno| file("sync", new)(errno.into()))?;
    fs::rename(new, complete).map_err(file("rename", new))?;
    File::open(own).and_then(|directory| directory.sync_all()).map_err(file("sync", own))
}

/// Makes a recipe lead to the root of this name, by one rename.
fn point(own: &Path, hash: &str, name: &str) -> Result<(), BuildError> {
    let link = own.join("recipes").join(hash);
    let fresh = link.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(file("remove", &fresh)(error));
        }
        Ok(()) | Err(_) => {}
    }
    symlink(Path::new("..").join(name), &fresh).map_err(file("create", &fresh))?;
    fs::rename(&fresh, &link).map_err(file("rename", &fresh))
}

/// Makes the directories of roots, readable by all: apt fetches as a user of its own, and at level rootless programs are
/// not root's.
fn prepare(own: &Path) -> Result<(), BuildError> {
    for path in [own.to_owned(), own.join("recipes"), own.join("work")] {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).map_err(file("create", &path))?;
        if !is_trusted(&path) {
            return Err(BuildError::NotPrivate { path });
        }
    }
    Ok(())
}

/// Waits for the lock. Its file stays: were it removed, two processes could each hold a file of that name. Children
/// inherit it, so that a package manager that outlives us is waited for.
fn lock(path: &Path, options: &BuildOptions<'_>) -> Result<OwnedFd, BuildError> {
    let failed = |errno: Errno| file("lock", path)(errno.into());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    let mut is_told = false;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
        if (options.is_cancelled)() {
            return Err(BuildError::Cancelled);
        }
        if !is_told {
            (options.progress)(Progress::Waiting);
            is_told = true;
        }
        std::thread::sleep(LOCK_TICK);
    }
}
