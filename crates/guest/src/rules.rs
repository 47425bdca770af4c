//! The Landlock rules every program runs under.
//!
//! Cages with a mount namespace share one ruleset: rules hold on directories of the template, and `/ws` lies above each
//! cage's own workspace mount. (A rule on the mount point itself would not reach what is mounted over it.) Cages without
//! one see the host's own tree, so each gets a ruleset that names its own directories.

use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rollcage_sys::Errno;
use rollcage_sys::landlock::{self, Handled, access};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::host_files::{ETC_ENTRIES, ETC_INSISTED_ON, HOST_TREES, is_wanted_in_etc};
use crate::protocol::Wiring;

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
/// Rights that a rule on a file, not a directory, may name.
const OF_FILES: u64 = access::EXECUTE | access::READ_FILE | access::WRITE_FILE | access::TRUNCATE;

/// TCP bind and connect, granted nowhere.
const NETWORK: u64 = 0b11;
/// Abstract unix sockets and signals stay within the cage.
const SCOPES: u64 = 0b11;
const SIGNAL_SCOPE: u64 = 0b10;

/// The first version of the interface that scopes signals.
pub(crate) const SCOPING_ABI: u32 = 6;

/// Device files a program may write to.
const WRITABLE_DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What this kernel lets a ruleset take control of. Rights and scopes that it does not know must not be named to it.
fn handled(abi: u32) -> Handled {
    let known = match abi {
        0 | 1 => access::MAKE_SYM * 2 - 1,
        2 => access::REFER * 2 - 1,
        3 | 4 => access::TRUNCATE * 2 - 1,
        _ => access::IOCTL_DEV * 2 - 1,
    };
    Handled {
        file_system: (READ | WRITE | NEVER) & known,
        network: if abi >= 4 { NETWORK } else { 0 },
        scoped: if abi >= SCOPING_ABI { SCOPES } else { 0 },
    }
}

/// Makes the ruleset of all cages that start from the template, in which the calling process must already be.
pub(crate) fn of_template(abi: u32, wiring: Wiring) -> Result<OwnedFd, Errno> {
    let mut handled = handled(abi);
    if wiring == Wiring::Wired {
        // The namespace is the cage's own, and there is nothing in it to keep away from.
        handled.network = 0;
    }
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
    Ok(ruleset)
}

/// What all cages without a mount namespace may see of the host, opened once.
#[derive(Debug)]
pub(crate) struct Grants {
    handled: Handled,
    open: Vec<(OwnedFd, u64)>,
}

impl Grants {
    /// Opens what there is of the host's toolchains.
    pub(crate) fn collect(abi: u32) -> Result<Self, Errno> {
        let mut grants = Self { handled: handled(abi), open: Vec::new() };
        for name in HOST_TREES {
            grants.add(&Path::new("/").join(name), READ)?;
        }
        let etc = Path::new("/etc");
        for name in ETC_ENTRIES.iter().chain(&ETC_INSISTED_ON) {
            grants.add(&etc.join(name), READ)?;
        }
        for entry in fs::read_dir(etc).into_iter().flatten().flatten() {
            if is_wanted_in_etc(&entry.file_name().to_string_lossy()) {
                grants.add(&entry.path(), READ)?;
            }
        }
        for device in WRITABLE_DEVICES {
            grants.add(Path::new(device), access::READ_FILE | access::WRITE_FILE)?;
        }
        Ok(grants)
    }

    /// A host need not have all of them.
    fn add(&mut self, path: &Path, rights: u64) -> Result<(), Errno> {
        let open = match openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            open => open?,
        };
        let is_directory = fs::metadata(path).is_ok_and(|metadata| metadata.is_dir());
        let rights = if is_directory { rights } else { rights & OF_FILES };
        self.open.push((open, rights & self.handled.file_system));
        Ok(())
    }

    /// A ruleset for one cage, whose `own` directories may be written. Allocates nothing: stubs call it.
    pub(crate) fn ruleset(&self, own: [BorrowedFd<'_>; 2]) -> Result<OwnedFd, Errno> {
        let ruleset = landlock::create_ruleset(&self.handled)?;
        for (beneath, rights) in &self.open {
            landlock::allow_beneath(ruleset.as_fd(), beneath.as_fd(), *rights)?;
        }
        for directory in own {
            let rights = (READ | WRITE) & self.handled.file_system;
            landlock::allow_beneath(ruleset.as_fd(), directory, rights)?;
        }
        Ok(ruleset)
    }
}

/// A ruleset that leaves files alone, and keeps the signals of whoever takes it on among its descendants.
pub(crate) fn signal_scope() -> Result<OwnedFd, Errno> {
    landlock::create_ruleset(&Handled { scoped: SIGNAL_SCOPE, ..Handled::default() })
}
