//! What one path holds: a collection of images, of which one is selected.
//!
//! Owns telling a layout from what `docker save` writes, and the walk through indexes. A layout that docker wrote is
//! read as a layout: there its blobs have digests.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use crate::blobs::{BlobError, Blobs, Promise};
use crate::error::ImageError;
use crate::image::{Image, blob_name};
use crate::manifest::{Configuration, DocumentError, Index, LayoutMark, Leads, Manifest, Saved, parse};
use crate::names;
use crate::platform::{Platform, Selection};

/// Only a layout has this.
const LAYOUT: &str = "oci-layout";
/// What `docker save` writes has this.
const SAVED: &str = "manifest.json";

/// Descriptors looked at in all indexes together. An index may name another many times over, so the depth alone
/// bounds nothing.
const DESCRIPTORS_MAX: usize = 4096;
/// Indexes within indexes. Two are seen: the layout's own and one for the platforms.
const DEPTH_MAX: usize = 4;

/// The images that one path holds.
#[derive(Debug)]
pub struct Collection {
    blobs: Arc<Blobs>,
    listed: Vec<Listed>,
}

/// One image of a collection.
#[derive(Debug, Clone)]
pub struct Listed {
    /// What it is called, if anything.
    pub names: Vec<String>,
    /// What it runs on.
    pub platform: Platform,
    pub(crate) source: Source,
}

/// Where an image is described.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Manifest(Promise),
    Saved(Saved),
}

impl Collection {
    /// Opens a directory or a tar, and lists its images.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Open { path: path.to_owned(), source };
        let not_an_image = |why| ImageError::NotAnImage { path: path.to_owned(), why };
        let metadata = path.metadata().map_err(failed)?;
        let blobs = if metadata.is_dir() {
            Blobs::directory(path).map_err(failed)?
        } else if metadata.is_file() {
            let file = File::open(path).map_err(failed)?;
            if is_compressed(&file).map_err(failed)? {
                return Err(not_an_image("the archive as a whole is compressed; decompress it first"));
            }
            Blobs::archive(file).map_err(|source| ImageError::Archive { path: path.to_owned(), source })?
        } else {
            return Err(not_an_image("neither a directory nor a file"));
        };
        let listed = if holds(&blobs, LAYOUT)? {
            list_layout(&blobs)?
        } else if holds(&blobs, SAVED)? {
            list_saved(&blobs)?
        } else {
            return Err(not_an_image("neither oci-layout nor manifest.json is in it"));
        };
        Ok(Self { blobs: Arc::new(blobs), listed })
    }

    /// Every image there is, as the indexes have them.
    pub fn images(&self) -> &[Listed] {
        &self.listed
    }

    /// The one image that is meant.
    pub fn select(&self, selection: &Selection) -> Result<Image, ImageError> {
        let Selection { platform: wanted, name } = selection;
        let is_meant = |listed: &&Listed| {
            listed.platform.serves(wanted) && name.as_ref().is_none_or(|name| listed.names.contains(name))
        };
        let mut meant: Vec<&Listed> = self.listed.iter().filter(is_meant).collect();
        if wanted.variant.is_none() && meant.iter().any(|listed| listed.platform.variant.is_none()) {
            meant.retain(|listed| listed.platform.variant.is_none());
        }
        let Some(first) = meant.first() else {
            let available = self.listed.iter().map(Listed::shown).collect::<Vec<_>>().join(", ");
            let available = if available.is_empty() { "none".to_owned() } else { available };
            return Err(ImageError::NoSuchImage {
                wanted: Box::new(wanted.clone()),
                name: name.clone(),
                available,
            });
        };
        // Of images that one index has under one name the first is meant, says the specification.
        if meant.iter().any(|other| other.names != first.names && !other.source.is_same(&first.source)) {
            let available = meant.iter().map(|listed| listed.shown()).collect::<Vec<_>>().join(", ");
            return Err(ImageError::Ambiguous { wanted: Box::new(wanted.clone()), available });
        }
        Image::load(Arc::clone(&self.blobs), first)
    }
}

impl Listed {
    fn shown(&self) -> String {
        let names: Vec<_> = self.names.iter().map(|name| names::shown(name.as_bytes())).collect();
        if names.is_empty() {
            self.platform.to_string()
        } else {
            format!("{} ({})", names.join(" "), self.platform)
        }
    }
}

impl Source {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Manifest(one), Self::Manifest(other)) => one.digest == other.digest,
            (Self::Saved(one), Self::Saved(other)) => one.config == other.config,
            (Self::Manifest(_), Self::Saved(_)) | (Self::Saved(_), Self::Manifest(_)) => false,
        }
    }
}

/// Whether these are the first bytes of a gzip, zstd or xz file, for a better word than "no tar header".
fn is_compressed(mut file: &File) -> io::Result<bool> {
    let mut first = [0; 4];
    let read = file.read(&mut first)?;
    io::Seek::rewind(&mut file)?;
    let magics: [&[u8]; 3] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z', b'X']];
    Ok(magics.iter().any(|magic| first[..read].starts_with(magic)))
}

fn holds(blobs: &Blobs, name: &str) -> Result<bool, ImageError> {
    match blobs.open(name) {
        Ok(_) => Ok(true),
        Err(BlobError::Missing { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Names the document that a fault lies in.
pub(crate) fn in_document(document: &str) -> impl Fn(DocumentError) -> ImageError {
    move |source| ImageError::Document { document: names::shown(document.as_bytes()), source }
}

/// An index that is still to be looked at, and what images in it are called unless they have names of their own.
struct ToVisit {
    index: Option<Promise>,
    names: Vec<String>,
    depth: usize,
}

fn list_layout(blobs: &Blobs) -> Result<Vec<Listed>, ImageError> {
    let failed = in_document(LAYOUT);
    let (bytes, _) = blobs.document(LAYOUT, None)?;
    parse::<LayoutMark>(&bytes).and_then(|mark| mark.check()).map_err(&failed)?;
    let mut listed = Vec::new();
    let mut seen = 0;
    let mut to_visit = vec![ToVisit { index: None, names: Vec::new(), depth: 0 }];
    while let Some(ToVisit { index, names, depth }) = to_visit.pop() {
        let document = index.map_or_else(|| "index.json".to_owned(), |promise| blob_name(promise.digest));
        let failed = in_document(&document);
        let (bytes, _) = blobs.document(&document, index)?;
        let parsed: Index = parse(&bytes).map_err(&failed)?;
        parsed.check().map_err(&failed)?;
        seen += parsed.manifests.len();
        if seen > DESCRIPTORS_MAX || depth > DEPTH_MAX {
            let many = DocumentError::Many { what: "references", found: seen, allowed: DESCRIPTORS_MAX };
            return Err(failed(many));
        }
        for descriptor in &parsed.manifests {
            let own = descriptor.names();
            let names = if own.is_empty() { names.clone() } else { own };
            let leads = descriptor.leads();
            if leads == Leads::Elsewhere {
                continue;
            }
            let promise = descriptor.promise().map_err(&failed)?;
            if leads == Leads::ToIndex {
                to_visit.push(ToVisit { index: Some(promise), names, depth: depth + 1 });
                continue;
            }
            let platform = match descriptor.platform() {
                Some(platform) => Some(platform),
                None => platform_of(blobs, promise)?,
            };
            let source = Source::Manifest(promise);
            listed.extend(platform.map(|platform| Listed { names, platform, source }));
        }
    }
    Ok(listed)
}

/// What a manifest's configuration says; `None` where it is no image's manifest, or is not here: an archive may have
/// one platform's blobs and the whole index.
fn platform_of(blobs: &Blobs, promise: Promise) -> Result<Option<Platform>, ImageError> {
    let document = blob_name(promise.digest);
    let (bytes, _) = match blobs.document(&document, Some(promise)) {
        Ok(found) => found,
        Err(BlobError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let failed = in_document(&document);
    let manifest: Manifest = parse(&bytes).map_err(&failed)?;
    manifest.check().map_err(&failed)?;
    if !manifest.config.is_config() {
        return Ok(None);
    }
    let promise = manifest.config.promise().map_err(&failed)?;
    let document = blob_name(promise.digest);
    let (bytes, _) = blobs.document(&document, Some(promise))?;
    let configuration: Configuration = parse(&bytes).map_err(in_document(&document))?;
    Ok(Some(configuration.platform()))
}

fn list_saved(blobs: &Blobs) -> Result<Vec<Listed>, ImageError> {
    let failed = in_document(SAVED);
    let (bytes, _) = blobs.document(SAVED, None)?;
    let images: Vec<Saved> = parse(&bytes).map_err(&failed)?;
    if images.len() > DESCRIPTORS_MAX {
        let many = DocumentError::Many { what: "images", found: images.len(), allowed: DESCRIPTORS_MAX };
        return Err(failed(many));
    }
    let list = |saved: Saved| {
        let (bytes, _) = blobs.document(&saved.config, None)?;
        let configuration: Configuration = parse(&bytes).map_err(in_document(&saved.config))?;
        let names = saved.repo_tags.clone().unwrap_or_default();
        Ok(Listed { names, platform: configuration.platform(), source: Source::Saved(saved) })
    };
    images.into_iter().map(list).collect()
}
