//! Bash: its process id, its parent's, its user, its clock and its random numbers are taken when it starts.
//!
//! Without this `kill $$` in a program would signal the server, and all programs would draw the same `$RANDOM`.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::NonNull;
use std::ffi::CString;

use super::{exported, function};

type Procedure = unsafe extern "C" fn();
type BindVariable = unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> *mut c_void;

/// `ASS_FORCE` of bash's variables.h: also if the variable is read-only.
const FORCE: c_int = 0x20;

/// The beginning of bash's `struct user_info`.
#[repr(C)]
struct User {
    uid: libc::uid_t,
    euid: libc::uid_t,
    gid: libc::gid_t,
    egid: libc::gid_t,
}

/// What of bash has to be renewed. Debian's, and every other that is linked for loadable builtins, exports it.
pub(crate) struct Bash {
    /// `$$`.
    pid: NonNull<libc::pid_t>,
    /// What `$SECONDS` counts from.
    started: Option<NonNull<libc::timeval>>,
    /// `$PPID`.
    set_parent: Procedure,
    /// `$RANDOM`.
    seed: Option<Procedure>,
    /// What `$GROUPS` and privileged mode go by.
    user: NonNull<User>,
    /// `$UID` and `$EUID`.
    bind_variable: BindVariable,
}

impl Bash {
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            pid: exported(c"dollar_dollar_pid")?.cast(),
            started: exported(c"shellstart").map(NonNull::cast),
            set_parent: function!(c"set_ppid" as Procedure)?,
            seed: function!(c"seedrand" as Procedure),
            user: exported(c"current_user")?.cast(),
            bind_variable: function!(c"bind_variable" as BindVariable)?,
        })
    }

    pub(crate) fn settle(&self) {
        // SAFETY: bash's own variable of this type; it has one thread, and that is here.
        unsafe { self.pid.write(crate::raw::own_pid()) };
        if let Some(started) = self.started {
            // SAFETY: as above; there is room for one `timeval`.
            unsafe { libc::gettimeofday(started.as_ptr(), core::ptr::null_mut()) };
        }
        // SAFETY: bash is initialised and has one thread.
        unsafe { (self.set_parent)() };
        if let Some(seed) = self.seed {
            // SAFETY: as above.
            unsafe { seed() };
        }
        let (uid, gid) = crate::raw::own_user();
        // SAFETY: bash's own variable, which begins so.
        unsafe { self.user.write(User { uid, euid: uid, gid, egid: gid }) };
        self.set(c"UID", uid);
        self.set(c"EUID", uid);
    }

    fn set(&self, name: &CStr, value: u32) {
        let Ok(value) = CString::new(value.to_string()) else { return };
        // SAFETY: bash is initialised and has one thread; it copies the value.
        unsafe { (self.bind_variable)(name.as_ptr(), value.as_ptr(), FORCE) };
    }
}
