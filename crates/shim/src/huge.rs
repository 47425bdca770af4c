//! Large pages for the interpreter's memory, so that its copies are made and unmade in fewer steps.
//!
//! Most of what a preload leaves in memory no program writes to. In large pages a fork shares 512 pages by one entry; only
//! where a program writes is an entry broken up.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use crate::raw;

const PAGE: usize = 4096;
/// Of a large page, on x86_64.
const LARGE: usize = 2 << 20;
/// Pages of it that must be there already, lest much memory be added: seven eighths.
const PRESENT_MIN: usize = LARGE / PAGE / 8 * 7;

/// Makes large pages of what is nearly filled. What cannot be had stays as it is.
pub(crate) fn collapse() -> std::io::Result<()> {
    let mut text = String::new();
    File::open("/proc/self/maps")?.read_to_string(&mut text)?;
    let mut pages = File::open("/proc/self/pagemap")?;
    for (start, end) in text.lines().filter_map(anonymous) {
        let mut at = start.next_multiple_of(LARGE);
        while at + LARGE <= end {
            if is_filled(&mut pages, at)? {
                raw::collapse(at, LARGE);
            }
            at += LARGE;
        }
    }
    Ok(())
}

fn is_filled(pages: &mut File, at: usize) -> std::io::Result<bool> {
    const PRESENT: u64 = 1 << 63;
    let mut entries = [0; LARGE / PAGE * 8];
    pages.seek(SeekFrom::Start((at / PAGE * 8) as u64))?;
    pages.read_exact(&mut entries)?;
    let present = entries
        .chunks_exact(8)
        .filter(|entry| u64::from_ne_bytes((*entry).try_into().unwrap_or_default()) & PRESENT != 0)
        .count();
    Ok(present >= PRESENT_MIN)
}

/// The addresses of a line like `7f00-7f10 rw-p 00000000 00:00 0` without a file.
fn anonymous(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_writable = fields.next()? == "rw-p";
    let name = fields.nth(3).unwrap_or_default();
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_writable && matches!(name, "" | "[heap]")).then_some((address(start)?, address(end)?))
}
