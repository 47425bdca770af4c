//! A first program, which is empty, to find out what memory every program writes to.
//!
//! Much of what a short program costs is the copying of pages that it shares with the server, one fault each. Which pages
//! the interpreter itself writes to while it runs and ends a program hardly depends on the program. So a copy of the server
//! runs the empty file that stands in the program's place, and tells at its end which pages are no longer shared. Each
//! program's process then gets those in a few calls.

use core::sync::atomic::{AtomicI32, Ordering};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};

use rollcage_guest::fork_server::Extent;

use crate::raw;

const PAGE: usize = 4096;
/// What an interpreter writes to for an empty program is some hundreds of pages in a hundred runs or two.
const EXTENTS_MAX: usize = 1024;
/// Bytes of an extent in a report.
const RECORD: usize = 16;
/// An empty program ends at once. One that does not is not waited for, and nothing is known.
const PATIENCE_MS: i32 = 5_000;

/// Where the trial's own process tells what it wrote to; -1 in every other.
static REPORT: AtomicI32 = AtomicI32::new(-1);

/// Which side of the trial this is.
pub(crate) enum Trial {
    /// The process of the first program.
    Running,
    /// The server.
    Over {
        /// What the first program wrote to.
        written: Vec<Extent>,
    },
}

/// Runs it. Without a process for it nothing is known.
pub(crate) fn run() -> Trial {
    let nothing = Trial::Over { written: Vec::new() };
    let Ok([from, to]) = raw::pipe(libc::O_CLOEXEC) else { return nothing };
    let pid = raw::copy_process();
    if pid == Ok(0) {
        REPORT.store(to, Ordering::Relaxed);
        raw::close(from);
        return Trial::Running;
    }
    raw::close(to);
    // SAFETY: the descriptor was just made, and nobody else has it.
    let from = unsafe { OwnedFd::from_raw_fd(from) };
    let Ok(pid) = pid else { return nothing };
    let has_told = raw::is_readable_within(&from, PATIENCE_MS);
    let written = if has_told { read_report(from) } else { Vec::new() };
    raw::end_child(pid);
    Trial::Over { written }
}

fn read_report(from: OwnedFd) -> Vec<Extent> {
    let mut bytes = Vec::new();
    // Cut short, it says less.
    let _read = File::from(from).read_to_end(&mut bytes);
    bytes.chunks_exact(RECORD).take(EXTENTS_MAX).map(decode).collect()
}

fn encode(extent: &Extent) -> Vec<u8> {
    [extent.start, extent.length].iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn decode(record: &[u8]) -> Extent {
    let word = |bytes: Option<&[u8]>| {
        usize::from_ne_bytes(bytes.and_then(|bytes| bytes.try_into().ok()).unwrap_or_default())
    };
    Extent { start: word(record.get(..8)), length: word(record.get(8..16)) }
}

/// Tells what was written to, if this is the first program's process. At its very end.
pub(crate) fn tell() {
    let report = REPORT.swap(-1, Ordering::Relaxed);
    if report < 0 {
        return;
    }
    // SAFETY: `run` made it for this, and nobody closed it.
    let mut report = unsafe { File::from_raw_fd(report) };
    for extent in written_extents().unwrap_or_default() {
        if report.write_all(&encode(&extent)).is_err() {
            return;
        }
    }
}

/// Memory that this process no longer shares with the one it was forked from.
fn written_extents() -> std::io::Result<Vec<Extent>> {
    let mut text = String::new();
    File::open("/proc/self/maps")?.read_to_string(&mut text)?;
    let mut pages = File::open("/proc/self/pagemap")?;
    let mut extents: Vec<Extent> = Vec::new();
    for (start, end) in text.lines().filter_map(private_and_writable) {
        let mut entries = vec![0; (end - start) / PAGE * 8];
        pages.seek(SeekFrom::Start((start / PAGE * 8) as u64))?;
        pages.read_exact(&mut entries)?;
        for (index, entry) in entries.chunks_exact(8).enumerate() {
            if !is_own(u64::from_ne_bytes(entry.try_into().unwrap_or_default())) {
                continue;
            }
            let page = start + index * PAGE;
            match extents.last_mut() {
                Some(last) if last.start + last.length == page => last.length += PAGE,
                _ => extents.push(Extent { start: page, length: PAGE }),
            }
        }
    }
    Ok(extents)
}

/// Whether a page is there, of no file, and nobody else's, by its entry; see the kernel's documentation of pagemap.
fn is_own(entry: u64) -> bool {
    const PRESENT: u64 = 1 << 63;
    const OF_FILE: u64 = 1 << 61;
    const EXCLUSIVE: u64 = 1 << 56;
    entry & (PRESENT | OF_FILE | EXCLUSIVE) == PRESENT | EXCLUSIVE
}

/// The addresses of a line like `55d0-55d1 rw-p …`.
fn private_and_writable(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split(' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let is_wanted = fields.next()? == "rw-p";
    let address = |text| usize::from_str_radix(text, 16).ok();
    is_wanted.then_some((address(start)?, address(end)?))
}
