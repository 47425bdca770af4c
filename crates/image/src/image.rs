//! One image: its configuration, its layers, and the id of what it unpacks to.

use std::path::Path;
use std::sync::Arc;

use crate::blobs::{Blob, BlobError, Blobs, Promise};
use crate::collection::{Collection, Listed, Source, in_document};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::error::ImageError;
use crate::manifest::{Configuration, DocumentError, Manifest, Saved, parse};
use crate::platform::{Platform, Selection};
use crate::unpack::{self, UnpackOptions, UnpackReport};

/// An image, ready to be unpacked. Its documents have been read and checked; its layers are read by
/// [`Image::unpack`].
#[derive(Debug)]
pub struct Image {
    blobs: Arc<Blobs>,
    digest: Digest,
    platform: Platform,
    config: ImageConfig,
    layers: Vec<LayerSource>,
}

/// Where a layer is, and what is promised of it.
#[derive(Debug)]
pub(crate) struct LayerSource {
    name: String,
    /// Of the blob as it is stored; a layer in an older archive of docker has none.
    pub(crate) promise: Option<Promise>,
    /// The digest of its content.
    pub(crate) diff_id: Digest,
}

impl Image {
    /// The image at a path that is for the platform we run on.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        Collection::open(path)?.select(&Selection::default())
    }

    /// The digest of the configuration. It names the content of every layer, however they are stored or compressed,
    /// so two images with one digest unpack to the same root directory.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What the image runs on.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// How the image wants to be run.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Makes `directory`, which must not exist while its parent does, and applies the layers in it, lowest first.
    /// After an error it is gone again. What a killed process leaves is the caller's; see [`crate::root_for`].
    pub fn unpack(&self, directory: &Path, options: &UnpackOptions) -> Result<UnpackReport, ImageError> {
        unpack::unpack(self, directory, options)
    }

    pub(crate) fn layers(&self) -> &[LayerSource] {
        &self.layers
    }

    pub(crate) fn open_layer(&self, layer: &LayerSource) -> Result<Blob, BlobError> {
        let blob = self.blobs.open(&layer.name)?;
        blob.check_size(&layer.name, layer.promise.and_then(|promise| promise.size))?;
        Ok(blob)
    }

    pub(crate) fn load(blobs: Arc<Blobs>, listed: &Listed) -> Result<Self, ImageError> {
        let (config, config_promise, layers) = match &listed.source {
            Source::Manifest(promise) => described(&blobs, *promise)?,
            Source::Saved(saved) => saved_layers(saved),
        };
        let (bytes, digest) = blobs.document(&config, config_promise)?;
        let failed = in_document(&config);
        let configuration: Configuration = parse(&bytes).map_err(&failed)?;
        let diff_ids = configuration.diff_ids().map_err(&failed)?;
        if diff_ids.len() != layers.len() {
            let (layers, diff_ids) = (layers.len(), diff_ids.len());
            return Err(failed(DocumentError::Layers { layers, diff_ids }));
        }
        let layers = layers.into_iter().zip(diff_ids);
        let layers =
            layers.map(|((name, promise), diff_id)| LayerSource { name, promise, diff_id }).collect();
        let platform = configuration.platform();
        let config = ImageConfig::from_wire(configuration.config).map_err(&failed)?;
        Ok(Self { blobs, digest, platform, config, layers })
    }
}

/// A configuration and layers: names and promises.
type Parts = (String, Option<Promise>, Vec<(String, Option<Promise>)>);

/// Where a layout has a blob.
pub(crate) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn described(blobs: &Blobs, promise: Promise) -> Result<Parts, ImageError> {
    let document = blob_name(promise.digest);
    let failed = in_document(&document);
    let (bytes, _) = blobs.document(&document, Some(promise))?;
    let manifest: Manifest = parse(&bytes).map_err(&failed)?;
    manifest.check().map_err(&failed)?;
    if !manifest.config.is_config() {
        return Err(failed(DocumentError::Type));
    }
    let config = manifest.config.promise().map_err(&failed)?;
    let mut layers = Vec::new();
    for layer in &manifest.layers {
        layer.check_layer().map_err(&failed)?;
        let promise = layer.promise().map_err(&failed)?;
        layers.push((blob_name(promise.digest), Some(promise)));
    }
    Ok((blob_name(config.digest), Some(config), layers))
}

/// An archive of docker promises by names: `DIGEST.json` and `blobs/sha256/DIGEST`. What has another name is checked
/// against the configuration alone, which names the content of each layer.
fn saved_layers(saved: &Saved) -> Parts {
    let promised = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let digest = Digest::from_hex(last.strip_suffix(".json").unwrap_or(last))?;
        Some(Promise { digest, size: None })
    };
    let layers = saved.layers.iter().map(|name| (name.clone(), promised(name)));
    (saved.config.clone(), promised(&saved.config), layers.collect())
}
