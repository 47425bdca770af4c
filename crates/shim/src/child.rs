//! From the clone to the point at which the interpreter goes on, in the child: it becomes what a cold start would have
//! made.
//!
//! It makes system calls and nothing else. The order matters, and each comment says what has to come before.

use crate::confine;
use crate::descriptors::Own;
use crate::raw::{self, Errno};
use crate::wire::{DESCRIPTORS_FIXED, Stage};

/// What a child is made of.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) server_pid: i32,
    pub(crate) steps: u64,
    /// Standard input, output and error, the directory, and those of the confinement; each above 2.
    pub(crate) descriptors: &'a [i32],
    pub(crate) own: &'a Own,
}

/// Puts the child in its place. Signals stay blocked: the interpreter has yet to learn that it forked.
pub(crate) fn settle(plan: &Plan<'_>) -> Result<(), (Stage, Errno)> {
    let at = |stage: Stage| move |errno| (stage, errno);
    // Libraries tell a fork by a changed process id. OpenSSL would go on with its parent's random numbers, and so would
    // every sibling.
    if raw::own_pid() == plan.server_pid {
        return Err((Stage::OwnPid, libc::EEXIST));
    }
    let (fixed, others) =
        plan.descriptors.split_at_checked(DESCRIPTORS_FIXED).ok_or((Stage::Decode, libc::EBADMSG))?;
    raw::new_session().map_err(at(Stage::Session))?;
    plan.own.make_private().map_err(at(Stage::OwnDescriptors))?;
    for (&fd, target) in fixed.iter().zip(0..=2) {
        raw::place(fd, target).map_err(at(Stage::Stdio))?;
    }
    // Before the confinement, which may forbid the way to it.
    let directory = fixed.last().copied().unwrap_or(-1);
    raw::enter_directory(directory).map_err(at(Stage::Directory))?;
    confine::take_on(plan.steps, others).map_err(at(Stage::Confine))?;
    // After the last use of a descriptor that came with the request; takes the server's socket too, so that nothing of
    // the program's can speak for the server.
    plan.own.close_others().map_err(at(Stage::CloseDescriptors))
}
