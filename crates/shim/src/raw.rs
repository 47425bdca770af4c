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

/// The user and the group.
pub(crate) fn own_user() -> (libc::uid_t, libc::gid_t) {
    // SAFETY: takes nothing and cannot fail.
    let uid = unsafe { libc::getuid() };
    // SAFETY: as above.
    (uid, unsafe { libc::getgid() })
}

/// Ends the process without any handler.
pub(crate) fn exit(code: c_int) -> ! {
    // SAFETY: takes a plain number.
    unsafe { libc::_exit(code) }
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

/// Makes an empty file, or finds one.
pub(crate) fn make_file(path: &CStr) -> Result<(), Errno> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC;
    // SAFETY: the path is NUL-terminated.
    let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0o600) };
    close(c_int::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(errno)?);
    Ok(())
}

/// mkdir(2), for the owner alone.
pub(crate) fn make_directory(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is NUL-terminated.
    done(unsafe { libc::mkdir(path.as_ptr(), 0o700) }).map(drop)
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

/// Whether the process has a child.
pub(crate) fn has_child() -> bool {
    // SAFETY: all-zero bytes are a valid `siginfo_t`.
    let mut information: libc::siginfo_t = unsafe { core::mem::zeroed() };
    let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: there is room for one `siginfo_t`.
    done(unsafe { libc::waitid(libc::P_ALL, 0, &raw mut information, how) }).is_ok()
}

/// Whether there is something to read, or its end, within so many milliseconds.
pub(crate) fn is_readable_within(fd: &impl std::os::fd::AsRawFd, milliseconds: c_int) -> bool {
    let mut polled = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the kernel writes to the one entry given.
    unsafe { libc::poll(&raw mut polled, 1, milliseconds) > 0 }
}

/// Waits until there is something to read, or its end.
pub(crate) fn wait_readable(fd: c_int) {
    let mut polled = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: the kernel writes to the one entry given.
    while unsafe { libc::poll(&raw mut polled, 1, -1) } < 0 && errno() == libc::EINTR {}
}

/// Whole seconds of processor time that the process has used.
pub(crate) fn used_seconds() -> u64 {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for one `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut used) };
    u64::try_from(used.tv_sec).unwrap_or(0)
}

/// Lowers a limit of this process, soft and hard.
pub(crate) fn lower_limit(resource: libc::__rlimit_resource_t, value: u64) -> Result<(), Errno> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: reads one `rlimit`.
    done(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop)
}

/// A fork of which the C library does not learn: 0 in the child.
pub(crate) fn copy_process() -> Result<libc::pid_t, Errno> {
    // SAFETY: this library's process has one thread when it asks. What the C library registered with the kernel is not
    // renewed, which a short program without threads does not miss.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    libc::pid_t::try_from(pid).ok().filter(|pid| *pid >= 0).ok_or_else(errno)
}

/// Has the kernel make large pages of memory, if it can.
pub(crate) fn collapse(start: usize, length: usize) {
    /// `MADV_COLLAPSE` of Linux 6.1.
    const COLLAPSE: c_int = 25;
    // SAFETY: changes no content.
    unsafe { libc::madvise(core::ptr::with_exposed_provenance_mut(start), length, COLLAPSE) };
}

/// Ends the process at its exit before the ends of libraries that were there before the program.
pub(crate) fn on_exit(end: extern "C" fn(c_int, *mut c_void)) {
    unsafe extern "C" {
        fn on_exit(end: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    }
    // SAFETY: the function lives as long as the process.
    unsafe { on_exit(end, core::ptr::null_mut()) };
}

/// Ends and reaps a child that may have ended.
pub(crate) fn end_child(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the child was not reaped, so the number is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: there is room for one status.
    unsafe { libc::waitpid(pid, &raw mut status, 0) };
}

/// The address that thread-local storage is found by.
pub(crate) fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: on x86_64 the word there is its own address, by the ABI for thread-local storage.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags));
    };
    pointer
}

/// Opens the existing file at `path` under the number `fd`, which keeps its flags.
pub(crate) fn replace_by(path: &CStr, fd: c_int) -> Result<(), Errno> {
    let status = flags(fd, libc::F_GETFL)?;
    let on_exec = flags(fd, libc::F_GETFD)?;
    let opened = open_existing(path, status | libc::O_CLOEXEC)?;
    let placed = place_with(opened, fd, if on_exec & libc::FD_CLOEXEC == 0 { 0 } else { libc::O_CLOEXEC });
    close(opened);
    placed
}

/// readlink(2): how many bytes of `buffer` it filled.
pub(crate) fn read_link(path: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the path is NUL-terminated, and the kernel writes no more than the buffer holds.
    let read = unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    usize::try_from(read).map_err(|_negative| errno())
}

/// read(2), by a system call: how many bytes of `buffer` it filled.
pub(crate) fn read(fd: c_int, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes no more than the buffer holds.
    let read = unsafe { libc::syscall(libc::SYS_read, fd, buffer.as_mut_ptr(), buffer.len()) };
    usize::try_from(read).map_err(|_negative| errno())
}

/// stat(2), which follows links.
pub(crate) fn path_status(path: &CStr) -> Result<libc::stat, Errno> {
    // SAFETY: all-zero bytes are a stat.
    let mut status: libc::stat = unsafe { core::mem::zeroed() };
    // SAFETY: the path is NUL-terminated, and the kernel fills one structure.
    done(unsafe { libc::stat(path.as_ptr(), &raw mut status) })?;
    Ok(status)
}

/// unlink(2); one that is not there is gone already.
pub(crate) fn remove(path: &CStr) {
    // SAFETY: the path is NUL-terminated.
    unsafe { libc::unlink(path.as_ptr()) };
}

/// access(2).
pub(crate) fn may_access(path: &CStr, how: c_int) -> Result<(), Errno> {
    // SAFETY: the path is NUL-terminated.
    done(unsafe { libc::access(path.as_ptr(), how) }).map(drop)
}

/// pread(2) from the start, by a system call: how many bytes of `buffer` it filled.
pub(crate) fn read_start(fd: c_int, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes no more than the buffer holds.
    let read = unsafe { libc::syscall(libc::SYS_pread64, fd, buffer.as_mut_ptr(), buffer.len(), 0_i64) };
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

/// write(2), by a system call, until all is written.
pub(crate) fn write_all(fd: c_int, bytes: &[u8]) -> Result<(), Errno> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: the kernel reads no more than there is.
        let written = unsafe { libc::syscall(libc::SYS_write, fd, rest.as_ptr(), rest.len()) };
        match usize::try_from(written) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(_negative) if errno() == libc::EINTR => {}
            Err(_negative) => return Err(errno()),
        }
    }
    Ok(())
}

/// chdir(2).
pub(crate) fn change_directory(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is NUL-terminated.
    done(unsafe { libc::chdir(path.as_ptr()) }).map(drop)
}

/// setsid(2); one that leads a session already goes on leading it.
pub(crate) fn new_session() {
    // SAFETY: takes nothing.
    unsafe { libc::setsid() };
}
