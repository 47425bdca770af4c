//! Damaged Parquet is an error or other rows, and never the end of the process.

use std::fs;
use std::panic::catch_unwind;

use crate::harness::{chain, fixture, judgeable};

/// A prime, so that places of every kind are hit. `ROLLCAGE_LONG=1` damages every byte.
const STRIDE: usize = 31;

#[test]
fn no_changed_byte_ends_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged.parquet");
    let stride = if std::env::var_os("ROLLCAGE_LONG").is_some() { 1 } else { STRIDE };
    let (mut errors, mut files) = (0, 0);
    for codec in ["snappy", "zstd"] {
        let whole = fs::read(fixture(codec)).unwrap();
        for place in (0..whole.len()).step_by(stride) {
            for mask in [0xff, 0x01, 0x80] {
                let mut bytes = whole.clone();
                bytes[place] ^= mask;
                fs::write(&path, &bytes).unwrap();
                let read = catch_unwind(|| judgeable(&path).is_err());
                files += 1;
                errors += usize::from(read.unwrap_or_else(|_| panic!("{codec}: byte {place} ^ {mask:#x}")));
            }
        }
    }
    // Values have no checksum, so not every change can be found.
    assert!(errors > files / 4, "{errors} of {files} were found");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cut.parquet");
    let whole = fs::read(fixture("snappy")).unwrap();
    for length in (4..whole.len()).step_by(101).chain([4, whole.len() - 1]) {
        fs::write(&path, &whole[..length]).unwrap();
        let error = chain(&judgeable(&path).unwrap_err());
        assert!(error.contains("cut.parquet` as Parquet: the file is not whole"), "{length}: {error}");
    }
    // Less than the four bytes that tell it from text.
    fs::write(&path, &whole[..3]).unwrap();
    assert!(chain(&judgeable(&path).unwrap_err()).contains("fit no data set format"));
}
