//! One thin typed function per Linux system call that rustix lacks, and the code between clone and exec.
//!
//! With `rollcage-guest` this is the only crate that may hold unsafe code. Nothing here decides anything: which
//! namespaces, rules and limits a cage gets is said by the caller.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!(
    "rollcage runs on x86_64 Linux only: the system call layer and the seccomp rules are written for it"
);

pub mod child;
pub mod clone;
pub mod descriptors;
pub mod heap;
pub mod identity;
pub mod interface;
pub mod landlock;
pub mod mapping;
pub mod mount;
pub mod notification;
pub mod page_out;
pub mod pidfd;
pub mod process_map;
mod raw;
pub mod seccomp;
pub mod signals;
pub mod stack;
pub mod wait;

pub use rustix::io::Errno;
