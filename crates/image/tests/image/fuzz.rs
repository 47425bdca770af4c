//! Whatever a layer holds, nothing outside of the root directory changes.

use std::fs;

use proptest::prelude::*;
use rollcage_image::{Ids, UnpackOptions};

use crate::support::{Made, Place, directory, file, hard_link, layer, layout, plain, symlink};

/// Few names, so that entries meet: that is where the trouble is.
fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c"]),
        1 => prop::sample::select(vec![".", ".wh.a", ".wh.b", ".wh..wh..opq", "outside", "secret", "kept"]),
    ];
    prop::collection::vec(name, 1..5).prop_map(|names| names.join("/"))
}

fn target() -> impl Strategy<Value = String> {
    let up =
        prop::sample::select(vec!["", "/", "..", "../..", "../../..", "/proc/self/root", "/proc/self/cwd"]);
    (up, path()).prop_map(|(up, path)| if up.is_empty() { path } else { format!("{up}/{path}") })
}

fn entry() -> impl Strategy<Value = Made> {
    prop_oneof![
        3 => path().prop_map(|path| file(&path, "x")),
        2 => path().prop_map(|path| directory(&path)),
        2 => (path(), target()).prop_map(|(path, target)| symlink(&path, &target)),
        1 => (path(), target()).prop_map(|(path, target)| hard_link(&path, &target)),
        1 => target().prop_map(|path| file(&path, "x")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries_that_meet_stay_inside(layers in prop::collection::vec(prop::collection::vec(entry(), 1..12), 1..4)) {
        let place = Place::new();
        let before = place.outside();
        let unpacked = place.unpack_layers(&layers);
        prop_assert_eq!(place.outside(), before);
        prop_assert_eq!(fs::symlink_metadata(place.root()).is_ok(), unpacked.is_ok());
    }

    #[test]
    fn headers_of_any_bytes_are_survived(
        entries in prop::collection::vec(entry(), 1..4),
        changes in prop::collection::vec((0usize..4096, any::<u8>()), 0..6),
        sum in any::<bool>(),
    ) {
        let mut content = layer(&entries);
        for (at, byte) in changes {
            let at = at % content.len();
            content[at] = byte;
        }
        if sum {
            let header: &mut [u8; 512] = content.first_chunk_mut().unwrap();
            let mut header_with_sum = tar::Header::from_byte_slice(header).clone();
            header_with_sum.set_cksum();
            header.copy_from_slice(header_with_sum.as_bytes());
        }
        let place = Place::new();
        let before = place.outside();
        let unpacked = place.unpack(&layout(&[plain(content)]), &UnpackOptions::new(Ids::Own));
        prop_assert_eq!(place.outside(), before);
        prop_assert_eq!(fs::symlink_metadata(place.root()).is_ok(), unpacked.is_ok());
    }
}
