//! What can go wrong between an image and a root directory.

use std::io;
use std::path::PathBuf;

use crate::blobs::BlobError;
use crate::digest::Digest;
use crate::layer::ContentError;
use crate::manifest::DocumentError;
use crate::names::NameError;
use crate::platform::Platform;
use crate::tarball::TarError;

/// Why an image could not be opened or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The path cannot be opened.
    #[error("opening the image {}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// What is at the path is no image.
    #[error("{} is no image: {why}", path.display())]
    NotAnImage {
        /// The path.
        path: PathBuf,
        /// What was found instead.
        why: &'static str,
    },
    /// The archive around the blobs cannot be read.
    #[error("reading the archive {}", path.display())]
    Archive {
        /// The path.
        path: PathBuf,
        /// What happened.
        #[source]
        source: TarError,
    },
    /// A blob is missing, or not what it should be.
    #[error("a blob of the image cannot be used")]
    Blob(#[from] BlobError),
    /// A document of the image is refused.
    #[error("{document} of the image is refused")]
    Document {
        /// Its name within the image.
        document: String,
        /// Why.
        #[source]
        source: DocumentError,
    },
    /// There is no image such as the selection asks for.
    #[error("no image for {wanted}{}; there is {available}", named(name.as_deref()))]
    NoSuchImage {
        /// The platform asked for.
        wanted: Box<Platform>,
        /// The name asked for.
        name: Option<String>,
        /// What there is.
        available: String,
    },
    /// The selection leaves several images.
    #[error("several images for {wanted}, and no name says which: {available}")]
    Ambiguous {
        /// The platform asked for.
        wanted: Box<Platform>,
        /// Their names.
        available: String,
    },
    /// The directory to unpack into cannot be made, or not be finished.
    #[error("making the root directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The image has more layers than it may.
    #[error("{found} layers, at most {allowed}")]
    Layers {
        /// How many it has.
        found: usize,
        /// How many it may have.
        allowed: usize,
    },
    /// A layer cannot be applied.
    #[error("layer {layer}")]
    Layer {
        /// The digest of the layer's content.
        layer: Digest,
        /// What happened.
        #[source]
        source: Box<LayerError>,
    },
}

/// Why a layer could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Its blob is missing, or not of the right size.
    #[error("its blob cannot be used")]
    Blob(#[from] BlobError),
    /// Its bytes are not what they should be.
    #[error("its content is refused")]
    Content(#[from] ContentError),
    /// It is no tar.
    #[error("its archive is refused")]
    Tar(#[from] TarError),
    /// An entry cannot be applied.
    #[error("entry {entry}")]
    Entry {
        /// The entry's path, with control characters shown.
        entry: String,
        /// What happened.
        #[source]
        source: EntryError,
    },
    /// The image has more entries than it may.
    #[error("more than {allowed} entries and directories up to this layer")]
    Entries {
        /// How many it may have.
        allowed: u64,
    },
}

/// Why an entry of a layer could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Its path is refused.
    #[error("its path is refused")]
    Path(#[source] NameError),
    /// Its link's target is refused.
    #[error("its target is refused")]
    Target(#[source] NameError),
    /// Its user or group is no id.
    #[error("owned by {found}, which is no id")]
    Id {
        /// The number.
        found: u64,
    },
    /// The kernel refused, or the layer's bytes ended.
    #[error("making it failed")]
    Make(#[source] io::Error),
}

fn named(name: Option<&str>) -> String {
    name.map(|name| format!(" named {name}")).unwrap_or_default()
}
