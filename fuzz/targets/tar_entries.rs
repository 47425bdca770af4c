//! The tar format: bounds hold, and the same archive reads the same in pieces.
#![no_main]

#[path = "../../crates/image/src/names.rs"]
#[expect(dead_code, reason = "half of that file is for other readers")]
mod names;
#[path = "../../crates/image/src/tarball.rs"]
#[expect(dead_code, reason = "half of that file is for other readers")]
mod tarball;

use std::io::{self, Read};
use std::path::Component;

use libfuzzer_sys::fuzz_target;
use rollcage_fuzz::checksummed;
use tarball::{Entries, Entry};

fuzz_target!(|input: &[u8]| {
    let archive = checksummed(input);
    let (entries, content) = read(&archive[..]);
    assert!(content <= archive.len() as u64, "more content than bytes");
    for entry in &entries {
        assert!(entry.mode <= 0o7777 && entry.mtime.1 < 1_000_000_000, "{entry:?}");
        if let Ok(path) = names::plain(&entry.path) {
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
            let _marker = names::marker(&path);
        }
        assert!(!names::shown(&entry.path).chars().any(char::is_control));
    }
    assert_eq!(read(OneByOne(&archive)), (entries, content), "it matters how it is read");
});

/// The entries up to the first error, and how much content they had.
fn read(source: impl Read) -> (Vec<Entry>, u64) {
    let mut entries = Entries::new(source);
    let (mut found, mut content) = (Vec::new(), 0);
    while let Ok(Some(entry)) = entries.next() {
        let size = entry.size;
        found.push(entry);
        match io::copy(&mut entries, &mut io::sink()) {
            Ok(read) => {
                assert_eq!(read, size);
                content += read;
            }
            Err(_) => break,
        }
    }
    (found, content)
}

/// Reads as the bytes do, one at a time.
struct OneByOne<'a>(&'a [u8]);

impl Read for OneByOne<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1);
        self.0.read(&mut buffer[..count])
    }
}
