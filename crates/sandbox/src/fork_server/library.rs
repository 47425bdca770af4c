//! The library that is preloaded into interpreters, as a file without a name.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// Built by `build.rs`.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/librollcage_shim.so"));

/// The file, made when it is first needed. Nobody can change it.
pub(crate) fn file() -> Result<BorrowedFd<'static>, Errno> {
    static FILE: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(file) = FILE.get() {
        return Ok(file.as_fd());
    }
    let made = memfd_create("rollcage-shim", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = LIBRARY;
    while !rest.is_empty() {
        let written = rustix::io::write(&made, rest)?;
        rest = &rest[written..];
    }
    fcntl_add_seals(&made, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    // Whoever is second gives up a copy of the same.
    Ok(FILE.get_or_init(|| made).as_fd())
}
