//! Stacks of our own for processes that share memory, and leaving one stack for another.
//!
//! Stubs and the processes they start run on stacks in a [`Region`]: memory that stays shared with a process that is
//! forked off, so that what is written there is not copied, and that such a process gives up in one call.
#![expect(unsafe_code, reason = "memory is made, and the stack pointer is set by hand")]

use core::arch::naked_asm;
use core::ffi::c_void;
use core::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use crate::clone::Entry;
use crate::raw::syscall;

/// Enough for a stub, a child or a launcher at work: none recurses or keeps large arrays.
const STACK_BYTES: usize = 64 * 1024;
/// Below each stack, inaccessible.
const GUARD_BYTES: usize = 4096;

/// Memory that is shared with whoever is forked off, until they unmap it.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    base: NonNull<c_void>,
    bytes: usize,
}

impl Region {
    /// Maps `bytes`, a multiple of the page size, filled with zeros.
    pub fn map(bytes: usize) -> Result<Self, Errno> {
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choosing touches no other memory.
        let base = unsafe {
            mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)?
        };
        Ok(Self { base: NonNull::new(base).expect("mmap never returns null on success"), bytes })
    }

    /// Memory that was mapped by other means.
    pub(crate) const fn of(base: NonNull<c_void>, bytes: usize) -> Self {
        Self { base, bytes }
    }

    /// The stack whose room, [`Stack::ROOM`] bytes, begins `at` bytes into the region.
    pub fn stack(&self, at: usize) -> Result<Stack, Errno> {
        assert!(at.checked_add(Stack::ROOM).is_some_and(|end| end <= self.bytes), "it lies in the region");
        // SAFETY: as just asserted.
        let bottom = unsafe { self.base.byte_add(at) };
        guard(bottom)?;
        Ok(Stack { bottom })
    }

    /// The address `at` bytes into the region.
    pub fn address(&self, at: usize) -> NonNull<c_void> {
        assert!(at < self.bytes, "it lies in the region");
        // SAFETY: as just asserted.
        unsafe { self.base.byte_add(at) }
    }

    /// Gives the memory up, in this process alone.
    ///
    /// # Safety
    ///
    /// Nothing of this process uses it any more, the stack it runs on included.
    pub unsafe fn unmap(&self) {
        // SAFETY: the mapping was made by `map` with this base and length, and the caller is done with it.
        let _unmapped = unsafe { munmap(self.base.as_ptr(), self.bytes) };
    }
}

/// Makes the page at `at` inaccessible, without splitting the mapping where the kernel can do that: each part of a
/// mapping is something more to copy for every fork.
fn guard(at: NonNull<c_void>) -> Result<(), Errno> {
    /// `MADV_GUARD_INSTALL` of Linux 6.13, for shared memory since 6.15.
    const GUARD_INSTALL: usize = 102;
    let args = [at.as_ptr() as usize, GUARD_BYTES, GUARD_INSTALL, 0, 0, 0];
    // SAFETY: the page lies in a mapping of ours and is unused.
    if unsafe { syscall(libc::SYS_madvise, args) }.is_ok() {
        return Ok(());
    }
    // SAFETY: as above.
    unsafe { mprotect(at.as_ptr(), GUARD_BYTES, MprotectFlags::empty()) }
}

/// A stack for one process at a time, with an inaccessible page below it.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    bottom: NonNull<c_void>,
}

impl Stack {
    /// Bytes that one takes.
    pub const ROOM: usize = GUARD_BYTES + STACK_BYTES;

    /// One past its highest byte, aligned for any use.
    pub(crate) fn top(self) -> *mut c_void {
        // SAFETY: one past the end of its room.
        unsafe { self.bottom.byte_add(Self::ROOM) }.as_ptr()
    }

    /// The lowest byte that may be used, and how many there are.
    pub(crate) fn extent(self) -> (u64, u64) {
        (self.bottom.as_ptr() as u64 + GUARD_BYTES as u64, STACK_BYTES as u64)
    }
}

/// Where a stack was left, to go on there.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Left(usize);

/// Leaves the stack in use and runs `entry(argument)` on another. Returns when somebody calls [`go_on`] with `left`: here,
/// or in a process that has a copy of this memory.
///
/// # Safety
///
/// `stack` is used by nobody. `left` is valid; it is written before `entry` runs, and may be read from then on. `entry`
/// must not unwind.
pub unsafe fn leave_for(left: *mut Left, stack: Stack, entry: Entry, argument: *mut c_void) {
    // SAFETY: the caller vouches for the stack, whose top is aligned to 16 bytes as its region is.
    unsafe { switch(left, stack.top(), entry, argument) }
}

/// Goes on where [`leave_for`] left, with everything that was on the stack then still there.
///
/// # Safety
///
/// `left` is of a call of [`leave_for`] that has not been gone on with in this process. The memory of its stack is as it
/// was, and nothing of the stack in use is needed any more.
pub unsafe fn go_on(left: &Left) -> ! {
    // SAFETY: by the contract.
    unsafe { switch_back(left) }
}

/// Saves what a function of the C ABI has to preserve and its stack pointer, then calls `entry` on the other stack.
#[unsafe(naked)]
unsafe extern "C" fn switch(left: *mut Left, top: *mut c_void, entry: Entry, argument: *mut c_void) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "mov rdi, rcx",
        "xor ebp, ebp",
        "call rdx",
        "ud2",
    )
}

/// Undoes `switch`, and returns from it.
#[unsafe(naked)]
unsafe extern "C" fn switch_back(left: *const Left) -> ! {
    naked_asm!("mov rsp, [rdi]", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx", "ret",)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Visit {
        left: Left,
        seen: usize,
    }

    unsafe extern "C" fn visit(argument: *mut c_void) -> ! {
        // SAFETY: the test passes a live Visit.
        let visit = unsafe { &mut *argument.cast::<Visit>() };
        let own = 0_usize;
        visit.seen = (&raw const own) as usize;
        // SAFETY: the test's stack is untouched, and nothing of this one is needed.
        unsafe { go_on(&visit.left) }
    }

    #[test]
    fn another_stack_is_visited_and_left_again() {
        let region = Region::map(Stack::ROOM.next_multiple_of(4096)).unwrap();
        let stack = region.stack(0).unwrap();
        let (kept, mut visited) = (String::from("kept"), Visit { left: Left::default(), seen: 0 });
        for _ in 0..3 {
            let argument = (&raw mut visited).cast();
            // SAFETY: the stack is free, and `left` is not looked at before it is written.
            unsafe { leave_for(&raw mut visited.left, stack, visit, argument) };
            let (lowest, bytes) = stack.extent();
            assert!((lowest..lowest + bytes).contains(&(visited.seen as u64)));
            assert_eq!(kept, "kept");
        }
        // SAFETY: nobody uses it any more.
        unsafe { region.unmap() };
    }
}
