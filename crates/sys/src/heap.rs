//! How many heaps the C library's allocator keeps.
#![expect(unsafe_code, reason = "mallopt is a function of the C library")]

/// Has all threads of this process share this many heaps, where the allocator is glibc's. By default it keeps up to eight
/// for each processor and gives little back of any: a supervisor whose threads take outputs of megabytes in turns grew
/// for as long as it ran.
///
/// [mallopt(3)](https://man7.org/linux/man-pages/man3/mallopt.3.html)
pub fn limit_heaps(count: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes two numbers, and is made before any other thread is started or at any time later.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, count);
    }
    #[cfg(not(target_env = "gnu"))]
    let _no_such_setting = count;
}
