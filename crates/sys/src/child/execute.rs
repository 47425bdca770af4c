//! A child that becomes the program by executing it.
#![expect(unsafe_code, reason = "raw system calls on a borrowed stack")]

use core::ffi::{c_char, c_void};

use rustix::io::Errno;

use crate::child::confine::{confine, exit};
use crate::child::prepared::PreparedChild;
use crate::child::stage::Stage;
use crate::raw::syscall;

/// What a child takes on, and then becomes.
#[derive(Debug)]
pub struct Execution {
    /// Its confinement.
    pub child: PreparedChild,
    /// Paths to try, in order, NULL at the end.
    pub programs: *const *const c_char,
    /// As execve wants it.
    pub argv: *const *const c_char,
    /// As execve wants it.
    pub envp: *const *const c_char,
}

/// Confines the calling process and becomes the program. For [`crate::clone::spawn_sharing_memory`].
///
/// # Safety
///
/// `argument` points to an [`Execution`] whose every pointer is valid until this process has called execve or ended.
pub unsafe extern "C" fn confine_and_execute(argument: *mut c_void) -> ! {
    // SAFETY: the caller passes a live Execution that nobody changes while we run.
    let execution = unsafe { &*argument.cast_const().cast::<Execution>() };
    // SAFETY: the caller vouches for every pointer inside.
    let (stage, errno) = match unsafe { confine(&execution.child) } {
        Err(failed) => failed,
        // SAFETY: as above.
        Ok(()) => (Stage::Exec, unsafe { execute(execution) }),
    };
    // SAFETY: `failure` is valid by the contract of PreparedChild.
    unsafe { &*execution.child.failure }.record(stage, errno);
    exit(127)
}

/// Tries each path in turn and returns why the most telling one failed.
///
/// # Safety
///
/// Every pointer in `execution` must be valid.
unsafe fn execute(execution: &Execution) -> Errno {
    let mut answer = Errno::NOENT;
    let mut at = execution.programs;
    loop {
        // SAFETY: `programs` is a list of pointers that ends with NULL, and `at` has not passed it.
        let path = unsafe { *at };
        if path.is_null() {
            return answer;
        }
        let args = [path as usize, execution.argv as usize, execution.envp as usize, 0, 0, 0];
        // SAFETY: the path is NUL-terminated and both lists end with NULL.
        if let Err(errno) = unsafe { syscall(libc::SYS_execve, args) } {
            // Like execvp(3): a file that is there but may not run says more than one that is missing.
            if errno != Errno::NOENT && errno != Errno::NOTDIR {
                answer = errno;
            }
        }
        // SAFETY: the element just read was not the last.
        at = unsafe { at.add(1) };
    }
}
