//! An image unpacked: whatever it holds, nothing outside of the root directory changes, and no failed one is left.
//!
//! An input that begins with `I` is a whole archive; any other is the one layer of an image that is well-formed.
#![no_main]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rollcage_fuzz::{archive, checksummed};
use rollcage_image::{Bounds, Collection, Digest, Ids, Image, Platform, Selection, UnpackOptions};
use tempfile::TempDir;

/// So that one input is quickly unpacked and removed.
const OPTIONS: UnpackOptions =
    UnpackOptions { ids: Ids::Own, bounds: Bounds { layers: 4, entries: 64, bytes: 1 << 20 } };

/// Where images are unpacked: the root directory, and beside it what must not change. A fuzzer's end drops nothing, so
/// scripts/fuzz.sh removes it.
static PLACE: LazyLock<TempDir> = LazyLock::new(|| {
    let place = TempDir::new().unwrap();
    fs::create_dir_all(place.path().join("outside/kept")).unwrap();
    fs::write(place.path().join("outside/secret"), "secret").unwrap();
    place
});

fuzz_target!(|input: &[u8]| {
    let place = PLACE.path();
    let before = outside(place);
    let image = place.join("image.tar");
    let bytes = match input.split_first() {
        Some((b'I', archive)) => checksummed(archive),
        _ => image_of(&checksummed(input)),
    };
    fs::write(&image, bytes).unwrap();
    let root = place.join("root");
    let opened = Collection::open(&image).and_then(|collection| collection.select(&Selection::default()));
    if let Ok(image) = opened {
        check(&image, &root);
    }
    assert_eq!(outside(place), before, "something outside has changed");
});

fn check(image: &Image, root: &Path) {
    match image.unpack(root, &OPTIONS) {
        Ok(report) => {
            assert!(report.entries <= OPTIONS.bounds.entries && report.bytes <= OPTIONS.bounds.bytes);
            assert!(fs::symlink_metadata(root).unwrap().is_dir());
            fs::remove_dir_all(root).unwrap();
        }
        Err(_) => assert!(fs::symlink_metadata(root).is_err(), "half an image was left"),
    }
}

/// What `docker save` would write of an image with this layer.
fn image_of(layer: &[u8]) -> Vec<u8> {
    let Platform { os, architecture, .. } = Platform::default();
    let config = format!(
        r#"{{"os":"{os}","architecture":"{architecture}","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::of(layer)
    );
    let manifest = br#"[{"Config":"config.json","RepoTags":["fuzzed:1"],"Layers":["layer.tar"]}]"#;
    archive(&[("manifest.json", manifest), ("config.json", config.as_bytes()), ("layer.tar", layer)])
}

/// All that lies beside the root directory: names, modes, sizes, links and times of change.
fn outside(place: &Path) -> Vec<(String, u32, u64, u64, i64, i64)> {
    let mut found = Vec::new();
    for directory in ["outside", "outside/kept"] {
        for entry in fs::read_dir(place.join(directory)).unwrap() {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let name = entry.path().display().to_string();
            found.push((name, meta.mode(), meta.len(), meta.nlink(), meta.ctime(), meta.ctime_nsec()));
        }
    }
    found.sort();
    found
}
