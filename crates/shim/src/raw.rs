//! Typed system calls, and finding functions of other libraries.
//!
//! Nothing here allocates. Each returns the errno instead of leaving it behind.

use core::ffi::{CStr, c_int, c_void};
use core::ptr::NonNull;

/// As in errno(3).
pub(crate) type Errno = i32;

fn errno() -> Errno {
    // SAFETY: takes nothing.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the address of this thread's errno, which is always readable.
    unsafe { *errno }
}

fn done(result: c_int) -> Result<c_int, Errno> {
    if result < 0 { Err(errno()) } else { Ok(result) }
}

/// The function `name` of whatever library has it, or of those after this one.
pub(crate) fn find(handle: *mut c_void, name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: both handles we use are constants of dlsym(3), and the name is NUL-terminated.
    NonNull::new(unsafe { libc::dlsym(handle, name.as_ptr()) })
}

/// getpid(2).
pub(crate) fn own_pid() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getpid() }
}

/// Ends the process without any handler.
pub(crate) fn exit(code: c_int) -> ! {
    // SAFETY: takes a plain number.
    unsafe { libc::_exit(code) }
}

/// setsid(2).
pub(crate) fn new_session() -> Result<(), Errno> {
    // SAFETY: takes nothing.
    done(unsafe { libc::setsid() }).map(drop)
}

/// dup3(2) without flags.
pub(crate) fn place(from: c_int, to: c_int) -> Result<(), Errno> {
    place_with(from, to, 0)
}

/// dup3(2).
pub(crate) fn place_with(from: c_int, to: c_int, flags: c_int) -> Result<(), Errno> {
    // SAFETY: takes plain numbers.
    done(unsafe { libc::dup3(from, to, flags) }).map(drop)
}

/// `F_DUPFD_CLOEXEC`, see fcntl(2).
pub(crate) fn duplicate_at_least(fd: c_int, least: c_int) -> Result<c_int, Errno> {
    // SAFETY: takes plain numbers.
    done(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) })
}

/// `F_GETFD` or `F_GETFL`, see fcntl(2).
pub(crate) fn flags(fd: c_int, which: c_int) -> Result<c_int, Errno> {
    // SAFETY: takes plain numbers.
    done(unsafe { libc::fcntl(fd, which) })
}

/// fchdir(2).
pub(crate) fn enter_directory(fd: c_int) -> Result<(), Errno> {
    // SAFETY: takes a plain number.
    done(unsafe { libc::fchdir(fd) }).map(drop)
}

/// close(2); nothing can be done about a failure.
pub(crate) fn close(fd: c_int) {
    // SAFETY: takes a plain number; every caller owns what it closes.
    unsafe { libc::close(fd) };
}

/// close_range(2), both ends included.
pub(crate) fn close_range(first: c_int, last: c_int) -> Result<(), Errno> {
    let [first, last] = [first, last].map(c_int::cast_unsigned);
    // SAFETY: takes plain numbers.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// fstat(2).
pub(crate) fn file_status(fd: c_int) -> Result<libc::stat, Errno> {
    // SAFETY: all-zero bytes are a valid `stat`, whose fields are numbers.
    let mut status = unsafe { core::mem::zeroed() };
    // SAFETY: the kernel writes one `stat` where there is room for one.
    done(unsafe { libc::fstat(fd, &raw mut status) }).map(|_zero| status)
}

/// The process's own number of threads.
pub(crate) fn thread_count() -> Result<i64, Errno> {
    // SAFETY: as in `file_status`.
    let mut status: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: the path is NUL-terminated, and there is room for one `stat`.
    done(unsafe { libc::stat(c"/proc/self/task".as_ptr(), &raw mut status) })?;
    /// A directory is linked by its own name and by `.`; the kernel adds one for each thread.
    const LINKS_OF_EMPTY: u64 = 2;
    Ok(status.st_nlink.saturating_sub(LINKS_OF_EMPTY).cast_signed())
}

/// readlink(2): how many bytes of `buffer` it filled.
pub(crate) fn read_link(path: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the path is NUL-terminated, and the kernel writes no more than the buffer holds.
    let read = unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(read).map_err(|_negative| errno())
}

/// Opens an existing file by a system call, not by a function that this library replaces.
pub(crate) fn open_existing(path: &CStr, flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: the path is NUL-terminated; without O_CREAT there is no mode.
    let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) };
    c_int::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(errno)
}

/// Moves a file's offset to `offset` from the start, see lseek(2).
pub(crate) fn seek(fd: c_int, offset: i64, whence: c_int) -> Result<i64, Errno> {
    // SAFETY: takes plain numbers.
    let at = unsafe { libc::lseek(fd, offset, whence) };
    if at < 0 { Err(errno()) } else { Ok(at) }
}

/// pipe2(2): the end to read from, and the end to write to.
pub(crate) fn pipe(flags: c_int) -> Result<[c_int; 2], Errno> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two numbers where there is room for two.
    done(unsafe { libc::pipe2(ends.as_mut_ptr(), flags) }).map(|_zero| ends)
}

/// eventfd(2) with a count of 0.
pub(crate) fn event_counter(flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: takes plain numbers.
    done(unsafe { libc::eventfd(0, flags) })
}

/// pidfd_open(2).
pub(crate) fn open_process(pid: i32) -> Result<c_int, Errno> {
    // SAFETY: takes plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    c_int::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(errno)
}

/// Waits until one of `polled` has something to say.
pub(crate) fn poll(polled: &mut [libc::pollfd]) -> Result<(), Errno> {
    // SAFETY: the kernel writes only to the entries given.
    done(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) }).map(drop)
}

/// A child's exit status and what it used; `None` if it is no child of ours or has not ended.
pub(crate) fn reap(pid: i32) -> Option<(c_int, libc::rusage)> {
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid `rusage`, whose fields are numbers.
    let mut usage = unsafe { core::mem::zeroed() };
    // SAFETY: the kernel writes one status and one `rusage`, for which there is room.
    let reaped = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
    (reaped == pid).then_some((status, usage))
}

/// recvmsg(2): how many bytes came. Descriptors that came along are closed on exec.
pub(crate) fn receive_message(socket: c_int, message: &mut libc::msghdr) -> Result<usize, Errno> {
    // SAFETY: the header describes buffers that its maker keeps alive.
    let read = unsafe { libc::recvmsg(socket, message, libc::MSG_CMSG_CLOEXEC) };
    usize::try_from(read).map_err(|_negative| errno())
}

/// sendmsg(2).
pub(crate) fn send_message(socket: c_int, message: &libc::msghdr) -> Result<(), Errno> {
    // SAFETY: the header describes buffers that its maker keeps alive.
    let sent = unsafe { libc::sendmsg(socket, message, libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(errno()) } else { Ok(()) }
}

/// A fork with namespaces of its own, see clone(2): 0 in the child.
///
/// libc does not learn of it. What it keeps of the thread is its id, which the kernel is asked to correct, and the list
/// of robust mutexes, which is registered again.
pub(crate) fn clone_with(flags: u64) -> Result<libc::pid_t, Errno> {
    let mut thread_id: *mut c_int = core::ptr::null_mut();
    // SAFETY: the kernel writes one address where there is room for one.
    done(unsafe { libc::prctl(libc::PR_GET_TID_ADDRESS, &raw mut thread_id) })?;
    let mut robust: [usize; 2] = [0; 2];
    let [head, length] = &mut robust;
    // SAFETY: the kernel writes an address and a length where there is room for each.
    let known = unsafe { libc::syscall(libc::SYS_get_robust_list, 0, head, length) };
    let tid_flags = (libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID).cast_unsigned();
    let is_ours = flags & u64::from(libc::CLONE_PARENT.cast_unsigned()) == 0;
    // A sibling of this process takes its parent's signal from it.
    let exit_signal = if is_ours { u64::from(libc::SIGCHLD.cast_unsigned()) } else { 0 };
    // SAFETY: all-zero bytes are valid arguments.
    let mut arguments: libc::clone_args = unsafe { core::mem::zeroed() };
    arguments.flags = flags | u64::from(tid_flags);
    arguments.child_tid = thread_id as u64;
    arguments.exit_signal = exit_signal;
    let size = size_of::<libc::clone_args>();
    // SAFETY: without CLONE_VM the child has a copy of this stack and goes on from here; its thread id is written where
    // libc keeps it.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) };
    if pid == 0 && known == 0 {
        let [head, length] = robust;
        // SAFETY: the address and length that libc had registered.
        unsafe { libc::syscall(libc::SYS_set_robust_list, head, length) };
    }
    libc::pid_t::try_from(pid).ok().filter(|pid| *pid >= 0).ok_or_else(errno)
}
