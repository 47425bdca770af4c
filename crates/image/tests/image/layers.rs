//! What layers mean: whiteouts, replacements, links, modes, owners, long names.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use rollcage_image::{Ids, UnpackOptions};

use crate::support::{
    Made, Place, attributes, directory, file, hard_link, is_root, layer, layout, of_kind, plain, symlink,
    tree,
};

/// Unpacks layers and compares the tree.
fn check(what: &str, layers: &[Vec<Made>], expected: &[&str]) {
    let place = Place::new();
    place.unpack_layers(layers).unwrap_or_else(|error| panic!("{what}: {}", crate::support::chain(&error)));
    assert_eq!(tree(&place.root()), expected, "{what}");
}

fn hide(path: &str) -> Made {
    file(path, "")
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
    let below =
        || vec![directory("a/"), file("a/x", "1"), file("a/y", "1"), directory("a/d/"), file("a/d/z", "1")];
    let all = ["a/", "a/d/", "a/d/z=1", "a/x=1", "a/y=1"];
    check("none", &[below()], &all);
    check("a file", &[below(), vec![hide("a/.wh.x")]], &["a/", "a/d/", "a/d/z=1", "a/y=1"]);
    check("a directory", &[below(), vec![hide("a/.wh.d")]], &["a/", "a/x=1", "a/y=1"]);
    check("everything", &[below(), vec![hide(".wh.a")]], &[]);
    check("nothing", &[below(), vec![hide("a/.wh.q"), hide("q/.wh.x"), hide("a/x/.wh.q")]], &all);
    let replaced = ["a/", "a/d/", "a/d/z=1", "a/x=2", "a/y=1"];
    check("before its name", &[below(), vec![hide("a/.wh.x"), file("a/x", "2")]], &replaced);
    check("behind its name", &[below(), vec![file("a/x", "2"), hide("a/.wh.x")]], &replaced);
    let renewed = ["a/", "a/n/", "a/n/m=2", "a/x=2"];
    check(
        "before its directory",
        &[below(), vec![hide(".wh.a"), file("a/x", "2"), file("a/n/m", "2")]],
        &renewed,
    );
    check(
        "behind its directory",
        &[below(), vec![file("a/x", "2"), file("a/n/m", "2"), hide(".wh.a")]],
        &renewed,
    );
    check("of its own layer only", &[vec![file("x", "1"), hide(".wh.x")]], &["x=1"]);
    check(
        "two layers on",
        &[below(), vec![file("a/x", "2")], vec![hide("a/.wh.x")]],
        &["a/", "a/d/", "a/d/z=1", "a/y=1"],
    );
    check(
        "twice",
        &[below(), vec![hide("a/.wh.x")], vec![file("a/x", "3")]],
        &["a/", "a/d/", "a/d/z=1", "a/x=3", "a/y=1"],
    );
    check(
        "through a link of the layer below",
        &[
            vec![file("usr/bin/x", "1"), file("usr/bin/y", "1"), symlink("bin", "usr/bin")],
            vec![hide("bin/.wh.x")],
        ],
        &["bin->usr/bin", "usr/", "usr/bin/", "usr/bin/y=1"],
    );
    check(
        "of a link, not of its target",
        &[vec![file("usr/x", "1"), symlink("link", "usr")], vec![hide(".wh.link")]],
        &["usr/", "usr/x=1"],
    );
    check(
        "of another name of a file below",
        &[vec![file("x", "1")], vec![hard_link("y", "x"), hide(".wh.x")]],
        &["y=1"],
    );
}

#[test]
fn opaque_directories_hide_their_content_below() {
    let below =
        || vec![directory("a/"), file("a/x", "1"), directory("a/d/"), file("a/d/z", "1"), file("b", "1")];
    let opaque = || hide("a/.wh..wh..opq");
    check("alone", &[below(), vec![opaque()]], &["a/", "b=1"]);
    check("first", &[below(), vec![opaque(), file("a/x", "2")]], &["a/", "a/x=2", "b=1"]);
    check(
        "last",
        &[below(), vec![file("a/x", "2"), file("a/d/w", "2"), opaque()]],
        &["a/", "a/d/", "a/d/w=2", "a/x=2", "b=1"],
    );
    check(
        "between",
        &[below(), vec![directory("a/"), file("a/q", "2"), opaque(), file("a/r", "2")]],
        &["a/", "a/q=2", "a/r=2", "b=1"],
    );
    check("the root directory", &[below(), vec![file("c", "2"), hide(".wh..wh..opq")]], &["c=2"]);
    check(
        "nowhere",
        &[below(), vec![hide("q/.wh..wh..opq"), hide("b/.wh..wh..opq")]],
        &["a/", "a/d/", "a/d/z=1", "a/x=1", "b=1"],
    );
    check(
        "of what one layer made twice",
        &[
            below(),
            vec![file("a/d/w", "2"), file("a/d", "2"), directory("a/d/"), file("a/d/v", "3"), opaque()],
        ],
        &["a/", "a/d/", "a/d/v=3", "b=1"],
    );
}

#[test]
fn entries_replace_what_is_there() {
    check("a directory by a file", &[vec![file("a/b/c", "1")], vec![file("a", "2")]], &["a=2"]);
    check(
        "a file by a directory",
        &[vec![file("a", "1")], vec![directory("a/"), file("a/b", "2")]],
        &["a/", "a/b=2"],
    );
    check(
        "a link by a directory",
        &[vec![file("d/x", "1"), symlink("a", "d")], vec![directory("a/"), file("a/y", "2")]],
        &["a/", "a/y=2", "d/", "d/x=1"],
    );
    check(
        "a link by a file",
        &[vec![file("x", "1"), symlink("a", "x")], vec![file("a", "2")]],
        &["a=2", "x=1"],
    );
    check("a directory by a link", &[vec![file("a/b", "1")], vec![symlink("a", "q")]], &["a->q"]);
    check(
        "a directory again",
        &[vec![file("a/b", "1")], vec![directory("a/"), file("a/c", "2")]],
        &["a/", "a/b=1", "a/c=2"],
    );
    check(
        "a file by a device",
        &[vec![file("a", "1"), file("b", "1")], vec![of_kind("a", b'3'), of_kind("b", b'6')]],
        &[],
    );
    check("a file in one layer", &[vec![file("a", "1"), file("a", "2")]], &["a=2"]);
}

#[test]
fn links_lead_where_they_lead_in_the_image() {
    check("a hard link", &[vec![file("a/x", "1"), hard_link("b/y", "a/x")]], &["a/", "a/x=1", "b/", "b/y=1"]);
    check(
        "of a file of the layer below",
        &[vec![file("x", "1")], vec![hard_link("y", "/x")]],
        &["x=1", "y=1"],
    );
    check("of a link", &[vec![symlink("x", "q"), hard_link("y", "x")]], &["x->q", "y->q"]);
    check("of itself", &[vec![file("x", "1"), hard_link("x", "./x")]], &["x=1"]);
    check(
        "not written through",
        &[vec![file("x", "1"), hard_link("y", "x")], vec![file("y", "2")]],
        &["x=1", "y=2"],
    );
    check(
        "directories through links, absolute and not",
        &[vec![
            directory("usr/bin/"),
            symlink("bin", "/usr/bin"),
            symlink("sbin", "usr/../bin"),
            file("sbin/x", "1"),
        ]],
        &["bin->/usr/bin", "sbin->usr/../bin", "usr/", "usr/bin/", "usr/bin/x=1"],
    );
    let place = Place::new();
    place.unpack_layers(&[vec![file("a", "1"), hard_link("b", "a")]]).unwrap();
    let inode = |name: &str| fs::metadata(place.root().join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("b"));
}

#[test]
fn modes_and_times_are_the_images_and_set_ids_are_dropped() {
    let place = Place::new();
    let layers = [
        vec![
            directory("./").mode(0o750).mtime(50),
            directory("a/").mode(0o500).mtime(100),
            file("a/x", "1").mode(0o4755).mtime(200),
            directory("tmp/").mode(0o1777).mtime(300),
            directory("staff/").mode(0o2775).mtime(400),
            directory("moved/").mode(0o700),
            symlink("link", "a").mtime(600),
            directory("none/").mode(0).mtime(700),
            file("none/implied/x", "1"),
        ],
        vec![
            file("a/y", "2").mode(0o640).mtime(u64::from(u32::MAX)),
            directory("moved/").mode(0o711).mtime(500),
        ],
    ];
    let report = place.unpack_layers(&layers).unwrap();
    let expected = [
        ("", (0o750, 50)),
        ("a", (0o500, 100)),
        ("a/x", (0o755, 200)),
        ("a/y", (0o640, u64::from(u32::MAX))),
        ("tmp", (0o1777, 300)),
        ("staff", (0o775, 400)),
        ("moved", (0o711, 500)),
        ("link", (0o777, 600)),
        ("none", (0, 700)),
    ];
    for (name, expected) in expected {
        assert_eq!(attributes(&place.root().join(name)), expected, "{name}");
    }
    if is_root() {
        assert_eq!(attributes(&place.root().join("none/implied")), (0o755, 0));
    }
    assert_eq!(report.set_ids_dropped, 2);
    assert_eq!((report.layers, report.files, report.directories, report.symlinks), (2, 3, 7, 1));
    assert_eq!((report.entries, report.bytes), (11, 3));
}

#[test]
fn owners_are_the_images_or_the_callers() {
    if !is_root() {
        eprintln!("skipped: root, to give files away");
        return;
    }
    let entries = [
        directory("d/").owner(5, 6),
        file("d/x", "1").owner(1000, 1001).mode(0o4755),
        symlink("l", "x").owner(7, 8),
        file("implied/y", "").owner(65534, 65534),
        file("large", "").owner(2_097_151, 2_097_151),
    ];
    let cases = [
        (
            Ids::Keep,
            [
                ("d", (5, 6)),
                ("d/x", (1000, 1001)),
                ("l", (7, 8)),
                ("implied", (0, 0)),
                ("implied/y", (65534, 65534)),
                ("large", (2_097_151, 2_097_151)),
            ],
        ),
        (Ids::Own, ["d", "d/x", "l", "implied", "implied/y", "large"].map(|name| (name, (0, 0)))),
    ];
    for (ids, expected) in cases {
        let place = Place::new();
        place.unpack(&layout(&[plain(layer(&entries))]), &UnpackOptions::new(ids)).unwrap();
        for (name, expected) in expected {
            let metadata = fs::symlink_metadata(place.root().join(name)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), expected, "{name} with {ids:?}");
        }
        assert_eq!(attributes(&place.root().join("d/x")).0, 0o755, "{ids:?}");
    }
}

#[test]
fn devices_and_fifos_are_left_out_and_counted() {
    let place = Place::new();
    let kinds = [("c", b'3'), ("b", b'4'), ("p", b'6')].map(|(path, flag)| of_kind(path, flag));
    let foreign = [file(".wh..wh.aufs", ""), file(".wh..wh.plnk/1.2", "x")];
    let report = place.unpack_layers(&[[&kinds[..], &foreign[..], &[file("x", "1")]].concat()]).unwrap();
    assert_eq!(tree(&place.root()), ["x=1"]);
    assert_eq!((report.devices_left_out, report.fifos_left_out, report.ignored), (2, 1, 2));
}

#[test]
fn long_names_are_read_in_every_dialect() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let target = format!("/{}", "t".repeat(150));
    let mut gnu = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    gnu.append_data(&mut header, &long, &b"g"[..]).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    gnu.append_link(&mut header, "link", &target).unwrap();

    let mut pax = tar::Builder::new(Vec::new());
    let records = [
        ("path", long.as_bytes()),
        ("mtime", b"123.25"),
        ("uid", b"3000000"),
        ("size", b"1"),
        ("SCHILY.xattr.user.a", b"\0\xff\n"),
    ];
    pax.append_pax_extensions(records).unwrap();
    // The header's own name and size are what an old reader would see.
    let mut header = file("short", "p").header();
    header.set_size(0);
    header.set_cksum();
    pax.append(&header, &b"p"[..]).unwrap();
    pax.append_pax_extensions([("linkpath", target.as_bytes())]).unwrap();
    pax.append(&symlink("link", "short").header(), &b""[..]).unwrap();

    let mut ustar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    let split = format!("{}/{}", "d".repeat(120), "f".repeat(90));
    header.set_path(&split).unwrap();
    header.set_mode(0o644);
    header.set_size(1);
    header.set_cksum();
    ustar.append(&header, &b"u"[..]).unwrap();

    let directory = format!("{}/", "d".repeat(120));
    let link = format!("link->{target}");
    let cases = [
        (gnu.into_inner().unwrap(), vec![directory.clone(), format!("{long}=g"), link.clone()]),
        (pax.into_inner().unwrap(), vec![directory.clone(), format!("{long}=p"), link]),
        (ustar.into_inner().unwrap(), vec![directory, format!("{split}=u")]),
    ];
    for (bytes, expected) in cases {
        let place = Place::new();
        place.unpack(&layout(&[plain(bytes)]), &UnpackOptions::new(Ids::Own)).unwrap();
        assert_eq!(tree(&place.root()), expected);
    }
}
