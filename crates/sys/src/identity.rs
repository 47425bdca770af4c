//! Whose files a thread makes, which only setfsuid(2) changes for one thread alone.
#![expect(unsafe_code, reason = "rustix has no setfsuid")]

use crate::raw::syscall;

/// While it lives, the calling thread uses files as another user. For root, whose own id a file system of somebody's
/// user namespace does not know. Not sent to other threads, because it is this one's state.
#[derive(Debug)]
pub struct FileUser {
    before: [usize; 2],
    _of_this_thread: core::marker::PhantomData<*const ()>,
}

impl FileUser {
    /// Becomes `uid` and the group of the same number, as far as files are concerned.
    pub fn become_user(uid: u32) -> Self {
        // The group first: leaving uid 0 takes the privilege to change it away.
        let gid = set(libc::SYS_setfsgid, uid as usize);
        let before = [set(libc::SYS_setfsuid, uid as usize), gid];
        Self { before, _of_this_thread: core::marker::PhantomData }
    }
}

impl Drop for FileUser {
    fn drop(&mut self) {
        set(libc::SYS_setfsuid, self.before[0]);
        set(libc::SYS_setfsgid, self.before[1]);
    }
}

/// These calls never fail; without the privilege they change nothing, and what is then done with files is refused.
fn set(call: libc::c_long, id: usize) -> usize {
    // SAFETY: a plain number is passed, and no memory is read.
    unsafe { syscall(call, [id, 0, 0, 0, 0, 0]) }.unwrap_or(id)
}
