//! Memory that a launcher writes and its supervisor reads through a file.
#![expect(unsafe_code, reason = "mapping a file makes memory out of nothing")]

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap};

use crate::stack::Region;

/// A shared array of words over the front of a memfd; never unmapped.
#[derive(Clone, Copy, Debug)]
pub struct SharedWords {
    base: NonNull<AtomicU64>,
    count: usize,
}

impl SharedWords {
    /// Maps `count` words of `memfd`, which must be at least that long.
    pub fn map(memfd: BorrowedFd<'_>, count: usize) -> Result<Self, Errno> {
        let bytes = count.max(1) * size_of::<u64>();
        // SAFETY: a new mapping at an address of the kernel's choosing touches no other memory.
        let base = unsafe {
            mmap(core::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, memfd, 0)
        }?;
        let base = NonNull::new(base.cast()).expect("mmap never returns null on success");
        Ok(Self { base, count })
    }

    /// The memory that it is.
    pub fn region(&self) -> Region {
        Region::of(self.base.cast(), self.count.max(1) * size_of::<u64>())
    }

    /// What is in word `index`; 0 out of range. Allocates nothing.
    pub fn load(&self, index: usize) -> u64 {
        if index >= self.count {
            return 0;
        }
        // SAFETY: the word lies inside the mapping.
        let word = unsafe { self.base.add(index) };
        // SAFETY: as for `store`.
        let word = unsafe { word.as_ref() };
        word.load(Ordering::Acquire)
    }

    /// Stores `value` in word `index`; out of range is ignored. Allocates nothing.
    pub fn store(&self, index: usize, value: u64) {
        if index < self.count {
            // SAFETY: the word lies inside the mapping.
            let word = unsafe { self.base.add(index) };
            // SAFETY: the word is aligned because mappings are, all its bit patterns are valid, and the mapping is
            // never removed.
            let word = unsafe { word.as_ref() };
            word.store(value, Ordering::Release);
        }
    }
}
