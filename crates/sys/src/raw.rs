//! System calls by number, without libc.
//!
//! libc keeps errno in thread-local storage, which a stub that shares the launcher's memory also shares. These
//! functions return the error instead, so that code running on a borrowed stack disturbs nobody.
#![expect(unsafe_code, reason = "a system call instruction cannot be expressed in safe Rust")]
#![expect(clippy::cast_possible_truncation, reason = "c_long and isize have one width on x86_64")]

use core::arch::asm;

use rustix::io::Errno;

/// Makes system call `number`.
///
/// # Safety
///
/// The arguments must satisfy the contract of that call: pointers valid for what the kernel reads and writes.
#[inline]
pub(crate) unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the kernel clobbers only rax, rcx and r11, all declared; the caller answers for the arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    // The kernel returns -4095..-1 for errors and nothing else in that range.
    if (-4095..0).contains(&result) {
        let code = i32::try_from(-result).expect("errors lie between 1 and 4095");
        Err(Errno::from_raw_os_error(code))
    } else {
        Ok(result.cast_unsigned())
    }
}
