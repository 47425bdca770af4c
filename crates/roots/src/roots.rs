//! Where languages' roots lie, and which of them are whole.
//!
//! ```text
//! NAME/root          a root file system; whole, because NAME came by one rename after everything was on disk
//! NAME/packages      what it was made of, one archive a line
//! recipes/HASH       a link to the NAME that a recipe came to
//! work/HASH/         being made, or left by a process that died
//! work/HASH.lock     held while the above is touched; the kernel lets go when the holder dies
//! ```
//!
//! NAME says what is in it: it ends in a hash of the recipe and of each archive with its version.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rollcage_language::RootRecipe;

use crate::machine::machine;

/// Where root keeps them. Everybody may read them: they hold nothing but public packages.
const OF_ROOT: &str = "/var/cache/rollcage/roots";

/// Names the directory instead.
const VARIABLE: &str = "ROLLCAGE_ROOTS";

/// Part of each hash. To be raised when the same recipe would be made differently.
const FORMAT: u32 = 1;

/// Hexadecimal digits of a hash in a name: 64 bits, more than enough for what one host holds.
const HASH_DIGITS: usize = 16;

/// The directories languages' roots lie in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// Where new ones are made.
    own: PathBuf,
    /// Where else they are looked for.
    shared: Option<PathBuf>,
}

impl Roots {
    /// Those of this user: what the variable `ROLLCAGE_ROOTS` names; else for root `/var/cache/rollcage/roots`, and for
    /// others `rollcage/roots` below `XDG_CACHE_HOME` or `~/.cache`, with root's as a second place to look.
    pub fn of_user() -> Self {
        if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
            return Self::at(PathBuf::from(named));
        }
        if rustix::process::geteuid().is_root() {
            return Self::at(PathBuf::from(OF_ROOT));
        }
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let of_home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        match cache.or_else(of_home) {
            Some(cache) => Self { own: cache.join("rollcage/roots"), shared: Some(PathBuf::from(OF_ROOT)) },
            // Without a home there is nowhere to make one, but root's can be used.
            None => Self::at(PathBuf::from(OF_ROOT)),
        }
    }

    /// Those in this directory alone.
    pub fn at(directory: PathBuf) -> Self {
        // A process without a working directory keeps the name it was given.
        Self { own: std::path::absolute(&directory).unwrap_or(directory), shared: None }
    }

    /// The root file system that `recipe` came to, if it has been made. To be mounted, never to be read by paths of the
    /// host: its links lead anywhere.
    pub fn find(&self, recipe: &RootRecipe) -> Option<PathBuf> {
        let link = Path::new("recipes").join(recipe_hash(recipe));
        [Some(&self.own), self.shared.as_ref()].into_iter().flatten().find_map(|directory| {
            let root = directory.join(&link).canonicalize().ok()?.join("root");
            (is_trusted(directory) && root.is_dir()).then_some(root)
        })
    }

    /// Where new ones are made.
    pub(crate) fn own(&self) -> &Path {
        &self.own
    }
}

/// Only the user and root may change what is in it.
pub(crate) fn is_trusted(directory: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    fs::metadata(directory).is_ok_and(|metadata| {
        (metadata.uid() == user || metadata.uid() == 0) && metadata.is_dir() && metadata.mode() & 0o022 == 0
    })
}

/// What a recipe is known by before anything is resolved.
pub(crate) fn recipe_hash(recipe: &RootRecipe) -> String {
    let architecture = machine().map_or("unknown", |machine| machine.architecture);
    hash(&format!("{FORMAT} {architecture} {recipe:?}"))
}

/// What a root is called: by its first package and its suite for people, and by all that it is made of.
pub(crate) fn root_name<'a>(recipe: &RootRecipe, archives: impl Iterator<Item = &'a str>) -> String {
    let mut archives: Vec<_> = archives.collect();
    archives.sort_unstable();
    let all = hash(&format!("{} {}", recipe_hash(recipe), archives.join(" ")));
    let first = recipe.packages.first().map_or("root", String::as_str);
    format!("{first}-{}-{all}", recipe.suite)
}

fn hash(text: &str) -> String {
    let mut digits = blake3::hash(text.as_bytes()).to_hex().to_string();
    digits.truncate(HASH_DIGITS);
    digits
}
