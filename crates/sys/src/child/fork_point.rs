//! A child that goes on as the interpreter it is a copy of.
//!
//! Its parent called clone(2) without the C library, which does not learn of it. What the C library keeps of the thread is
//! its id, which the kernel is asked to correct when it clones, and two registrations with the kernel that a new process
//! begins without. Fork handlers of libraries (pthread_atfork(3)) are not run.
#![expect(unsafe_code, reason = "raw system calls on a borrowed stack")]

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr;

use rustix::io::Errno;

use crate::child::confine::{confine, exit};
use crate::child::prepared::PreparedChild;
use crate::child::stage::{Failure, Stage};
use crate::raw::syscall;
use crate::stack::{Left, go_on};

/// Where an interpreter's thread was left, and what the C library has registered for it.
#[derive(Debug)]
pub struct ForkPoint {
    /// The interpreter's own stack.
    pub left: Left,
    thread_id: *mut i32,
    /// The list of robust mutexes: its address and its length.
    robust: [usize; 2],
    /// The address of its restartable sequences' area, if it has one.
    sequences: Option<usize>,
    /// Memory that every program writes to.
    written: Vec<Extent>,
    /// Where this process's failure goes, in a process that has come back here.
    failure: Cell<*const Failure>,
}

/// Whole pages of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The address of the first.
    pub start: usize,
    /// Bytes.
    pub length: usize,
}

/// Bytes of `struct rseq` that every C library registers; see linux/rseq.h.
const SEQUENCES_BYTES: usize = 32;
/// `RSEQ_SIG` of x86.
const SEQUENCES_SIGNATURE: usize = 0x5305_3053;

impl ForkPoint {
    /// Of the calling thread, which is its process's only one. `sequences` is what [rseq(2)] was called with; `written` is
    /// memory that every program will write to.
    ///
    /// [rseq(2)]: https://www.gnu.org/software/libc/manual/html_node/Restartable-Sequences.html
    pub fn here(sequences: Option<usize>, written: Vec<Extent>) -> Result<Self, Errno> {
        const GET_TID_ADDRESS: usize = 40;
        let mut thread_id: *mut i32 = ptr::null_mut();
        // SAFETY: the kernel writes one address where there is room for one.
        unsafe { syscall(libc::SYS_prctl, [GET_TID_ADDRESS, (&raw mut thread_id) as usize, 0, 0, 0, 0]) }?;
        let mut robust = [0_usize; 2];
        let [head, length] = &mut robust;
        let args = [0, (head as *mut usize) as usize, (length as *mut usize) as usize, 0, 0, 0];
        // SAFETY: the kernel writes an address and a length where there is room for each.
        unsafe { syscall(libc::SYS_get_robust_list, args) }?;
        if thread_id.is_null() {
            return Err(Errno::NOENT);
        }
        let (left, failure) = (Left::default(), Cell::new(ptr::null()));
        Ok(Self { left, thread_id, robust, sequences, written, failure })
    }

    /// Has the kernel forget the restartable sequences of the calling thread, whose area it writes to whenever it schedules
    /// the thread: after each fork that would copy a page. The processes that come back register it again.
    pub fn forget_sequences(&self) -> Result<(), Errno> {
        const UNREGISTER: usize = 1;
        let Some(area) = self.sequences else { return Ok(()) };
        let args = [area, SEQUENCES_BYTES, UNREGISTER, SEQUENCES_SIGNATURE, 0, 0];
        // SAFETY: nothing of this thread's relies on sequences; the area stays.
        unsafe { syscall(libc::SYS_rseq, args) }.map(|_zero| ())
    }

    /// Where the C library keeps the thread's id, for the kernel to correct.
    pub const fn thread_id(&self) -> *mut i32 {
        self.thread_id
    }

    /// Says in a process that has come back why it cannot go on, and ends it.
    ///
    /// # Safety
    ///
    /// The region that the order of [`confine_and_return`] lies in is still mapped.
    pub unsafe fn give_up(&self, stage: Stage, errno: Errno) -> ! {
        // SAFETY: null, or valid by the contract of PreparedChild for as long as its region is mapped.
        if let Some(failure) = unsafe { self.failure.get().as_ref() } {
            failure.record(stage, errno);
        }
        exit(127)
    }

    /// Gives this process copies of its own of what it will write to: one call for a run of pages costs a fraction of a
    /// fault for each.
    pub fn copy_written(&self) {
        /// `MADV_POPULATE_WRITE` of Linux 5.14.
        const POPULATE_WRITE: usize = 23;
        for extent in &self.written {
            let args = [extent.start, extent.length, POPULATE_WRITE, 0, 0, 0];
            // SAFETY: writes nothing; what cannot be copied now is copied when it is written to.
            let _copied = unsafe { syscall(libc::SYS_madvise, args) };
        }
    }

    /// Registers again what a new process has not.
    pub(super) fn register(&self) -> Result<(), Errno> {
        let [head, length] = self.robust;
        if head != 0 {
            // SAFETY: the address and length that the C library had registered for this thread.
            unsafe { syscall(libc::SYS_set_robust_list, [head, length, 0, 0, 0, 0]) }?;
        }
        if let Some(area) = self.sequences {
            let args = [area, SEQUENCES_BYTES, 0, SEQUENCES_SIGNATURE, 0, 0];
            // SAFETY: the area that the C library had registered for this thread, which lives as long as the thread.
            unsafe { syscall(libc::SYS_rseq, args) }?;
        }
        Ok(())
    }
}

/// What a child takes on, and where it goes on then.
#[derive(Debug)]
pub struct Return {
    /// Its confinement.
    pub child: PreparedChild,
    /// In the memory that is copied.
    pub point: *const ForkPoint,
}

/// Confines the calling process and goes on at the fork point. For [`crate::clone::spawn_copying_memory`].
///
/// # Safety
///
/// `argument` points to a [`Return`] whose every pointer is valid until this process has ended. The stack that was left
/// is as it was.
pub unsafe extern "C" fn confine_and_return(argument: *mut c_void) -> ! {
    // SAFETY: the caller passes a live Return that nobody changes while we run.
    let order = unsafe { &*argument.cast_const().cast::<Return>() };
    // SAFETY: the caller vouches for every pointer inside.
    let point = unsafe { &*order.point };
    // In this process's copy.
    point.failure.set(order.child.failure);
    // SAFETY: as above.
    let confined = unsafe { confine(&order.child) };
    let ready = confined.and_then(|()| {
        be_dumpable();
        point.register().map_err(|errno| (Stage::Register, errno))
    });
    match ready {
        // SAFETY: by the contract; nothing of this stack is needed.
        Ok(()) => unsafe { go_on(&point.left) },
        // SAFETY: the region holds the stack that this runs on.
        Err((stage, errno)) => unsafe { point.give_up(stage, errno) },
    }
}

/// A change of ids closes a process's files below /proc to its own user, which an execve undoes.
fn be_dumpable() {
    const SET_DUMPABLE: usize = 4;
    // SAFETY: plain numbers. It cannot fail with this value.
    let _done = unsafe { syscall(libc::SYS_prctl, [SET_DUMPABLE, 1, 0, 0, 0, 0]) };
}
