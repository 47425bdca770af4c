//! Standard input of a session's interpreter, for agents in languages that cannot replace a descriptor.
//!
//! At first it is the socket to the supervisor. Opening `/rollcage/channel` gives another descriptor of that, and leaves nothing on
//! standard input, so that no cell meets the socket there. Opening `/rollcage/input` puts in its place what an agent has written into
//! `/tmp/.rollcage-input`, and removes that; without it there is nothing again.

use core::ffi::{CStr, c_int};
use core::sync::atomic::{AtomicI32, Ordering};

use crate::raw;

const CHANNEL: &CStr = c"/rollcage/channel";
const INPUT: &CStr = c"/rollcage/input";
const GIVEN: &CStr = c"/tmp/.rollcage-input";
const NOTHING: &CStr = c"/dev/null";
/// Descriptors that cells do not meet.
const KEPT_FROM: c_int = 64;

/// The socket, once it is no longer standard input.
static KEPT: AtomicI32 = AtomicI32::new(-1);

/// If a path asks for the socket: another descriptor of it.
pub(crate) fn channel(path: &CStr) -> Option<c_int> {
    (path == CHANNEL).then(|| another().unwrap_or(-1))
}

fn another() -> Result<c_int, raw::Errno> {
    let mut kept = KEPT.load(Ordering::Relaxed);
    if kept < 0 {
        kept = raw::duplicate_at_least(0, KEPT_FROM)?;
        replace_by(NOTHING)?;
        KEPT.store(kept, Ordering::Relaxed);
    }
    raw::duplicate_at_least(kept, KEPT_FROM)
}

/// If a path asks for a cell's input: gives it, and what is opened in place of the path.
pub(crate) fn look_at(path: &CStr) -> Option<&'static CStr> {
    if path != INPUT {
        return None;
    }
    if replace_by(GIVEN).is_ok() {
        raw::remove(GIVEN);
        return Some(NOTHING);
    }
    replace_by(NOTHING).ok().map(|()| NOTHING)
}

fn replace_by(path: &CStr) -> Result<(), raw::Errno> {
    let opened = raw::open_existing(path, libc::O_RDONLY | libc::O_CLOEXEC)?;
    raw::place_with(opened, 0, 0)?;
    raw::close(opened);
    Ok(())
}
