//! The memory that one slot's stubs and the processes they start work in.
//!
//! It lies in a region of its own kind: shared with children that copy all other memory, so that nothing in it is copied
//! for them, and given up by them before their program runs.
#![expect(unsafe_code, reason = "lays objects out in a mapping")]

use core::ffi::c_char;
use std::os::fd::OwnedFd;

use rollcage_sys::Errno;
use rollcage_sys::child::Failure;
use rollcage_sys::stack::{Region, Stack};

use crate::protocol::{REQUEST_BYTES_MAX, REQUEST_STRINGS_MAX, Setup, Wiring};
use crate::service::Shared;

/// What one stub works with. Only the stub touches `buffer`, `pointers` and `failure` while it lives.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) shared: &'static Shared,
    pub(crate) socket: OwnedFd,
    /// The slot's workspace and temporary directory, where cages have no mounts of their own.
    pub(crate) directories: Option<[OwnedFd; 2]>,
    pub(crate) index: usize,
    pub(crate) uid: u32,
    pub(crate) wiring: Wiring,
    pub(crate) generation: u64,
    /// Whether the cage stays when its program has ended, for as long as there are branches of it.
    pub(crate) stays: bool,
    pub(crate) failure: Failure,
    pub(crate) child_stack: Stack,
    pub(crate) buffer: &'static mut [u8; REQUEST_BYTES_MAX],
    pub(crate) pointers: &'static mut [*const c_char; REQUEST_STRINGS_MAX],
}

const PAGE: usize = 4096;
// Where the parts of a slot's room begin.
const CHILD_STACK_AT: usize = Stack::ROOM;
const BUFFER_AT: usize = 2 * Stack::ROOM;
const POINTERS_AT: usize = BUFFER_AT + REQUEST_BYTES_MAX;
const BENCH_AT: usize = POINTERS_AT + REQUEST_STRINGS_MAX * size_of::<*const c_char>();
const ROOM: usize = (BENCH_AT + size_of::<Bench>()).next_multiple_of(PAGE);
const _: () = assert!(
    BUFFER_AT.is_multiple_of(PAGE)
        && POINTERS_AT.is_multiple_of(size_of::<usize>())
        && BENCH_AT.is_multiple_of(align_of::<Bench>()),
    "every part is aligned"
);

/// Where a launcher keeps what it knows of its slots: like everything it writes to at work, in memory that is not copied
/// for its children.
#[derive(Debug)]
pub(crate) struct Ledger<T: 'static> {
    region: Region,
    entries: &'static mut [T],
}

impl<T> Ledger<T> {
    /// Moves `entries` there.
    pub(crate) fn of(entries: Vec<T>) -> Result<Self, Errno> {
        let count = entries.len();
        let region = Region::map((count.max(1) * size_of::<T>()).next_multiple_of(PAGE))?;
        let first = region.address(0).cast::<T>().as_ptr();
        for (index, entry) in entries.into_iter().enumerate() {
            // SAFETY: the region has room for all entries.
            let place = unsafe { first.add(index) };
            // SAFETY: as above, and mappings are aligned for any type.
            unsafe { place.write(entry) };
        }
        // SAFETY: all of them were just written; the mapping is never removed in this process, and nobody else has it.
        let entries = unsafe { core::slice::from_raw_parts_mut(first, count) };
        Ok(Self { region, entries })
    }

    /// All of its memory.
    pub(crate) const fn region(&self) -> Region {
        self.region
    }

    /// What is kept.
    pub(crate) fn entry(&mut self, index: usize) -> Option<&mut T> {
        self.entries.get_mut(index)
    }
}

/// Rooms for some slots, in one mapping: each would be something more to copy for every fork.
#[derive(Debug)]
pub(crate) struct Rooms {
    region: Region,
    count: usize,
}

impl Rooms {
    /// Maps room for `count` slots.
    pub(crate) fn map(count: usize) -> Result<Self, Errno> {
        Ok(Self { region: Region::map(count.max(1) * ROOM)?, count })
    }

    /// All of it.
    pub(crate) const fn region(&self) -> Region {
        self.region
    }

    /// Lays out the room of the slot that `setup` introduces: its bench, never removed, and the stack of its stubs.
    pub(crate) fn lay_out(
        &self,
        shared: &'static Shared,
        setup: &Setup,
        socket: OwnedFd,
        directories: Option<[OwnedFd; 2]>,
    ) -> Result<(*mut Bench, Stack), Errno> {
        let index = setup.slot as usize;
        assert!(index < self.count, "there is a room for each slot");
        let room = index * ROOM;
        let stub_stack = self.region.stack(room)?;
        let child_stack = self.region.stack(room + CHILD_STACK_AT)?;
        let part = |at| self.region.address(room + at);
        // SAFETY: the part is aligned, as long as the array and used for nothing else; zeros are bytes; and the mapping is
        // never removed in this process.
        let buffer = unsafe { part(BUFFER_AT).cast().as_mut() };
        // SAFETY: as above; zeros are null pointers.
        let pointers = unsafe { part(POINTERS_AT).cast().as_mut() };
        let bench = Bench {
            shared,
            socket,
            directories,
            index,
            uid: setup.uid,
            wiring: Wiring::Sealed,
            generation: 0,
            stays: false,
            failure: Failure::default(),
            child_stack,
            buffer,
            pointers,
        };
        let place = part(BENCH_AT).cast::<Bench>().as_ptr();
        // SAFETY: the part is aligned, large enough and used for nothing else.
        unsafe { place.write(bench) };
        Ok((place, stub_stack))
    }
}
