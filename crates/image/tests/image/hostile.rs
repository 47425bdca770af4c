//! Layers that try to get out. Each is first applied by a naive unpacker that joins paths, to see that it is an
//! attack at all.

use std::fs;
use std::os::unix::fs::symlink as link_on_disk;
use std::path::Path;

use crate::support::{Made, Place, chain, directory, file, hard_link, symlink, tree};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Ends {
    /// With an error, and nothing left.
    Refused,
    /// With a tree that holds it all.
    Inside,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Naively {
    GetsOut,
    /// What a naive unpacker makes of it is no escape, or cannot be tried out without harm.
    Untried,
}

/// Applies entries the way that makes archives dangerous.
fn apply_naively(root: &Path, layers: &[Vec<Made>]) {
    fs::create_dir_all(root).unwrap();
    for entry in layers.iter().flatten() {
        let at = |bytes: &[u8]| root.join(std::str::from_utf8(bytes).unwrap());
        let (path, link) = (at(&entry.path), at(&entry.link));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        // What fails has not got out.
        let _ = match (entry.flag, name.strip_prefix(".wh.")) {
            (_, Some(".wh..opq")) => fs::remove_dir_all(path.parent().unwrap().canonicalize().unwrap()),
            (_, Some(hidden)) => fs::remove_file(path.with_file_name(hidden)),
            (b'0', None) => fs::write(&path, &entry.content),
            (b'5', None) => fs::create_dir_all(&path),
            (b'2', None) => link_on_disk(std::str::from_utf8(&entry.link).unwrap(), &path),
            (b'1', None) => fs::hard_link(link, &path),
            _ => Ok(()),
        };
    }
}

fn check(what: &str, naively: Naively, ends: Ends, layers: impl Fn(&Place) -> Vec<Vec<Made>>) {
    if naively == Naively::GetsOut {
        let place = Place::new();
        let before = place.outside();
        apply_naively(&place.root(), &layers(&place));
        assert_ne!(place.outside(), before, "{what}: not an attack");
    }
    let place = Place::new();
    let before = place.outside();
    let unpacked = place.unpack_layers(&layers(&place));
    assert_eq!(place.outside(), before, "{what}");
    match (ends, unpacked) {
        (Ends::Refused, Err(error)) => {
            assert!(chain(&error).contains("layer sha256:"), "{what}: {}", chain(&error));
            assert!(fs::symlink_metadata(place.root()).is_err(), "{what}: something stayed");
        }
        (Ends::Inside, Ok(_)) => {
            let found = tree(&place.root()).join("\n");
            assert!(!found.contains("secret=secret"), "{what}: {found}");
        }
        (_, unpacked) => panic!("{what}: {unpacked:?}"),
    }
}

fn one(entries: Vec<Made>) -> Vec<Vec<Made>> {
    vec![entries]
}

#[test]
fn paths_do_not_lead_out() {
    use Ends::{Inside, Refused};
    use Naively::{GetsOut, Untried};
    check("dots", GetsOut, Refused, |_| one(vec![file("../../outside/new", "x")]));
    check("dots within", GetsOut, Refused, |_| {
        one(vec![directory("a"), file("a/../../../outside/new", "x")])
    });
    check("dots as a directory", GetsOut, Refused, |_| one(vec![directory("../../outside/new/")]));
    check("dots in a whiteout's path", GetsOut, Refused, |_| one(vec![file("../../outside/.wh.secret", "")]));
    check("a whiteout of ..", Untried, Refused, |_| one(vec![file(".wh...", "")]));
    check("a whiteout of .", Untried, Refused, |_| one(vec![file(".wh..", "")]));
    check("the root directory as a file", Untried, Refused, |_| one(vec![file("./", "x")]));
    check("the root directory as a link", Untried, Refused, |_| one(vec![symlink("/", "../outside")]));
    check("an absolute path", GetsOut, Inside, |place| {
        one(vec![file(place.path("outside/new").to_str().unwrap(), "x")])
    });
}

#[test]
fn symbolic_links_are_not_followed_out() {
    use Ends::{Inside, Refused};
    use Naively::{GetsOut, Untried};
    let out = "../../outside";
    check("written through", GetsOut, Refused, |_| one(vec![symlink("l", out), file("l/new", "x")]));
    check("written through, absolute", GetsOut, Refused, |place| {
        one(vec![symlink("l", place.path("outside").to_str().unwrap()), file("l/new", "x")])
    });
    check("written through, a layer later", GetsOut, Refused, |_| {
        vec![vec![symlink("l", out)], vec![file("l/secret", "x")]]
    });
    check("a chain", GetsOut, Refused, |_| {
        one(vec![
            directory("a"),
            symlink("a/up", ".."),
            symlink("l", "a/up/../../outside"),
            file("l/new", "x"),
        ])
    });
    check("into a directory that exists inside, too", Untried, Inside, |_| {
        one(vec![directory("outside"), symlink("l", out), file("l/new", "x")])
    });
    check("a file over a link to a file", GetsOut, Inside, |_| {
        one(vec![symlink("l", "../../outside/secret"), file("l", "x")])
    });
    check("a directory over a link", GetsOut, Inside, |_| {
        one(vec![symlink("l", out), directory("l/"), file("l/new", "x")])
    });
    check("a whiteout through a link", GetsOut, Inside, |_| {
        one(vec![symlink("l", out), file("l/.wh.secret", "")])
    });
    check("an opaque directory through a link", GetsOut, Inside, |_| {
        one(vec![symlink("l", "../../outside/kept"), file("l/.wh..wh..opq", "")])
    });
    check("a whiteout of a link to a directory", Untried, Inside, |_| {
        vec![vec![symlink("l", out)], vec![file(".wh.l", "")]]
    });
    check("a directory's mode through a link", Untried, Inside, |_| {
        vec![vec![symlink("l", out)], vec![directory("l").mode(0o777)]]
    });
    check("magic links", Untried, Refused, |place| {
        let beneath = format!("l{}", place.path("outside/new").display());
        one(vec![symlink("l", "/proc/self/root"), file(&beneath, "x")])
    });
    check("a loop", Untried, Refused, |_| one(vec![symlink("a", "b"), symlink("b", "a"), file("a/x", "x")]));
}

#[test]
fn hard_links_reach_nothing_outside() {
    use Ends::Refused;
    use Naively::{GetsOut, Untried};
    check("dots", GetsOut, Refused, |_| one(vec![hard_link("h", "../../outside/secret")]));
    check("absolute", GetsOut, Refused, |place| {
        one(vec![hard_link("h", place.path("outside/secret").to_str().unwrap())])
    });
    check("through a link", GetsOut, Refused, |_| {
        one(vec![symlink("l", "../../outside"), hard_link("h", "l/secret")])
    });
    check("to be written through", GetsOut, Refused, |_| {
        one(vec![symlink("l", "../../outside"), hard_link("h", "l/secret"), file("h", "x")])
    });
    check("of a directory", Untried, Refused, |_| one(vec![directory("d"), hard_link("h", "d")]));
    check("of nothing", Untried, Refused, |_| one(vec![hard_link("h", "nothing")]));
    check("of the root directory", Untried, Refused, |_| one(vec![hard_link("h", "/")]));
    check("of a link out, which stays a link", Untried, Ends::Inside, |_| {
        one(vec![symlink("l", "../../outside/secret"), hard_link("h", "l"), file("h", "x")])
    });
}
