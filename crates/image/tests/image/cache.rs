//! A root directory in a cache is whole or not there, whoever dies and whoever else wants it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use rollcage_image::{Digest, Ids, Image, UnpackOptions, root_for};
use rustix::fs::FlockOperation;

use crate::support::{
    Place, Stored, attributes, chain, directory, file, layer, layout, plain, tree, write_directory,
};

fn image(place: &Place) -> Image {
    let stored = plain(layer(&[directory("a").mode(0o500), file("a/x", "1")]));
    write_directory(&layout(&[stored]), &place.path("image"));
    Image::open(&place.path("image")).unwrap()
}

fn name(image: &Image) -> String {
    format!("{}-own-1", image.digest().hex())
}

fn names(path: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_image_is_unpacked_once() {
    let place = Place::new();
    let (image, cache) = (image(&place), place.path("deep/cache"));
    let first = root_for(&image, &cache, &UnpackOptions::new(Ids::Own)).unwrap();
    assert_eq!(first.unpacked.unwrap().files, 1);
    assert_eq!(tree(&first.root), ["a/", "a/x=1"]);
    assert_eq!(attributes(&cache).0, 0o700);
    let second = root_for(&image, &cache, &UnpackOptions::new(Ids::Own)).unwrap();
    assert_eq!((second.root, second.unpacked), (first.root, None));
    assert_eq!(names(cache), [name(&image), format!("{}.lock", name(&image))]);
}

#[test]
fn those_who_want_it_at_once_get_the_same_one() {
    const WANTING: usize = 8;
    let place = Place::new();
    let (image, cache) = (image(&place), place.path("cache"));
    let barrier = Barrier::new(WANTING);
    let want = || {
        barrier.wait();
        root_for(&image, &cache, &UnpackOptions::new(Ids::Own)).unwrap()
    };
    let found: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..WANTING).map(|_| scope.spawn(want)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(found.iter().filter(|cached| cached.unpacked.is_some()).count(), 1);
    assert!(found.iter().all(|cached| tree(&cached.root) == ["a/", "a/x=1"]));
}

#[test]
fn what_the_dead_left_is_removed_and_what_the_living_make_is_not() {
    let place = Place::new();
    let (image, cache) = (image(&place), place.path("cache"));
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    let leave = |name: &str| {
        let directory = cache.join(name).join("root/a/b");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("x"), "half").unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o000)).unwrap();
    };
    let own = format!("{}.partial", name(&image));
    for name in [&own, "dead.partial", "living.partial"] {
        leave(name);
    }
    let lock = fs::File::create(cache.join("living.lock")).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    let cached = root_for(&image, &cache, &UnpackOptions::new(Ids::Own)).unwrap();
    assert_eq!(tree(&cached.root), ["a/", "a/x=1"]);
    let mut left = names(cache);
    left.retain(|name| name.ends_with(".partial"));
    assert_eq!(left, ["living.partial"]);
}

#[test]
fn a_failure_leaves_nothing_to_be_taken_for_an_image() {
    let place = Place::new();
    let stored = Stored { content: Digest::of(b"other"), ..plain(layer(&[file("x", "1")])) };
    write_directory(&layout(&[stored]), &place.path("image"));
    let image = Image::open(&place.path("image")).unwrap();
    for _ in 0..2 {
        let error = root_for(&image, &place.path("cache"), &UnpackOptions::new(Ids::Own)).unwrap_err();
        assert!(chain(&error).contains("content with the digest"), "{}", chain(&error));
        assert_eq!(names(place.path("cache")), [format!("{}.lock", name(&image))]);
    }
}

#[test]
fn a_cache_that_others_may_write_to_is_refused() {
    let place = Place::new();
    let cache = place.path("cache");
    fs::create_dir(&cache).unwrap();
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&cache, fs::Permissions::from_mode(mode)).unwrap();
        let error = root_for(&image(&place), &cache, &UnpackOptions::new(Ids::Own)).unwrap_err();
        assert!(chain(&error).contains("others may write to it"), "{}", chain(&error));
    }
}
