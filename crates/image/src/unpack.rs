//! Layers applied in order to a new directory: all of them, or nothing.

use std::io;
use std::path::Path;

use crate::apply;
use crate::error::{ImageError, LayerError};
use crate::image::{Image, LayerSource};
use crate::layer::{Budget, Layer};
use crate::names;
use crate::tarball::Entries;
use crate::tree::Tree;
use crate::walk::{Directory, WORKING_MODE};

/// Whose the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ids {
    /// The image's users and groups. Needs root.
    Keep,
    /// The caller's.
    Own,
}

/// How much an image may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Layers.
    pub layers: usize,
    /// Entries of all layers together, and directories that none of them describes.
    pub entries: u64,
    /// Bytes of all layers' content together, headers and hidden files counted.
    pub bytes: u64,
}

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub struct UnpackOptions {
    /// Whose the files are.
    pub ids: Ids,
    /// How much the image may be.
    pub bounds: Bounds,
}

/// What was unpacked, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnpackReport {
    /// Layers applied.
    pub layers: usize,
    /// Entries of all kinds.
    pub entries: u64,
    /// Files made, counting those that later layers hide.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Directories made or described anew.
    pub directories: u64,
    /// Symbolic links made.
    pub symlinks: u64,
    /// Hard links made.
    pub hard_links: u64,
    /// Whiteouts, opaque ones too.
    pub whiteouts: u64,
    /// Device nodes that were not made.
    pub devices_left_out: u64,
    /// FIFOs that were not made.
    pub fifos_left_out: u64,
    /// Files and directories that lost a set-user-id or set-group-id bit.
    pub set_ids_dropped: u64,
    /// Entries that some file system left for itself.
    pub ignored: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // Docker stops at 127.
            layers: 256,
            // The largest images for machine learning have half a million.
            entries: 2_000_000,
            // Those have 20 to 30 GB.
            bytes: 64 << 30,
        }
    }
}

impl UnpackOptions {
    /// With the bounds that hold for images in use.
    pub fn new(ids: Ids) -> Self {
        Self { ids, bounds: Bounds::default() }
    }
}

pub(crate) fn unpack(
    image: &Image,
    directory: &Path,
    options: &UnpackOptions,
) -> Result<UnpackReport, ImageError> {
    let failed = |source| ImageError::Directory { path: directory.to_owned(), source };
    let (found, allowed) = (image.layers().len(), options.bounds.layers);
    if found > allowed {
        return Err(ImageError::Layers { found, allowed });
    }
    rustix::fs::mkdir(directory, WORKING_MODE).map_err(|errno| failed(errno.into()))?;
    let opened = Directory::open(directory).and_then(|root| {
        // A set-group-id bit inherited from above would be inherited by everything below.
        rustix::fs::fchmod(&root, WORKING_MODE)?;
        Ok(root)
    });
    let unpacked = opened.map_err(failed).and_then(|root| fill(image, root, options, &failed));
    if unpacked.is_err()
        && let Err(error) = remove(directory)
    {
        // The cause matters more; whoever looks will find what is left.
        tracing::warn!(directory = %directory.display(), %error, "an unfinished root directory could not be removed");
    }
    unpacked
}

/// Removes a directory with all that is in it, whatever the modes within.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    let opened = match Directory::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            rustix::fs::chmod(directory, WORKING_MODE)?;
            Directory::open(directory)
        }
        other => other,
    };
    opened?.clear()?;
    Ok(rustix::fs::rmdir(directory)?)
}

fn fill(
    image: &Image,
    root: Directory,
    options: &UnpackOptions,
    failed: &impl Fn(io::Error) -> ImageError,
) -> Result<UnpackReport, ImageError> {
    let mut tree = Tree::new(root, apply::implied(options.ids));
    let mut report = UnpackReport::default();
    let mut used = 0;
    for layer in image.layers() {
        let budget = Budget { allowed: options.bounds.bytes, used };
        let applied = apply_layer(image, layer, budget, options, &mut tree, &mut report);
        used +=
            applied.map_err(|source| ImageError::Layer { layer: layer.diff_id, source: Box::new(source) })?;
        report.layers += 1;
    }
    tree.finish().map_err(failed)?;
    Ok(report)
}

/// Applies one layer. Returns how much content it has.
fn apply_layer(
    image: &Image,
    source: &LayerSource,
    budget: Budget,
    options: &UnpackOptions,
    tree: &mut Tree,
    report: &mut UnpackReport,
) -> Result<u64, LayerError> {
    let layer = Layer::new(image.open_layer(source)?, budget)?;
    let mut entries = Entries::new(layer);
    tree.begin_layer();
    while let Some(entry) = entries.next()? {
        report.entries += 1;
        apply::apply(tree, options.ids, &entry, &mut entries, report)
            .map_err(|source| LayerError::Entry { entry: names::shown(&entry.path), source })?;
        if report.entries + tree.implied_count() > options.bounds.entries {
            return Err(LayerError::Entries { allowed: options.bounds.entries });
        }
    }
    Ok(entries.into_source().finish(source.promise, source.diff_id)?)
}
