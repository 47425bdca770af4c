//! The place of the child's confinement: after it has its descriptors and its directory, before it closes what it must
//! not keep, and before anything of the interpreter runs again.
//!
//! There are no steps yet: a server is itself inside a cage. A step gets a bit of its own, takes its descriptors from
//! those that follow the fixed ones, and reports its errno. It may make system calls and nothing else.

use crate::raw::Errno;

/// The steps there are. A request for any other is refused: a child that lacks a part of its confinement does not run.
pub(crate) const KNOWN_STEPS: u64 = 0;

/// Takes on `steps`, in the order in which they have to happen.
///
/// `descriptors` are those of the request after the fixed ones.
pub(crate) fn take_on(steps: u64, descriptors: &[i32]) -> Result<(), Errno> {
    // Nobody may believe a descriptor used that no step asked for.
    if steps & !KNOWN_STEPS != 0 || !descriptors.is_empty() {
        return Err(libc::EOPNOTSUPP);
    }
    Ok(())
}
