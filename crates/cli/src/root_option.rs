//! The option that names the root file system of cages.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rollcage_image::{Ids, Image, UnpackOptions, root_for};
use rollcage_sandbox::{HostConfig, RootTree};
use rollcage_types::IsolationLevel;

use crate::cache_directory::cache_directory;
use crate::failure::Failure;
use crate::output;

/// What programs find at their root.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cages")]
pub(crate) struct RootOption {
    /// What programs find at their root, instead of the host's toolchains and of roots that languages have of their own: a
    /// directory, an OCI image layout, or a tar that `docker save` wrote. Images are unpacked once, and kept
    #[arg(long, value_name = "PATH")]
    root: Option<PathBuf>,
    /// Start the program in a view of this directory: what it changes is its own and gone afterwards, and the directory
    /// stays as it is. Its files must belong to one user and group; at level rootless, to yours
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
}

impl RootOption {
    /// Whether programs find the host's toolchains.
    pub(crate) const fn is_host(&self) -> bool {
        self.root.is_none()
    }

    /// `config` with the root asked for.
    pub(crate) fn apply(&self, config: HostConfig) -> Result<HostConfig, Failure> {
        let config = HostConfig { base: self.workspace.clone(), ..config };
        let Some(path) = &self.root else { return Ok(config) };
        // A mount is made of it by another process, in another directory.
        let path = path
            .canonicalize()
            .with_context(|| format!("cannot use `{}` as a root", path.display()))
            .map_err(Failure::bad_input)?;
        let is_root = rustix::process::geteuid().is_root();
        match config.isolation {
            IsolationLevel::Process => {
                return Err(Failure::usage("level process has no mounts, so programs keep the host's root")
                    .with_hint("leave out --root, or use level full or rootless"));
            }
            IsolationLevel::Rootless if is_root && is_image(&path) => {
                return Err(Failure::usage(
                    "images that root unpacks are root's alone, and level rootless has no root",
                )
                .with_hint("use level full, or run it as an ordinary user"));
            }
            IsolationLevel::Full | IsolationLevel::Rootless => {}
        }
        let tree = if is_image(&path) { unpack(&path, config.isolation)? } else { path };
        Ok(HostConfig { tree: RootTree::Directory(tree), ..config })
    }
}

/// A file is an archive; a directory is an image if it says so, and a root file system otherwise.
fn is_image(path: &Path) -> bool {
    path.is_file() || path.join("oci-layout").exists() || path.join("manifest.json").exists()
}

fn unpack(path: &Path, level: IsolationLevel) -> Result<PathBuf, Failure> {
    let image = Image::open(path).map_err(Failure::bad_input)?;
    let cache = cache_directory()?.join("images");
    // Without privilege everything can only be our own, and a user namespace knows no other ids.
    let is_root = rustix::process::geteuid().is_root();
    let ids = if is_root && level == IsolationLevel::Full { Ids::Keep } else { Ids::Own };
    let cached = root_for(&image, &cache, &UnpackOptions::new(ids)).map_err(Failure::bad_input)?;
    if cached.unpacked.is_some() {
        output::note(&format!("unpacked `{}` to `{}`", path.display(), cached.root.display()));
    }
    Ok(cached.root)
}
