//! The forms that images come in, and which image of several is taken.

use std::fs;

use rollcage_image::{Collection, Digest, Ids, Image, ImageConfig, Platform, Selection, UnpackOptions};

use crate::support::{
    Files, Place, Stored, add_image, chain, config, descriptor, file, gzip, index, layer, layout, layout_of,
    plain, tree, write_archive, write_directory, zstd,
};

fn stored(content: &[u8], bytes: Vec<u8>) -> Stored {
    Stored { bytes, content: Digest::of(content) }
}

/// Three layers, each compressed differently: two that add, and one that hides.
fn three() -> [Vec<u8>; 3] {
    [layer(&[file("a/x", "1"), file("a/y", "1")]), layer(&[file("a/x", "2")]), layer(&[file("a/.wh.y", "")])]
}

const UNPACKED: [&str; 2] = ["a/", "a/x=2"];

/// What `docker save` wrote up to version 24: a directory for each layer.
fn saved_of_old(layers: &[Vec<u8>]) -> Files {
    let stored: Vec<_> = layers.iter().cloned().map(plain).collect();
    let config = config(("linux", Platform::default().architecture.leak()), &stored);
    let name = format!("{}.json", Digest::of(&config).hex());
    let mut files = Files::from([(name.clone(), config)]);
    let mut names = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let name = format!("{number:064}/layer.tar");
        files.insert(name.clone(), layer.clone());
        names.push(format!("\"{name}\""));
    }
    let list = format!(r#"[{{"Config":"{name}","RepoTags":["x:1"],"Layers":[{}]}}]"#, names.join(","));
    files.insert("manifest.json".to_owned(), list.into_bytes());
    files
}

/// What it writes since then, without the layout that comes along.
fn saved_of_new(layers: &[Vec<u8>]) -> Files {
    let stored: Vec<_> = layers.iter().cloned().map(plain).collect();
    let mut files = Files::new();
    add_image(&mut files, ("linux", &Platform::default().architecture), &stored);
    let config = config(("linux", &Platform::default().architecture), &stored);
    let name = |bytes: &[u8]| format!("\"blobs/sha256/{}\"", Digest::of(bytes).hex());
    let names: Vec<_> = layers.iter().map(|layer| name(layer)).collect();
    let list = format!(r#"[{{"Config":{},"RepoTags":null,"Layers":[{}]}}]"#, name(&config), names.join(","));
    files.insert("manifest.json".to_owned(), list.into_bytes());
    files
}

#[test]
fn every_form_unpacks_to_the_same_tree_under_the_same_digest() {
    let [one, two, three] = three();
    let packed = [stored(&one, gzip(&one)), stored(&two, zstd(&two)), plain(three.clone())];
    let all = [one, two, three];
    let unpacked = all.clone().map(plain);
    let mut both = layout(&unpacked);
    both.extend(saved_of_new(&all));
    let forms = [
        ("a layout", layout(&unpacked)),
        ("a compressed layout", layout(&packed)),
        ("docker save, old", saved_of_old(&all)),
        ("docker save, new", saved_of_new(&all)),
        ("docker save, new, with a layout", both),
    ];
    let mut digests = Vec::new();
    for (what, files) in forms {
        for is_archive in [false, true] {
            let place = Place::new();
            let path = place.path("image");
            if is_archive {
                write_archive(&files, &path);
            } else {
                write_directory(&files, &path);
            }
            let image = Image::open(&path).unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
            let report = image.unpack(&place.root(), &UnpackOptions::new(Ids::Own)).unwrap();
            assert_eq!(tree(&place.root()), UNPACKED, "{what}");
            assert_eq!(report.layers, 3, "{what}");
            digests.push(image.digest());
        }
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
}

#[test]
fn a_layer_stored_twice_may_be_a_link_in_an_archive() {
    let place = Place::new();
    let content = layer(&[file("x", "1")]);
    let files = saved_of_old(&[content.clone(), content]);
    let mut entries = Vec::new();
    for (name, bytes) in &files {
        let mut entry = file(name, "");
        entry.content.clone_from(bytes);
        if name.ends_with("1/layer.tar") {
            entry = crate::support::symlink(name, &format!("../{:064}/layer.tar", 0));
        }
        entries.push(entry);
    }
    fs::write(place.path("image"), layer(&entries)).unwrap();
    Image::open(&place.path("image")).unwrap().unpack(&place.root(), &UnpackOptions::new(Ids::Own)).unwrap();
    assert_eq!(tree(&place.root()), ["x=1"]);
}

#[test]
fn streams_of_several_parts_are_read_to_their_end() {
    let content = layer(&[file("a", "1"), file("b", "2")]);
    let (first, second) = content.split_at(700);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let parts = [
        [gzip(first), gzip(second)].concat(),
        [zstd(first), zstd(second)].concat(),
        [skippable.clone(), zstd(&content), skippable].concat(),
    ];
    for bytes in parts {
        let place = Place::new();
        place.unpack(&layout(&[stored(&content, bytes)]), &UnpackOptions::new(Ids::Own)).unwrap();
        assert_eq!(tree(&place.root()), ["a=1", "b=2"]);
    }
    // An archive need not end in zeros, and may be followed by more of them.
    let ends = [content[..content.len() - 1024].to_vec(), [&content[..], &[0; 9000]].concat(), Vec::new()];
    for (content, expected) in ends.into_iter().zip([&["a=1", "b=2"][..], &["a=1", "b=2"], &[]]) {
        let place = Place::new();
        place.unpack(&layout(&[plain(content)]), &UnpackOptions::new(Ids::Own)).unwrap();
        assert_eq!(tree(&place.root()), expected);
    }
}

#[test]
fn what_gnu_tar_writes_is_what_it_was() {
    let source = Place::new();
    let from = source.path("inside");
    let long = from.join("d".repeat(90)).join("e".repeat(90));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("x"), "1").unwrap();
    fs::write(from.join("a"), "2").unwrap();
    fs::hard_link(from.join("a"), from.join("b")).unwrap();
    std::os::unix::fs::symlink("a", from.join("c")).unwrap();
    for format in ["gnu", "oldgnu", "posix", "ustar"] {
        let archived = std::process::Command::new("tar")
            .args([&format!("--format={format}"), "-cf", "-", "-C", from.to_str().unwrap(), "."])
            .output();
        let Ok(archived) = archived else {
            eprintln!("skipped: tar, to write a layer that we did not");
            return;
        };
        assert!(archived.status.success(), "{format}: {}", String::from_utf8_lossy(&archived.stderr));
        let place = Place::new();
        place.unpack(&layout(&[plain(archived.stdout)]), &UnpackOptions::new(Ids::Own)).unwrap();
        assert_eq!(tree(&place.root()), tree(&from), "{format}");
    }
}

#[test]
fn the_configuration_is_plain_data() {
    let place = Place::new();
    write_directory(&layout(&[]), &place.path("image"));
    let image = Image::open(&place.path("image")).unwrap();
    let expected = ImageConfig {
        env_vars: vec![("PATH".into(), "/bin".into()), ("A".into(), "b=c".into())],
        working_directory: "/w".into(),
        entrypoint: Vec::new(),
        command: vec!["sh".into()],
        user: "1:2".into(),
    };
    assert_eq!(image.config(), &expected);
    assert_eq!(image.platform(), &Platform::default());
}

/// One of many images: its name, its platform in the index and in the configuration, and whether it is in an index
/// of its own.
type Listed<'a> = (Option<&'a str>, Option<&'a str>, &'a str, bool);

fn many(images: &[Listed]) -> Files {
    let mut files = Files::new();
    let mut top = Vec::new();
    for (number, (name, indexed, configured, is_nested)) in images.iter().enumerate() {
        let content = layer(&[file("number", &number.to_string())]);
        let manifest = add_image(&mut files, configured.split_once('/').unwrap(), &[plain(content)]);
        let platform = indexed.map(|platform| {
            let mut parts = platform.split('/');
            let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
            let variant =
                parts.next().map(|variant| format!(r#","variant":"{variant}""#)).unwrap_or_default();
            format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"{variant}}}"#)
        });
        let name =
            name.map(|name| format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#));
        let (platform, name) = (platform.unwrap_or_default(), name.unwrap_or_default());
        if *is_nested {
            let nested = index(&[descriptor("manifest.v1+json", &manifest, &platform)]);
            top.push(descriptor("index.v1+json", &nested, &name));
            crate::support::add_blob(&mut files, nested);
        } else {
            top.push(descriptor("manifest.v1+json", &manifest, &format!("{platform}{name}")));
        }
    }
    top.push(r#"{"mediaType":"text/plain","digest":"sha256:none","size":1}"#.to_owned());
    layout_of(files, index(&top))
}

#[test]
fn the_selection_says_which_image_is_meant() {
    let two = [
        (None, Some("linux/arm64/v8"), "linux/arm64", true),
        (None, Some("linux/amd64"), "linux/amd64", true),
    ];
    let kinds = [
        (None, Some("linux/amd64/v3"), "linux/amd64", false),
        (None, Some("linux/amd64"), "linux/amd64", false),
        (None, Some("unknown/unknown"), "linux/amd64", false),
    ];
    let named = [(Some("a"), None, "linux/amd64", false), (Some("b"), None, "linux/amd64", true)];
    let same = [(None, None, "linux/amd64", false), (None, None, "linux/amd64", false)];
    // What there is, what is wanted, and which it should be or what is said.
    type Case<'a> = (&'a [Listed<'a>], &'a str, Option<&'a str>, Result<&'a str, &'a str>);
    let cases: [Case; 11] = [
        (&two, "linux/amd64", None, Ok("1")),
        (&two, "linux/arm64", None, Ok("0")),
        (&two, "linux/arm64/v8", None, Ok("0")),
        (&two, "linux/386", None, Err("no image for linux/386; there is ")),
        (&kinds, "linux/amd64", None, Ok("1")),
        (&kinds, "linux/amd64/v3", None, Ok("0")),
        (&named, "linux/amd64", Some("b"), Ok("1")),
        (&named, "linux/amd64", Some("c"), Err("no image for linux/amd64 named c; there is ")),
        (&named, "linux/amd64", None, Err("several images for linux/amd64")),
        (&same, "linux/amd64", None, Ok("0")),
        (&[], "linux/amd64", None, Err("no image for linux/amd64; there is none")),
    ];
    for (images, platform, name, expected) in cases {
        let place = Place::new();
        write_directory(&many(images), &place.path("image"));
        let collection = Collection::open(&place.path("image")).unwrap();
        assert_eq!(collection.images().len(), images.len());
        let selection =
            Selection { platform: Platform::parse(platform).unwrap(), name: name.map(str::to_owned) };
        match (collection.select(&selection), expected) {
            (Ok(image), Ok(number)) => {
                image.unpack(&place.root(), &UnpackOptions::new(Ids::Own)).unwrap();
                assert_eq!(tree(&place.root()), [format!("number={number}")]);
            }
            (Err(error), Err(message)) => assert!(chain(&error).starts_with(message), "{}", chain(&error)),
            (found, expected) => panic!("{found:?} instead of {expected:?} for {platform}"),
        }
    }
}
