//! Large pages for what a session's interpreter allocates in pieces, once it has allocated much: so that a branch of it copies one
//! entry where there would be hundreds.
//!
//! CPython maps its arenas one by one. From some tens of them on, two at a time are cut from memory that is aligned for a large
//! page and that the kernel is asked to make one of. A small session never gets there, and stays small.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Of CPython's arenas, from 3.10 on.
const ARENA: usize = 1 << 20;
/// Of a large page, on x86_64.
const LARGE: usize = 2 << 20;
/// Arenas that are mapped as ever.
const SMALL: usize = 16;

static ACTIVE: AtomicBool = AtomicBool::new(false);
static MAPPED: AtomicUsize = AtomicUsize::new(0);
/// The second half of the last large page, if nobody has it yet.
static HALF: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

type Map = unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, c_int, libc::off_t) -> *mut c_void;

/// In a session's process: from here on.
pub(crate) fn begin() {
    ACTIVE.store(true, Ordering::Relaxed);
}

/// Memory for an arena, if this is what is asked for and it is time; else null. `map` is libc's own.
///
/// # Safety
///
/// As mmap(2).
pub(crate) unsafe fn arena(
    map: Map,
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
) -> *mut c_void {
    let is_arena = ACTIVE.load(Ordering::Relaxed)
        && address.is_null()
        && length == ARENA
        && protection == libc::PROT_READ | libc::PROT_WRITE
        && flags == libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    if !is_arena || MAPPED.fetch_add(1, Ordering::Relaxed) < SMALL {
        return ptr::null_mut();
    }
    let half = HALF.swap(ptr::null_mut(), Ordering::Relaxed);
    if !half.is_null() {
        return half;
    }
    // Twice as much, to cut an aligned piece from.
    // SAFETY: a fresh mapping at an address of the kernel's choosing.
    let whole = unsafe { map(ptr::null_mut(), 2 * LARGE, protection, flags, -1, 0) };
    if whole == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let before = whole.addr().next_multiple_of(LARGE) - whole.addr();
    // SAFETY: within the mapping, because that is twice as long.
    let aligned = unsafe { whole.byte_add(before) };
    // SAFETY: as above.
    let after = unsafe { aligned.byte_add(LARGE) };
    for (piece, bytes) in [(whole, before), (after, LARGE - before)] {
        if bytes > 0 {
            // SAFETY: parts of the mapping that nobody has.
            unsafe { libc::munmap(piece, bytes) };
        }
    }
    // SAFETY: changes no content.
    unsafe { libc::madvise(aligned, LARGE, libc::MADV_HUGEPAGE) };
    // SAFETY: within the large page.
    HALF.store(unsafe { aligned.byte_add(ARENA) }, Ordering::Relaxed);
    aligned
}
