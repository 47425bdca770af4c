//! Images that are not what they promise to be, or too much. None leaves anything behind.

use std::fs;
use std::os::unix::fs::symlink as link_on_disk;

use rollcage_image::{Bounds, Digest, Ids, Image, UnpackOptions};

use crate::support::{
    Files, Place, Stored, add_blob, chain, config, descriptor, directory, file, gzip, index, layer, layout,
    layout_of, of_kind, plain, write_archive, write_directory, zstd,
};

fn check_with(what: &str, files: &Files, options: &UnpackOptions, expected: &str) {
    for is_archive in [false, true] {
        let place = Place::new();
        let before = place.outside();
        let path = place.path("image");
        if is_archive {
            write_archive(files, &path);
        } else {
            write_directory(files, &path);
        }
        let error = Image::open(&path).and_then(|image| image.unpack(&place.root(), options));
        let Err(error) = error else { panic!("{what}: unpacked") };
        assert!(chain(&error).contains(expected), "{what}: {}", chain(&error));
        assert!(fs::symlink_metadata(place.root()).is_err(), "{what}: something stayed");
        assert_eq!(place.outside(), before, "{what}");
    }
}

fn check(what: &str, files: &Files, expected: &str) {
    check_with(what, files, &UnpackOptions::new(Ids::Own), expected);
}

fn some() -> Vec<u8> {
    layer(&[directory("a"), file("a/x", "content")])
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(bytes).hex())
}

#[test]
fn blobs_are_what_their_digests_promise() {
    let stored = plain(some());
    let good = layout(std::slice::from_ref(&stored));
    for (name, bytes) in good.iter().filter(|(name, _)| name.starts_with("blobs/")) {
        let mut files = good.clone();
        let mut changed = bytes.clone();
        // In a layer, what changes is a file's content, which no checksum but the digest covers.
        let at = if *bytes == stored.bytes { 1024 } else { bytes.len() - 1 };
        changed[at] ^= 1;
        files.insert(name.clone(), changed);
        check("a changed blob", &files, "instead of sha256:");
        files.insert(name.clone(), [&bytes[..], b"\n"].concat());
        check("a longer blob", &files, &format!("bytes instead of {}", bytes.len()));
        files.insert(name.clone(), bytes[1..].to_vec());
        check("a shorter blob", &files, &format!("bytes instead of {}", bytes.len()));
        files.remove(name);
        // A layout that has a manifest and not its blob is taken to hold other platforms' images.
        let is_manifest = bytes.starts_with(b"{\"schemaVersion\"");
        check("no blob", &files, if is_manifest { "there is none" } else { "is missing" });
    }
    let other = Stored { content: Digest::of(b"other"), ..stored };
    check(
        "content that the configuration does not mean",
        &layout(&[other]),
        "content with the digest sha256:",
    );
}

#[test]
fn compressed_layers_are_whole() {
    let content = some();
    for (what, bytes) in [("gzip", gzip(&content)), ("zstd", zstd(&content))] {
        for keep in [3, bytes.len() / 2, bytes.len() - 1] {
            let stored = Stored { bytes: bytes[..keep].to_vec(), content: Digest::of(&content) };
            check(what, &layout(&[stored]), "layer sha256:");
        }
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 0x10;
        check(what, &layout(&[Stored { bytes: changed, content: Digest::of(&content) }]), "layer sha256:");
        let trailing = [&bytes[..], b"trailing"].concat();
        check(what, &layout(&[Stored { bytes: trailing, content: Digest::of(&content) }]), "layer sha256:");
    }
}

#[test]
fn archives_are_well_formed() {
    let patched = |at: usize, bytes: &[u8]| {
        let mut header = file("x", "content").header();
        header.as_mut_bytes()[at..at + bytes.len()].copy_from_slice(bytes);
        header.set_cksum();
        [header.as_bytes(), &[0; 512][..]].concat()
    };
    let extended = |flag: u8, content: &str| {
        let mut extension = of_kind("x", flag);
        extension.content = content.into();
        layer(&[extension, file("y", "")])
    };
    let mut broken = layer(&[file("x", "")]);
    broken[0] = b'y';
    let mut long = of_kind("x", b'x').header();
    long.set_size(2 << 20);
    long.set_cksum();
    let cases: [(&str, Vec<u8>, &str); 21] = [
        ("not a tar", vec![b'a'; 2000], "the header at byte 0 has a bad checksum"),
        ("a checksum", broken, "no tar header at byte 0"),
        ("less than a block", vec![b'a'; 100], "reading the archive at byte 0: "),
        (
            "less than its content",
            layer(&[file("x", "content")])[..515].to_vec(),
            "entry x: making it failed: ",
        ),
        (
            "less than its padding",
            layer(&[file("x", "content")])[..600].to_vec(),
            "reading the archive at byte 519: ",
        ),
        (
            "a lone zero block",
            [&[0; 512][..], &layer(&[file("x", "")])].concat(),
            "no tar header at byte 512",
        ),
        ("a size of letters", patched(124, b"zzz"), "a bad size"),
        ("a negative size", patched(124, &[0xff; 12]), "a bad size"),
        ("a size beyond reason", patched(124, &[0x80, 0, 0, 0, 0x7f]), "a bad size"),
        ("a size beyond the layer", patched(124, b"77777777777\0"), "entry x: making it failed: "),
        ("a negative owner", patched(108, &[0xff; 8]), "a bad uid"),
        ("a mode of letters", patched(100, b"rwx"), "a bad mode"),
        ("an old sparse file", patched(156, b"S"), "a sparse file"),
        ("a volume label", patched(156, b"V"), "is of kind 'V'"),
        ("a sparse file", extended(b'x', "22 GNU.sparse.major=1\n"), "a sparse file"),
        ("a record without its length", extended(b'x', "path=q\n"), "a bad record"),
        ("a record longer than the header", extended(b'x', "99 path=q\n"), "a bad record"),
        ("a record without its end", extended(b'x', "10 path=qq"), "a bad record"),
        ("a record of nothing", extended(b'x', "2 "), "a bad record"),
        ("an owner below zero", extended(b'x', "10 uid=-1\n"), "a bad uid"),
        ("an endless extension", long.as_bytes().to_vec(), "an extension header of 2097152 bytes"),
    ];
    for (what, content, expected) in cases {
        check(what, &layout(&[plain(content)]), expected);
    }
    let zero = extended(b'x', "12 path=a\0b\n");
    check(
        "a zero byte",
        &layout(&[plain(zero)]),
        "entry a\\0b: its path is refused: a name with a zero byte",
    );
    let long = extended(b'L', &"d/".repeat(3000));
    check("a path too long", &layout(&[plain(long)]), "a path of 6000 bytes");
    let control = layer(&[file("a\u{1b}[31m/../b", "")]);
    check("control characters", &layout(&[plain(control)]), "entry a\\u{1b}[31m/../b: ");
    let nobody = layer(&[file("x", "").owner(u64::from(u32::MAX), 0)]);
    let keep = UnpackOptions::new(Ids::Keep);
    check_with(
        "an owner that is none",
        &layout(&[plain(nobody)]),
        &keep,
        "owned by 4294967295, which is no id",
    );
}

/// A layer with a directory of this depth, a link to its end, and as deep a place below the link.
fn deep(depth: usize) -> Vec<u8> {
    let long = |flag: u8, content: &str| {
        let mut extension = of_kind("x", flag);
        extension.content = content.into();
        extension
    };
    let path = "d/".repeat(depth);
    let link = crate::support::symlink("link", "x");
    let below = long(b'L', &format!("link/{path}"));
    layer(&[long(b'L', &path), directory("x"), long(b'K', &path), link, below, file("x", "1")])
}

#[test]
fn trees_deeper_than_any_path_are_made_and_removed() {
    // Deeper than a path is long, and than a process may have files open.
    let stored = Stored { content: Digest::of(b"other"), bytes: deep(1100) };
    let place = Place::new();
    let error = place.unpack(&layout(&[stored]), &UnpackOptions::new(Ids::Own)).unwrap_err();
    assert!(chain(&error).contains("content with the digest"), "{}", chain(&error));
    assert!(!place.root().exists());
}

#[test]
fn bounds_hold() {
    let bounded = |bounds: Bounds| UnpackOptions { ids: Ids::Own, bounds };
    let stored = plain(some());
    let twice = layout(&[stored.clone(), stored.clone()]);
    let size = stored.bytes.len() as u64;
    let bounds = Bounds::default();
    check_with("layers", &twice, &bounded(Bounds { layers: 1, ..bounds }), "2 layers, at most 1");
    check_with("entries", &twice, &bounded(Bounds { entries: 3, ..bounds }), "more than 3 entries");
    check_with(
        "bytes",
        &twice,
        &bounded(Bounds { bytes: 2 * size - 1, ..bounds }),
        "bytes of content up to this layer",
    );
    let few = bounded(Bounds { entries: 50, ..bounds });
    check_with("directories", &layout(&[plain(deep(60))]), &few, "more than 50 entries and directories");
    let place = Place::new();
    place.unpack(&twice, &bounded(Bounds { layers: 2, entries: 4, bytes: 2 * size })).unwrap();
    let zeros = vec![0; 1 << 20];
    let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let mut entry = file(".wh..wh.aufs", "").header();
    entry.set_size(400 << 20);
    entry.set_cksum();
    std::io::Write::write_all(&mut bomb, entry.as_bytes()).unwrap();
    for _ in 0..400 {
        std::io::Write::write_all(&mut bomb, &zeros).unwrap();
    }
    let bomb = Stored { bytes: bomb.finish().unwrap(), content: Digest::of(b"") };
    check("growth", &layout(&[bomb]), "grow by a factor of more than 200");
}

/// A layout whose one manifest is this text.
fn described(manifest: &str) -> Files {
    let mut files = Files::new();
    let platform = rollcage_image::Platform::default();
    add_blob(&mut files, config((&platform.os, &platform.architecture), &[]));
    add_blob(&mut files, manifest.as_bytes().to_vec());
    layout_of(files, index(&[descriptor("manifest.v1+json", manifest.as_bytes(), "")]))
}

#[test]
fn documents_are_of_one_kind_and_agree() {
    let platform = rollcage_image::Platform::default();
    let bytes = config((&platform.os, &platform.architecture), &[]);
    let config = descriptor("config.v1+json", &bytes, "");
    let with = |text: &str| text.replace("CONFIG", &config);
    let layer = descriptor("layer.v1.tar", b"", "");
    let cases = [
        ("both kinds", r#"{"schemaVersion":2,"manifests":[],"config":CONFIG,"layers":[]}"#.to_owned(), "both a manifest and an index"),
        ("another type", r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","config":CONFIG,"layers":[]}"#.to_owned(), "both a manifest and an index"),
        ("another version", r#"{"schemaVersion":1,"config":CONFIG,"layers":[]}"#.to_owned(), "schema version 1"),
        ("no shape", r#"{"schemaVersion":2,"layers":[]}"#.to_owned(), "not of the right shape: "),
        ("no JSON", "{".to_owned(), "not of the right shape: "),
        ("more layers", format!(r#"{{"schemaVersion":2,"config":CONFIG,"layers":[{layer}]}}"#), "1 layers, but 0 in the configuration"),
        ("an encrypted layer", format!(r#"{{"schemaVersion":2,"config":CONFIG,"layers":[{}]}}"#, layer.replace("v1.tar", "v1.tar+gzip+encrypted")), "which is not supported"),
        ("a digest that is a path", format!(r#"{{"schemaVersion":2,"config":CONFIG,"layers":[{}]}}"#, layer.replace("sha256:", "sha256:../")), "names a blob: "),
    ];
    for (what, manifest, expected) in cases {
        check(what, &described(&with(&manifest)), expected);
    }
    let mut files = layout(&[]);
    files.insert("oci-layout".to_owned(), br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec());
    check("another layout", &files, "oci-layout of the image is refused: of layout version");
    let long =
        format!("{}{}", with(r#"{"schemaVersion":2,"config":CONFIG,"layers":[]}"#), " ".repeat(5 << 20));
    check("a long document", &described(&long), "bytes, at most 4194304");

    // Each index names the one below it many times: 4 of them would be a million visits.
    let mut files = Files::new();
    let mut below = index(&[]);
    for _ in 0..6 {
        add_blob(&mut files, below.clone());
        below = index(&vec![descriptor("index.v1+json", &below, ""); 32]);
    }
    check("indexes of indexes", &layout_of(files, below), "references, at most 4096");
}

#[test]
fn names_of_blobs_do_not_lead_out() {
    let platform = rollcage_image::Platform::default();
    let content = some();
    let stored = [plain(content.clone())];
    let bytes = config((&platform.os, &platform.architecture), &stored);
    for name in ["../outside/layer", "/etc/passwd", "link/layer", "../../../../etc/passwd"] {
        let list = format!(r#"[{{"Config":"config.json","Layers":["{name}"]}}]"#);
        let files = Files::from([
            ("manifest.json".to_owned(), list.into_bytes()),
            ("config.json".to_owned(), bytes.clone()),
        ]);
        let place = Place::new();
        fs::write(place.path("outside/layer"), &content).unwrap();
        write_directory(&files, &place.path("image"));
        link_on_disk("../outside", place.path("image/link")).unwrap();
        let image = Image::open(&place.path("image")).unwrap();
        let error = image.unpack(&place.root(), &UnpackOptions::new(Ids::Own)).unwrap_err();
        assert!(chain(&error).contains("cannot be read"), "{name}: {}", chain(&error));
        assert!(!place.root().exists());
        check(
            "the same in an archive",
            &files,
            if name == "link/layer" { "is missing" } else { "its blob cannot be used" },
        );
    }
}

#[test]
fn a_blob_that_is_a_fifo_does_not_make_us_wait() {
    let place = Place::new();
    let stored = plain(some());
    write_directory(&layout(std::slice::from_ref(&stored)), &place.path("image"));
    let path = place.path("image").join(blob(&stored.bytes));
    fs::remove_file(&path).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let image = Image::open(&place.path("image")).unwrap();
    let error = image.unpack(&place.root(), &UnpackOptions::new(Ids::Own)).unwrap_err();
    assert!(chain(&error).contains("is not a file"), "{}", chain(&error));
}

#[test]
fn what_is_no_image_is_said_to_be_none() {
    let place = Place::new();
    let path = place.path("image");
    let cases: [(&[u8], &str); 4] = [
        (&gzip(&some()), "compressed"),
        (&some(), "neither oci-layout nor manifest.json"),
        (b"text", "reading the archive"),
        (b"", "neither oci-layout nor manifest.json"),
    ];
    for (bytes, expected) in cases {
        fs::write(&path, bytes).unwrap();
        let error = Image::open(&path).unwrap_err();
        assert!(chain(&error).contains(expected), "{}", chain(&error));
    }
    assert!(chain(&Image::open(&place.path("none")).unwrap_err()).starts_with("opening the image"));
}

#[test]
fn a_directory_that_exists_is_left_alone() {
    let place = Place::new();
    fs::create_dir(place.root()).unwrap();
    fs::write(place.root().join("mine"), "mine").unwrap();
    let error = place.unpack(&layout(&[plain(some())]), &UnpackOptions::new(Ids::Own)).unwrap_err();
    assert!(chain(&error).contains("making the root directory"), "{}", chain(&error));
    assert_eq!(fs::read_to_string(place.root().join("mine")).unwrap(), "mine");
}
