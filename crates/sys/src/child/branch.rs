//! A branch: a copy of this process in namespaces of its own.
//!
//! Two processes come of it. The first is the init of the new namespaces. It shares this process's memory and waits for a
//! byte on a socket, while outside somebody gives the namespaces what they need; then it makes the copy, which comes back to
//! where this process left, and executes a small program that does nothing but reap. So the copy is no init, whose
//! signals have no default actions, and this process's memory is copied once. The copy gives up at once what rights it has over its
//! namespaces, and the program that the init executes has none.
#![expect(unsafe_code, reason = "raw system calls on borrowed stacks")]

use core::ffi::c_void;
use core::ptr;

use rustix::io::Errno;

use crate::child::confine::{exit, relinquish_capabilities};
use crate::child::fork_point::ForkPoint;
use crate::clone::{Caller, clone_to, spawn_copying_memory, spawn_sharing_memory};
use crate::raw::syscall;
use crate::stack::{Region, Stack, go_on, leave_for};

/// What clone(2) is asked for: these flags and no others are allowed, and only where somebody outside agrees.
pub const BRANCH_FLAGS: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_VM
    | libc::CLONE_VFORK
    | libc::CLONE_PARENT
    | libc::SIGCHLD) as u64;

/// Which process this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that branched.
    Trunk,
    /// The copy.
    Branch,
}

/// What a branch is made with.
#[derive(Clone, Copy, Debug)]
pub struct BranchPlan {
    /// A socket: the init writes a byte there and waits for one.
    pub socket: i32,
    /// What the init executes; closed by that.
    pub init: i32,
    /// Whether the init tells on the socket how processes end that it waits for: see [`INIT_PROGRAM`]. Where nobody else does.
    pub tells: bool,
    /// Whether a process number is used up first. Libraries tell a fork by a changed number, so that a copy must not have
    /// the one that it had before.
    pub skips_number: bool,
}

struct Post {
    point: ForkPoint,
    plan: BranchPlan,
    stacks: [Stack; 3],
    side: Side,
    result: Result<(), Errno>,
}

/// Where the stacks lie of those who take part.
const STACKS: usize = 3;

/// Branches this process, which has one thread. `sequences` as for [`ForkPoint::here`]. Returns in both processes; in the copy
/// the C library does not know of the fork.
pub fn branch(plan: BranchPlan, sequences: Option<usize>) -> Result<Side, Errno> {
    let region = Region::map((STACKS * Stack::ROOM).next_multiple_of(4096))?;
    let stack = |index: usize| region.stack(index * Stack::ROOM);
    let stacks = [stack(0)?, stack(1)?, stack(2)?];
    let point = ForkPoint::here(sequences, Vec::new())?;
    let post = Box::into_raw(Box::new(Post { point, plan, stacks, side: Side::Trunk, result: Ok(()) }));
    // SAFETY: just allocated.
    let left = unsafe { &raw mut (*post).point.left };
    // SAFETY: the stack is new, and `split` does not unwind.
    unsafe { leave_for(left, stacks[0], split, post.cast()) };
    // SAFETY: in either process its own, and used by nobody else any more.
    let post = unsafe { Box::from_raw(post) };
    // SAFETY: nobody of this process is on any of its stacks.
    unsafe { region.unmap() };
    post.result.map(|()| post.side)
}

/// In this process: makes the init, and is suspended until that has made the copy.
unsafe extern "C" fn split(argument: *mut c_void) -> ! {
    // SAFETY: `branch` passes its own Post.
    let post = unsafe { &mut *argument.cast::<Post>() };
    let call = [libc::SYS_clone.cast_unsigned(), BRANCH_FLAGS, post.stacks[1].top() as u64, 0, 0];
    // SAFETY: the stack is free; the Post stays, because this process is suspended until the init has executed or ended.
    let cloned = unsafe { clone_to(call, be_init, argument) };
    post.result = cloned.map(|_pid| ());
    // SAFETY: the stack that was left is as it was; nothing of this one is needed.
    unsafe { go_on(&post.point.left) }
}

/// In the init, with the memory of the process that branches.
unsafe extern "C" fn be_init(argument: *mut c_void) -> ! {
    // SAFETY: as in `split`.
    let post = unsafe { &*argument.cast_const().cast::<Post>() };
    let plan = post.plan;
    let mut byte = [b'i'];
    let socket = (plan.socket as isize).cast_unsigned();
    let args = [socket, (&raw mut byte) as usize, 1, 0, 0, 0];
    // SAFETY: one byte is read from where one is.
    let said = unsafe { syscall(libc::SYS_write, args) };
    // SAFETY: one byte is written where there is room for one.
    let heard = said.and_then(|_one| unsafe { syscall(libc::SYS_read, args) });
    if heard != Ok(1) {
        exit(1);
    }
    if plan.skips_number {
        // SAFETY: the stack is free, and is free again when the call returns.
        let spawned = unsafe {
            spawn_sharing_memory(0, None, Caller::WaitsForExec, post.stacks[2], leave, ptr::null_mut())
        };
        // It counts until it has been waited for.
        let args = [usize::MAX, 0, libc::__WALL.cast_unsigned() as usize, 0, 0, 0];
        // SAFETY: nothing is written anywhere.
        let waited = spawned.and_then(|_pid| unsafe { syscall(libc::SYS_wait4, args) });
        if waited.is_err() {
            exit(1);
        }
    }
    // SAFETY: the stack is free, and shared; the copy finds the Post and the stack that was left as they are.
    let copied = unsafe { spawn_copying_memory(post.point.thread_id(), post.stacks[2], be_branch, argument) };
    if copied.is_err() {
        exit(1);
    }
    execute_init(plan)
}

/// What the number is used up for.
unsafe extern "C" fn leave(_nothing: *mut c_void) -> ! {
    exit(0)
}

/// Gives up everything of the process that branched.
fn execute_init(plan: BranchPlan) -> ! {
    let number = (plan.init as isize).cast_unsigned();
    let mut closed_from = 0;
    if plan.tells {
        let socket = (plan.socket as isize).cast_unsigned();
        // SAFETY: this process uses no other descriptor any more, and its standard input least of all.
        let _placed = unsafe { syscall(libc::SYS_dup3, [socket, 0, 0, 0, 0, 0]) };
        closed_from = 1;
    }
    let name = [c"init".as_ptr(), ptr::null()];
    let nothing = [ptr::null::<core::ffi::c_char>()];
    for (first, last) in [(closed_from, number.wrapping_sub(1)), (number + 1, u32::MAX as usize)] {
        // SAFETY: this process uses no other descriptor any more.
        let _closed = unsafe { syscall(libc::SYS_close_range, [first, last, 0, 0, 0, 0]) };
    }
    const EMPTY_PATH: usize = 0x1000;
    let args =
        [number, c"".as_ptr() as usize, name.as_ptr() as usize, nothing.as_ptr() as usize, EMPTY_PATH, 0];
    // SAFETY: the lists are of NUL-terminated texts and end with NULL.
    let _failed = unsafe { syscall(libc::SYS_execveat, args) };
    exit(1)
}

/// In the copy, with memory of its own but for the stacks.
unsafe extern "C" fn be_branch(argument: *mut c_void) -> ! {
    // SAFETY: the copy's own.
    let post = unsafe { &mut *argument.cast::<Post>() };
    post.side = Side::Branch;
    post.result = relinquish_capabilities().and_then(|()| post.point.register());
    // SAFETY: the stack that was left is as it was when the trunk left it; nothing of this one is needed.
    unsafe { go_on(&post.point.left) }
}

/// The program that the init executes: x86-64 code that reaps until there is nobody left, in the smallest file that can be
/// executed; see elf(5), wait4(2) and send(2). Of everyone whom it reaps it tells, if standard input is a socket that has room for
/// it: `ended 8` on a line, and as numbers of four bytes the process and its wait status.
#[rustfmt::skip]
pub const INIT_PROGRAM: &[u8] = &[
    // ELF header.
    0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 0, 0x3e, 0, 1, 0, 0, 0,
    0x78, 0, 0x40, 0, 0, 0, 0, 0, // entry: right behind the headers
    0x40, 0, 0, 0, 0, 0, 0, 0, // program headers
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0x40, 0, 0x38, 0, 1, 0, 0, 0, 0, 0, 0, 0,
    // Program header: all of the file, to be read and executed.
    1, 0, 0, 0, 5, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0x40, 0, 0, 0, 0, 0,
    0, 0, 0x40, 0, 0, 0, 0, 0,
    0xd8, 0, 0, 0, 0, 0, 0, 0,
    0xd8, 0, 0, 0, 0, 0, 0, 0,
    0, 0x10, 0, 0, 0, 0, 0, 0,
    // again: wait4(-1, stack - 4, 0, NULL)
    0xb8, 61, 0, 0, 0, // mov eax, 61
    0x48, 0x83, 0xcf, 0xff, // or rdi, -1
    0x48, 0x8d, 0x74, 0x24, 0xfc, // lea rsi, [rsp - 4]
    0x31, 0xd2, // xor edx, edx
    0x4d, 0x31, 0xd2, // xor r10, r10
    0x0f, 0x05, // syscall
    0x83, 0xf8, 0xf6, // cmp eax, -ECHILD
    0x74, 0x34, // je leave
    // sendto(0, stack - 16, 16, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0)
    0x89, 0x44, 0x24, 0xf8, // mov [rsp - 8], eax
    0x48, 0xb8, b'e', b'n', b'd', b'e', b'd', b' ', b'8', b'\n', // mov rax, "ended 8"
    0x48, 0x89, 0x44, 0x24, 0xf0, // mov [rsp - 16], rax
    0xb8, 44, 0, 0, 0, // mov eax, 44
    0x31, 0xff, // xor edi, edi
    0x48, 0x8d, 0x74, 0x24, 0xf0, // lea rsi, [rsp - 16]
    0xba, 16, 0, 0, 0, // mov edx, 16
    0x41, 0xba, 0x40, 0x40, 0, 0, // mov r10d, 0x4040
    0x4d, 0x31, 0xc0, // xor r8, r8
    0x4d, 0x31, 0xc9, // xor r9, r9
    0x0f, 0x05, // syscall
    0xeb, 0xb2, // jmp again
    // leave: exit(0)
    0x31, 0xff, // xor edi, edi
    0xb8, 60, 0, 0, 0, // mov eax, 60
    0x0f, 0x05, // syscall
    0x0f, 0x0b, // ud2
    0, 0, 0, 0, 0, 0, 0,
];

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, ExitStatus, Stdio};

    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

    use super::*;

    /// Runs the program in the place of a shell that has done this.
    fn run_after(script: &str, name: &str, stdin: &OwnedFd) -> ExitStatus {
        /// What a shell says that cannot execute something.
        const NOT_EXECUTED: i32 = 126;
        let file = std::env::temp_dir().join(format!("rollcage-init-{name}-{}", std::process::id()));
        let mut written = std::fs::File::create(&file).unwrap();
        written.write_all(INIT_PROGRAM).unwrap();
        drop(written);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
        let script = format!("{script}\nexec {}", file.display());
        // A process that another test is just starting may hold the file open for writing until it executes.
        let status = loop {
            let stdin = Stdio::from(stdin.try_clone().unwrap());
            let status = Command::new("bash").args(["-c", &script]).stdin(stdin).status().unwrap();
            if status.code() != Some(NOT_EXECUTED) {
                break status;
            }
        };
        std::fs::remove_file(&file).unwrap();
        status
    }

    #[test]
    fn the_init_ends_when_nobody_is_left() {
        assert_eq!(INIT_PROGRAM.len(), 0xd8, "as its headers say");
        let status = run_after("sleep .1 &", "alone", &std::fs::File::open("/dev/null").unwrap().into());
        assert!(status.success(), "{status}");
    }

    #[test]
    fn the_init_tells_how_others_end() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        // Not before the program is there, or the shell would see to it.
        let script = "later() { while [[ $(</proc/$$/comm) == bash ]]; do :; done; }\n\
                      (later; exit 7) & (later; kill -9 $BASHPID) &";
        let status = run_after(script, "telling", &theirs);
        assert!(status.success(), "{status}");
        let mut told = [0; 64];
        let (length, _) = recv(&ours, &mut told, RecvFlags::DONTWAIT).unwrap();
        let told: Vec<_> =
            told[..length].chunks(16).map(|one| (one[..8].to_vec(), one[12..].to_vec())).collect();
        for expected in [0x700_u32, 9] {
            let message = (b"ended 8\n".to_vec(), expected.to_le_bytes().to_vec());
            assert!(told.contains(&message), "{expected}: {told:?}");
        }
    }
}
