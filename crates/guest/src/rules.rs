//! The Landlock rules every program runs under.
//!
//! One ruleset serves all cages: rules hold on directories of the template, and `/ws` lies above each cage's
//! own workspace mount. A rule on the mount point itself would not reach what is mounted over it.

use std::os::fd::{AsFd as _, OwnedFd};

use rollcage_sys::Errno;
use rollcage_sys::landlock::{self, Handled, access};
use rustix::fs::{CWD, Mode, OFlags, openat};

const READ: u64 = access::EXECUTE | access::READ_FILE | access::READ_DIR;
const WRITE: u64 = access::WRITE_FILE
    | access::REMOVE_DIR
    | access::REMOVE_FILE
    | access::MAKE_DIR
    | access::MAKE_REG
    | access::MAKE_SOCK
    | access::MAKE_FIFO
    | access::MAKE_SYM
    | access::REFER
    | access::TRUNCATE;
/// Rights no rule grants: nobody makes device nodes or calls ioctl on devices.
const NEVER: u64 = access::MAKE_CHAR | access::MAKE_BLOCK | access::IOCTL_DEV;

/// TCP bind and connect, granted nowhere.
const NETWORK: u64 = 0b11;
/// Abstract unix sockets and signals stay within the cage.
const SCOPES: u64 = 0b11;

/// Device files a program may write to.
const WRITABLE_DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Makes the ruleset. The calling process must already be in the template. `None` without Landlock.
pub(crate) fn ruleset() -> Result<Option<(u32, OwnedFd)>, Errno> {
    let Ok(abi) = landlock::abi() else { return Ok(None) };
    // Rights and scopes that an older kernel does not know must not be named to it.
    let known = match abi {
        0 | 1 => access::MAKE_SYM * 2 - 1,
        2 => access::REFER * 2 - 1,
        3 | 4 => access::TRUNCATE * 2 - 1,
        _ => access::IOCTL_DEV * 2 - 1,
    };
    let handled = Handled {
        file_system: (READ | WRITE | NEVER) & known,
        network: if abi >= 4 { NETWORK } else { 0 },
        scoped: if abi >= 6 { SCOPES } else { 0 },
    };
    let ruleset = landlock::create_ruleset(&handled)?;
    let allow = |path: &str, rights: u64| -> Result<(), Errno> {
        let beneath = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        landlock::allow_beneath(ruleset.as_fd(), beneath.as_fd(), rights & handled.file_system)
    };
    allow("/", READ)?;
    allow("/ws", READ | WRITE)?;
    for device in WRITABLE_DEVICES {
        allow(device, access::READ_FILE | access::WRITE_FILE)?;
    }
    Ok(Some((abi, ruleset)))
}
