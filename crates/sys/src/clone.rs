//! clone(2): new processes that run on a stack of their own, with our memory or with a copy of it.
//!
//! A cage's PID 1 shares our memory because that costs no copy of page tables. The price is that it may only run
//! code that allocates nothing, locks nothing and touches no thread-local storage.
#![expect(unsafe_code, reason = "clone starts code on a stack we provide")]

use core::arch::asm;
use core::ffi::c_void;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::process::Pid;

use crate::raw::syscall;
use crate::stack::Stack;

/// The namespaces of a cage made by root. The network namespace is the launcher's own, which is empty. The cgroup
/// namespace is the program's alone: the kernel lets nobody be cloned into a group outside the cloner's.
pub const CAGE_NAMESPACES: u64 =
    (libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;
/// Those of a cage made by anyone else: the user namespace comes first and owns the others.
pub const ROOTLESS_CAGE_NAMESPACES: u64 = CAGE_NAMESPACES | libc::CLONE_NEWUSER as u64;

/// A user namespace alone.
pub const USER_NAMESPACE: u64 = libc::CLONE_NEWUSER as u64;

/// A user namespace and a copy of the mounts that belongs to it.
pub const USER_AND_MOUNT_NAMESPACES: u64 = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS) as u64;

/// What a new process starts with.
pub type Entry = unsafe extern "C" fn(*mut c_void) -> !;

/// `struct clone_args` of `linux/sched.h`, up to `cgroup`.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Of `linux/sched.h`; libc types it as i32, where it does not fit.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

const CLONE_ARGS_BYTES: usize = size_of::<CloneArgs>();
const _: () = assert!(CLONE_ARGS_BYTES == 88, "clone3 args must match CLONE_ARGS_SIZE_VER2");

/// Whether the caller of [`spawn_sharing_memory`] goes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// It runs beside the new process.
    Continues,
    /// It is suspended until the new process calls execve or ends (vfork).
    WaitsForExec,
}

/// A process started by [`spawn_sharing_memory`].
#[derive(Debug)]
pub struct Spawned {
    /// Its number in the caller's pid namespace.
    pub pid: Pid,
    /// Refers to it whatever happens to its number; only for a caller that [`Caller::Continues`].
    pub pidfd: Option<OwnedFd>,
}

/// Starts `entry(argument)` in a new process that shares this one's memory, in new `namespaces`.
///
/// With `cgroup` (a version 2 cgroup directory) the process starts there.
///
/// # Safety
///
/// `stack` must not be in use by any living process. `argument` must stay valid until the new process has
/// called execve or ended. `entry` must not allocate, lock, panic, unwind or use thread-local storage.
///
/// [clone(2)](https://man7.org/linux/man-pages/man2/clone.2.html)
pub unsafe fn spawn_sharing_memory(
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    caller: Caller,
    stack: Stack,
    entry: Entry,
    argument: *mut c_void,
) -> Result<Spawned, Errno> {
    let mut pidfd: i32 = -1;
    let waiting = match caller {
        Caller::WaitsForExec => libc::CLONE_VFORK,
        Caller::Continues => libc::CLONE_PIDFD,
    };
    let flags = namespaces | libc::CLONE_VM as u64 | u64::from(waiting.cast_unsigned());
    let (stack_bottom, stack_bytes) = stack.extent();
    let args = CloneArgs {
        flags: flags | CLONE_INTO_CGROUP,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack_bottom,
        stack_size: stack_bytes,
        cgroup: cgroup.map_or(0, |fd| u64::from(fd.as_raw_fd().cast_unsigned())),
        ..CloneArgs::default()
    };
    // clone3 only for what the older call cannot do: container engines refuse it, because a filter cannot read its
    // flags.
    let call = match cgroup {
        Some(_) => {
            [libc::SYS_clone3.cast_unsigned(), (&raw const args) as u64, CLONE_ARGS_BYTES as u64, 0, 0]
        }
        None => [
            libc::SYS_clone.cast_unsigned(),
            flags | libc::SIGCHLD as u64,
            stack.top() as u64,
            (&raw mut pidfd) as u64,
            0,
        ],
    };
    // SAFETY: for clone3, `args` outlives the call and has the size given; clone writes only `pidfd`. The caller vouches
    // for the stack, the entry and its argument.
    let pid = unsafe { clone_to(call, entry, argument) }?;
    // SAFETY: with CLONE_PIDFD the kernel stored a new descriptor that nobody else owns.
    let pidfd = (caller == Caller::Continues).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    Ok(Spawned { pid, pidfd })
}

/// Starts `entry(argument)` in a new process that has a copy of this one's memory. The kernel stores the process's number
/// at `thread_id`, in the copy: where the C library keeps it.
///
/// # Safety
///
/// `stack` must not be in use by any living process; if its region is shared, the new process has it to itself. `entry`
/// must not unwind, and finds the memory as it is at this moment, whatever this process's other threads were doing.
/// `thread_id` is writable.
///
/// [clone(2)](https://man7.org/linux/man-pages/man2/clone.2.html)
pub unsafe fn spawn_copying_memory(
    thread_id: *mut i32,
    stack: Stack,
    entry: Entry,
    argument: *mut c_void,
) -> Result<Pid, Errno> {
    let flags = (libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD).cast_unsigned();
    let call = [libc::SYS_clone.cast_unsigned(), u64::from(flags), stack.top() as u64, 0, thread_id as u64];
    // SAFETY: clone writes in the new process alone, to `thread_id`. The caller vouches for the rest.
    unsafe { clone_to(call, entry, argument) }
}

/// Makes a `call` (its number and four arguments) that clones, and has the new process run `entry(argument)`.
///
/// # Safety
///
/// The call gives the new process the top of a free stack as its stack pointer, aligned to 16 bytes, and is valid
/// otherwise. `argument` is valid in the new process, and `entry` never returns.
pub(crate) unsafe fn clone_to(call: [u64; 5], entry: Entry, argument: *mut c_void) -> Result<Pid, Errno> {
    let [number, first, second, third, fourth] = call;
    let result: i64;
    // SAFETY: the caller vouches for the call. In the new process the call instruction turns the stack pointer into the
    // alignment an extern "C" function expects; `entry` never returns, so the new process never leaves this block. In
    // the caller only rax, rcx and r11 change. The kernel preserves r12 and r13 for both.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") 0,
            in("r12") argument,
            in("r13") entry as usize,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    if result < 0 {
        return Err(Errno::from_raw_os_error(i32::try_from(-result).expect("errors lie between 1 and 4095")));
    }
    let pid = i32::try_from(result).expect("a pid fits its type");
    Ok(Pid::from_raw(pid).expect("clone returns a positive pid to its caller"))
}

/// Which side of [`fork_single_threaded`] we are on.
#[derive(Debug)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old one.
    Parent {
        /// The new process.
        child: Pid,
        /// Refers to it whatever happens to its number.
        pidfd: OwnedFd,
    },
}

/// A child that does nothing until it is killed, in new `namespaces`, which live as long as it.
///
/// # Safety
///
/// As for [`fork_single_threaded`].
pub unsafe fn fork_idle(namespaces: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller vouches for there being one thread.
    match unsafe { fork_into(namespaces) }? {
        Forked::Parent { pidfd, .. } => Ok(pidfd),
        Forked::Child => loop {
            // SAFETY: the call reads no memory.
            let _interrupted = unsafe { syscall(libc::SYS_pause, [0; 6]) };
        },
    }
}

/// Plain fork, with a pidfd.
///
/// # Safety
///
/// The process must have one thread: locks held by others would stay held in the child for ever.
pub unsafe fn fork_single_threaded() -> Result<Forked, Errno> {
    // SAFETY: the caller vouches for there being one thread.
    unsafe { fork_into(0) }
}

/// Fork into new `namespaces`, with a pidfd.
///
/// # Safety
///
/// As for [`fork_single_threaded`].
pub unsafe fn fork_into(namespaces: u64) -> Result<Forked, Errno> {
    let mut pidfd: i32 = -1;
    let namespaces = usize::try_from(namespaces).expect("words are 64 bits wide here");
    let flags = (libc::CLONE_PIDFD | libc::SIGCHLD).cast_unsigned() as usize | namespaces;
    // SAFETY: `pidfd` outlives the call; without CLONE_VM the child gets a copy of this memory and returns here on
    // a copy of this stack.
    let result = unsafe { syscall(libc::SYS_clone, [flags, 0, (&raw mut pidfd) as usize, 0, 0, 0]) }?;
    match Pid::from_raw(i32::try_from(result).expect("a pid fits its type")) {
        None => Ok(Forked::Child),
        Some(child) => {
            // SAFETY: on success the kernel stored a new descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Forked::Parent { child, pidfd })
        }
    }
}
