//! What a process has from whoever started it, put to known values.
//!
//! A cage must not depend on the shell, service or session its supervisor came from: an umask, a limit or an ignored
//! signal from there would show up in programs as behaviour of their own.
#![expect(unsafe_code, reason = "the C library refuses to reset the two signals it keeps to itself")]

use std::fs;
use std::io;
use std::ptr;

use rollcage_sys::Errno;
use rollcage_types::IsolationLevel;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet, CapabilitySets};

/// Limits of the starter's that no request sets, and their values: none, but for those that let a process take
/// precedence over others. (Memory and processes are limited by cgroups.)
const LIMITS: [(Resource, Option<u64>); 6] = [
    (Resource::As, None),
    (Resource::Data, None),
    (Resource::Rss, None),
    (Resource::Nproc, None),
    (Resource::Rtprio, Some(0)),
    (Resource::Nice, Some(0)),
];

/// Where a process says how readily it is killed when memory runs out.
const OOM_SCORE: &str = "/proc/self/oom_score_adj";
/// What the kernel tells of the network namespace, which all cages share.
const NETWORK_TABLES: &str = "/proc/self/net";

/// A step that failed, to follow the word "cannot".
pub(crate) type Failed = (&'static str, Errno);

fn failed(action: &'static str) -> impl FnOnce(Errno) -> Failed {
    move |errno| (action, errno)
}

/// Resets all that is inherited but privileges, which are still needed. For a process that still sees the host's
/// `/proc`, and is in namespaces of its own where the level has any.
pub(crate) fn reset(level: IsolationLevel) -> Result<(), Failed> {
    reset_signals();
    // With a stricter one the template's directories would be closed to programs.
    umask(Mode::WGRP | Mode::WOTH);
    for (resource, value) in LIMITS {
        reset_limit(resource, value).map_err(failed("reset a resource limit"))?;
    }
    be_killable().map_err(|error| ("reset the out-of-memory score", errno(&error)))?;
    if level == IsolationLevel::Full {
        // Nothing below this process has any use for the supervisor's groups. Without privilege nobody may leave one.
        rustix::thread::set_thread_groups(&[]).map_err(failed("drop supplementary groups"))?;
    }
    if level != IsolationLevel::Process {
        hide_network_tables().map_err(|error| ("hide the network namespace's tables", errno(&error)))?;
    }
    Ok(())
}

/// Gives up all ways to gain a capability; those this process has it keeps.
pub(crate) fn seal_capabilities(level: IsolationLevel) -> Result<(), Failed> {
    if level == IsolationLevel::Process {
        // Without privilege the bounding set cannot be changed; and with this, nothing in it can be gained.
        return rustix::thread::set_no_new_privs(true).map_err(failed("set no_new_privs"));
    }
    // With these set, leaving uid 0 would not take capabilities away.
    rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::empty())
        .map_err(failed("clear the secure bits"))?;
    // With an empty bounding set no exec can gain one.
    for capability in CapabilitySet::all() {
        // Kernels know fewer capabilities than the headers may; what they do not know cannot be gained.
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(("drop the capability bounding set", errno)),
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(failed("drop ambient capabilities"))?;
    rustix::thread::capabilities(None)
        .and_then(|held| {
            rustix::thread::set_capabilities(
                None,
                CapabilitySets { inheritable: CapabilitySet::empty(), ..held },
            )
        })
        .map_err(failed("drop inheritable capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(failed("set no_new_privs"))
}

/// Signals this process was started ignoring (SIGPIPE by Rust, SIGHUP by nohup, SIGINT by a shell's background job)
/// would stay ignored in every program.
fn reset_signals() {
    /// Of the kernel; the C library keeps two of them to itself and would not reset those.
    const SIGNALS: i32 = 64;
    // A kernel sigaction of zeros is the default action with no flags.
    let default_action = [0_u64; 4];
    for signal in 1..=SIGNALS {
        // SAFETY: the action is as long as the kernel's struct, which it only reads; no old action is asked for;
        // and setting a signal to its default action runs no code of ours. SIGKILL and SIGSTOP are refused, and
        // need none.
        unsafe {
            let (action, old) = (default_action.as_ptr(), ptr::null_mut::<u64>());
            libc::syscall(libc::SYS_rt_sigaction, signal, action, old, size_of::<u64>());
        }
    }
}

/// Lifting a limit takes a privilege that containers are often denied; then the most that is left is taken.
fn reset_limit(resource: Resource, value: Option<u64>) -> Result<(), Errno> {
    match setrlimit(resource, Rlimit { current: value, maximum: value }) {
        Err(Errno::PERM) if value.is_none() => {
            let maximum = getrlimit(resource).maximum;
            setrlimit(resource, Rlimit { current: maximum, maximum })
        }
        done => done,
    }
}

/// A service that the host protects from the out-of-memory killer would protect its programs too: one at its memory
/// limit would hang instead of being killed. Raising the score takes no privilege, and a score that says to be killed
/// early is kept.
fn be_killable() -> io::Result<()> {
    let protected = fs::read_to_string(OOM_SCORE)?.trim_start().starts_with('-');
    if protected { fs::write(OOM_SCORE, "0") } else { Ok(()) }
}

/// A cage would read there what its neighbours' sockets are called, and by that be told things by them. The modes belong
/// to the namespace, so each cage's own `/proc` shows them too. Not even their owner may read them, who in a user
/// namespace is the program's own user.
fn hide_network_tables() -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs::read_dir(NETWORK_TABLES)? {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o000))?;
    }
    Ok(())
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
