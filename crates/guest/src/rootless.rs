//! User namespaces: how a process without privilege gets to make cages.
//!
//! The launcher becomes root of a namespace in which one id is mapped, its own. Each cage then gets a namespace of its
//! own below that: resource limits that count by user count per namespace, and a cage's privileges over its mounts
//! reach no other.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rollcage_sys::Errno;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::thread::{
    CapabilitySet, UnshareFlags, remove_capability_from_bounding_set, set_no_new_privs, unshare_unsafe,
};

use crate::small_text::SmallText;

/// A step that failed, to follow the word "cannot".
pub(crate) type Failed = (&'static str, Errno);

/// Makes the calling process root of a new user namespace and starts its executable again with `arguments`: the memory
/// of a process belongs to the user namespace in which it was executed, and ours must belong to the new one, or stubs,
/// which share it, could not write their own maps.
pub(crate) fn enter_and_restart(arguments: &[std::ffi::OsString]) -> Failed {
    if let Err(failed) = become_root() {
        return failed;
    }
    let error = Command::new("/proc/self/exe").args(arguments).exec();
    ("execute the launcher in its user namespace", Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Makes the calling process, which must have one thread, root of a new user namespace. Allocates nothing.
#[expect(unsafe_code, reason = "unsharing is unsafe in a process with threads")]
pub(crate) fn become_root() -> Result<(), Failed> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // SAFETY: this process has one thread, so no other depends on what is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.map_err(|errno| ("make a user namespace", errno))?;
    // Groups may not be changed by whoever maps them without privilege: it could leave a group that is denied access.
    let maps = [
        (c"/proc/self/setgroups", SmallText::new().text("deny")),
        (c"/proc/self/uid_map", SmallText::new().text("0 ").number(u64::from(uid)).text(" 1")),
        (c"/proc/self/gid_map", SmallText::new().text("0 ").number(u64::from(gid)).text(" 1")),
    ];
    maps.iter().try_for_each(|(path, text)| {
        write(path, text).map_err(|errno| ("map the user to root of the user namespace", errno))
    })
}

/// Maps the one id there is to `uid`, in the user namespace of a stub. Allocates nothing.
pub(crate) fn map_to(uid: u32) -> Result<(), Errno> {
    let map = || SmallText::new().number(u64::from(uid)).text(" 0 1");
    write(c"/proc/self/uid_map", &map())?;
    write(c"/proc/self/gid_map", &map())
}

/// Empties the bounding set, which a new user namespace starts with full. Allocates nothing.
pub(crate) fn empty_bounding_set() -> Result<(), Errno> {
    for capability in CapabilitySet::all() {
        // Kernels know fewer capabilities than the headers may; what they do not know cannot be gained.
        match remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    set_no_new_privs(true)
}

fn write(path: &core::ffi::CStr, text: &SmallText) -> Result<(), Errno> {
    let file = openat(CWD, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes()).map(|_written| ())
}
