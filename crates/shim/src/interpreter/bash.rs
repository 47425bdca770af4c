//! Bash: its process id, its parent's, its clock and its random numbers are taken when it starts.
//!
//! Without this `kill $$` in a program would signal the server, and all programs would draw the same `$RANDOM`.

use core::ptr::NonNull;

use super::{exported, function};

type Procedure = unsafe extern "C" fn();

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
}

impl Bash {
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            pid: exported(c"dollar_dollar_pid")?.cast(),
            started: exported(c"shellstart").map(NonNull::cast),
            set_parent: function!(c"set_ppid" as Procedure)?,
            seed: function!(c"seedrand" as Procedure),
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
    }
}
