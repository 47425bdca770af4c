//! Makes layers and images, and looks at what they became.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rollcage_image::{Digest, Ids, Image, ImageError, UnpackOptions, UnpackReport};
use tempfile::TempDir;

/// One entry of a layer.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) path: Vec<u8>,
    pub(crate) flag: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) mtime: u64,
}

fn made(path: &str, flag: u8, link: &str, content: &str, mode: u32) -> Made {
    Made {
        path: path.into(),
        flag,
        link: link.into(),
        content: content.into(),
        mode,
        owner: (0, 0),
        mtime: 1_000_000_000,
    }
}

pub(crate) fn file(path: &str, content: &str) -> Made {
    made(path, b'0', "", content, 0o644)
}

pub(crate) fn directory(path: &str) -> Made {
    made(path, b'5', "", "", 0o755)
}

pub(crate) fn symlink(path: &str, target: &str) -> Made {
    made(path, b'2', target, "", 0o777)
}

pub(crate) fn hard_link(path: &str, target: &str) -> Made {
    made(path, b'1', target, "", 0o644)
}

pub(crate) fn of_kind(path: &str, flag: u8) -> Made {
    made(path, flag, "", "", 0o644)
}

impl Made {
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    pub(crate) fn mtime(mut self, mtime: u64) -> Self {
        self.mtime = mtime;
        self
    }

    /// A header with the names as they are: the tar crate's own setters refuse what is hostile.
    pub(crate) fn header(&self) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..self.path.len()].copy_from_slice(&self.path);
        old.linkname[..self.link.len()].copy_from_slice(&self.link);
        header.set_entry_type(tar::EntryType::new(self.flag));
        header.set_size(self.content.len() as u64);
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.mtime);
        header.set_cksum();
        header
    }
}

/// The bytes of a layer.
pub(crate) fn layer(entries: &[Made]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        builder.append(&entry.header(), &entry.content[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(content: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(content, 1).unwrap()
}

/// What a collection consists of, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A layer as it is stored, and the content that it is meant to have.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content: Digest,
}

/// A layer stored without compression.
pub(crate) fn plain(content: Vec<u8>) -> Stored {
    Stored { content: Digest::of(&content), bytes: content }
}

pub(crate) fn config(platform: (&str, &str), layers: &[Stored]) -> Vec<u8> {
    let ids: Vec<_> = layers.iter().map(|layer| format!("\"{}\"", layer.content)).collect();
    let (os, architecture) = platform;
    let process =
        r#"{"Env":["PATH=/bin","A=b=c"],"WorkingDir":"/w","Entrypoint":null,"Cmd":["sh"],"User":"1:2"}"#;
    format!(
        r#"{{"os":"{os}","architecture":"{architecture}","config":{process},
        "rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    )
    .into_bytes()
}

pub(crate) fn descriptor(kind: &str, bytes: &[u8], more: &str) -> String {
    let (digest, size) = (Digest::of(bytes), bytes.len());
    format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{size}{more}}}"#)
}

pub(crate) fn add_blob(files: &mut Files, bytes: Vec<u8>) {
    files.insert(format!("blobs/sha256/{}", Digest::of(&bytes).hex()), bytes);
}

pub(crate) fn index(descriptors: &[String]) -> Vec<u8> {
    format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptors.join(",")).into_bytes()
}

/// Adds the blobs of an image. Returns its manifest.
pub(crate) fn add_image(files: &mut Files, platform: (&str, &str), layers: &[Stored]) -> Vec<u8> {
    let config = config(platform, layers);
    let described: Vec<_> =
        layers.iter().map(|layer| descriptor("layer.v1.tar+gzip", &layer.bytes, "")).collect();
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
        descriptor("config.v1+json", &config, ""),
        described.join(",")
    )
    .into_bytes();
    for layer in layers {
        add_blob(files, layer.bytes.clone());
    }
    add_blob(files, config);
    add_blob(files, manifest.clone());
    manifest
}

pub(crate) fn layout_of(mut files: Files, index: Vec<u8>) -> Files {
    files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    files.insert("index.json".to_owned(), index);
    files
}

/// A layout of one image for the platform we run on.
pub(crate) fn layout(layers: &[Stored]) -> Files {
    let mut files = Files::new();
    let platform = rollcage_image::Platform::default();
    let manifest = add_image(&mut files, (&platform.os, &platform.architecture), layers);
    layout_of(files, index(&[descriptor("manifest.v1+json", &manifest, "")]))
}

/// Writes a collection as a directory.
pub(crate) fn write_directory(files: &Files, path: &Path) {
    for (name, bytes) in files {
        let path = path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Writes a collection as an archive, with names as `tar c .` has them.
pub(crate) fn write_archive(files: &Files, path: &Path) {
    let entries = files.iter().map(|(name, bytes)| {
        let mut entry = file(&format!("./{name}"), "");
        entry.content.clone_from(bytes);
        entry
    });
    fs::write(path, layer(&entries.collect::<Vec<_>>())).unwrap();
}

/// Somewhere to unpack to, and somewhere that must not be touched.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        fs::create_dir_all(directory.path().join("inside")).unwrap();
        fs::create_dir_all(directory.path().join("outside/kept")).unwrap();
        fs::write(directory.path().join("outside/secret"), "secret").unwrap();
        fs::write(directory.path().join("outside/kept/file"), "kept").unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("inside/root")
    }

    /// Unpacks a collection, written as a directory.
    pub(crate) fn unpack(&self, files: &Files, options: &UnpackOptions) -> Result<UnpackReport, ImageError> {
        let image = self.path("image");
        let _ = fs::remove_dir_all(&image);
        write_directory(files, &image);
        Image::open(&image)?.unpack(&self.root(), options)
    }

    /// Unpacks layers, each a list of entries, for the caller's own use.
    pub(crate) fn unpack_layers(&self, layers: &[Vec<Made>]) -> Result<UnpackReport, ImageError> {
        let stored: Vec<_> = layers.iter().map(|entries| plain(layer(entries))).collect();
        self.unpack(&layout(&stored), &UnpackOptions::new(Ids::Own))
    }

    /// Everything outside of the root directory, with what a trespasser would change.
    pub(crate) fn outside(&self) -> Vec<String> {
        let mut lines = Vec::new();
        look(&self.path("outside"), "", &mut |name, path| {
            let metadata = fs::symlink_metadata(path).unwrap();
            let content = fs::read(path).unwrap_or_default();
            let (mode, links, time) = (metadata.mode(), metadata.nlink(), metadata.mtime());
            lines.push(format!("{name} {mode:o} {} {links} {time} {content:?}", metadata.uid()));
        });
        let mut beside: Vec<_> =
            names(&self.path("")).into_iter().chain(names(&self.path("inside"))).collect();
        beside.retain(|name| !["image", "root"].contains(&name.as_str()));
        lines.extend(beside);
        lines
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn look(path: &Path, prefix: &str, each: &mut impl FnMut(&str, &Path)) {
    for name in names(path) {
        let (name, path) = (format!("{prefix}{name}"), path.join(&name));
        each(&name, &path);
        if path.symlink_metadata().unwrap().is_dir() {
            look(&path, &format!("{name}/"), each);
        }
    }
}

/// A tree as lines: `a/`, `a/file=content`, `a/link->target`.
pub(crate) fn tree(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    look(root, "", &mut |name, path| {
        let kind = path.symlink_metadata().unwrap().file_type();
        lines.push(if kind.is_dir() {
            format!("{name}/")
        } else if kind.is_symlink() {
            format!("{name}->{}", fs::read_link(path).unwrap().display())
        } else {
            format!("{name}={}", fs::read_to_string(path).unwrap())
        });
    });
    lines
}

/// Mode and time of what is at a path.
pub(crate) fn attributes(path: &Path) -> (u32, u64) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.permissions().mode() & 0o7777, metadata.mtime() as u64)
}

/// An error and all its causes, as the command shows them.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}
