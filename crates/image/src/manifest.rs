//! The documents of images as they are written: indexes, manifests, configurations, and docker's list.
//!
//! Only what is used is read, because others add keys as they please. What they say is turned into types of ours in
//! `collection` and `image`.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::blobs::Promise;
use crate::digest::{Digest, DigestError};
use crate::platform::Platform;

const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
/// How the types of layers begin. What follows names the compression, which the content itself tells, too.
const LAYERS: [&str; 3] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.",
];

/// Why a document of an image is refused.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is no JSON, or not of the right shape.
    #[error("not of the right shape")]
    Shape(#[source] serde_json::Error),
    /// It names something by no digest.
    #[error("names a blob")]
    Digest(#[source] DigestError),
    /// It could be taken for a manifest as well as for an index.
    #[error("both a manifest and an index, or not of the type it was named as")]
    Type,
    /// It is of another version.
    #[error("of schema version {found}; 2 is known")]
    Version {
        /// The version.
        found: u64,
    },
    /// It is the mark of a layout of another version.
    #[error("of layout version {found:?}; 1.0.0 is known")]
    Layout {
        /// The version.
        found: String,
    },
    /// Its layers are not what its configuration says.
    #[error("{layers} layers, but {diff_ids} in the configuration")]
    Layers {
        /// Layers in the manifest.
        layers: usize,
        /// Layers in the configuration.
        diff_ids: usize,
    },
    /// It has too many of something.
    #[error("{found} {what}, at most {allowed}")]
    Many {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        allowed: usize,
    },
    /// A layer is of a type that is not known.
    #[error("a layer of type {found:?}, which is not supported")]
    LayerType {
        /// The type.
        found: String,
    },
    /// A text of the configuration holds a zero byte, which no process can be given.
    #[error("{what} with a zero byte in it")]
    Zero {
        /// Which text.
        what: &'static str,
    },
}

/// What a descriptor leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Leads {
    ToIndex,
    ToManifest,
    Elsewhere,
}

/// A reference to a blob.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    digest: String,
    size: u64,
    platform: Option<WirePlatform>,
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct WirePlatform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// The mark of a layout: `oci-layout`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LayoutMark {
    image_layout_version: String,
}

/// An index: `index.json` of a layout, or a blob.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    schema_version: u64,
    media_type: Option<String>,
    pub(crate) manifests: Vec<Descriptor>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

/// A manifest: one image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    schema_version: u64,
    media_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    manifests: Option<serde::de::IgnoredAny>,
}

/// A configuration: what the layers are when unpacked, and how to run what is in them.
#[derive(Debug, Deserialize)]
pub(crate) struct Configuration {
    #[serde(flatten)]
    platform: WirePlatform,
    pub(crate) config: Option<Process>,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

/// How to run what is in an image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Process {
    pub(crate) env: Option<Vec<String>>,
    pub(crate) working_dir: Option<String>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) cmd: Option<Vec<String>>,
    pub(crate) user: Option<String>,
}

/// One image in docker's `manifest.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Saved {
    pub(crate) config: String,
    pub(crate) repo_tags: Option<Vec<String>>,
    pub(crate) layers: Vec<String>,
}

/// Reads a document.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes).map_err(DocumentError::Shape)
}

impl Descriptor {
    pub(crate) fn leads(&self) -> Leads {
        match self.media_type.as_str() {
            index if INDEXES.contains(&index) => Leads::ToIndex,
            manifest if MANIFESTS.contains(&manifest) => Leads::ToManifest,
            _ => Leads::Elsewhere,
        }
    }

    /// Whether it leads to an image's configuration, and not to that of some other artifact.
    pub(crate) fn is_config(&self) -> bool {
        CONFIGS.contains(&self.media_type.as_str())
    }

    pub(crate) fn check_layer(&self) -> Result<(), DocumentError> {
        let encrypted = self.media_type.contains("encrypted");
        if encrypted || !LAYERS.iter().any(|known| self.media_type.starts_with(known)) {
            return Err(DocumentError::LayerType { found: self.media_type.chars().take(100).collect() });
        }
        Ok(())
    }

    pub(crate) fn promise(&self) -> Result<Promise, DocumentError> {
        let digest = Digest::parse(&self.digest).map_err(DocumentError::Digest)?;
        Ok(Promise { digest, size: Some(self.size) })
    }

    pub(crate) fn platform(&self) -> Option<Platform> {
        self.platform.clone().map(WirePlatform::into_platform)
    }

    /// What people call it: the name that a layout gives it, and the one that docker gives it.
    pub(crate) fn names(&self) -> Vec<String> {
        let keys = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        keys.iter().filter_map(|key| self.annotations.as_ref()?.get(*key)).cloned().collect()
    }
}

impl WirePlatform {
    fn into_platform(self) -> Platform {
        let variant = self.variant.filter(|variant| !variant.is_empty());
        Platform { os: self.os, architecture: self.architecture, variant }
    }
}

impl LayoutMark {
    pub(crate) fn check(&self) -> Result<(), DocumentError> {
        let found = &self.image_layout_version;
        if found == "1.0.0" {
            Ok(())
        } else {
            Err(DocumentError::Layout { found: found.chars().take(100).collect() })
        }
    }
}

impl Index {
    /// That this is an index and nothing else, so that no two readers take it for different things.
    pub(crate) fn check(&self) -> Result<(), DocumentError> {
        let other = self.layers.is_some() || self.config.is_some();
        check_type(self.schema_version, self.media_type.as_deref(), &INDEXES, other)
    }
}

impl Manifest {
    /// That this is a manifest and nothing else.
    pub(crate) fn check(&self) -> Result<(), DocumentError> {
        check_type(self.schema_version, self.media_type.as_deref(), &MANIFESTS, self.manifests.is_some())
    }
}

impl Configuration {
    pub(crate) fn platform(&self) -> Platform {
        self.platform.clone().into_platform()
    }

    /// The digests of the layers' content, lowest first.
    pub(crate) fn diff_ids(&self) -> Result<Vec<Digest>, DocumentError> {
        let ids = self.rootfs.diff_ids.iter().flatten();
        ids.map(|id| Digest::parse(id).map_err(DocumentError::Digest)).collect()
    }
}

fn check_type(version: u64, found: Option<&str>, known: &[&str], other: bool) -> Result<(), DocumentError> {
    if version != 2 {
        return Err(DocumentError::Version { found: version });
    }
    if other || found.is_some_and(|found| !found.is_empty() && !known.contains(&found)) {
        return Err(DocumentError::Type);
    }
    Ok(())
}
