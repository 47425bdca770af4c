//! From an image on disk to a root directory on disk.
//!
//! An image is an OCI layout or what `docker save` writes, each as a directory or as a tar of one. [`Collection`] is
//! what one path holds, [`Image`] one image of it, [`Image::unpack`] applies its layers to a new directory, and
//! [`root_for`] keeps one unpacked copy of each image that is never seen half done. Nothing is fetched: registries
//! are other programs' work.
//!
//! Everything read is taken for hostile. Each blob is checked against its sha256 while it is read, each bound of
//! [`Bounds`] holds from the first byte, and the kernel resolves every path of a layer with the new directory as
//! its root, so neither `..`, nor a link, nor a link made halfway through, leads out. What results is a hostile
//! tree all the same: whoever reads a file of it by a path of the host follows its links into the host.
#![forbid(unsafe_code)]

mod apply;
mod blobs;
mod cache;
mod collection;
mod config;
mod digest;
mod error;
mod image;
mod layer;
mod manifest;
mod names;
mod platform;
mod tarball;
mod tree;
mod unpack;
mod walk;

pub use blobs::BlobError;
pub use cache::{CacheError, Cached, root_for};
pub use collection::{Collection, Listed};
pub use config::ImageConfig;
pub use digest::{Digest, DigestError};
pub use error::{EntryError, ImageError, LayerError};
pub use image::Image;
pub use layer::ContentError;
pub use manifest::DocumentError;
pub use names::NameError;
pub use platform::{Platform, PlatformError, Selection};
pub use tarball::TarError;
pub use unpack::{Bounds, Ids, UnpackOptions, UnpackReport};
