//! Ruby: forks through its own `Process.fork`, which renews its timer, its wake-up descriptors and its seeds.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use super::function;

type Value = usize;
type Evaluate = unsafe extern "C" fn(*const c_char, *mut c_int) -> Value;
type WithLock =
    unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void) -> *mut c_void, *mut c_void) -> *mut c_void;
type HasLock = unsafe extern "C" fn() -> c_int;

const FORK: &CStr = c"Process.fork";

/// The functions of Ruby that are needed.
pub(crate) struct Ruby {
    evaluate: Evaluate,
    has_lock: HasLock,
    with_lock: WithLock,
}

impl Ruby {
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            evaluate: function!(c"rb_eval_string_protect" as Evaluate)?,
            has_lock: function!(c"ruby_thread_has_gvl_p" as HasLock)?,
            with_lock: function!(c"rb_thread_call_with_gvl" as WithLock)?,
        })
    }

    /// `Process.fork` calls `fork`, which is this library's and comes back in each program's process.
    pub(crate) fn fork(&self) {
        let own = ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: Ruby is initialised and this is its main thread.
        if unsafe { (self.has_lock)() } != 0 {
            // SAFETY: as above, with Ruby's lock.
            unsafe { fork_with_lock(own) };
        } else {
            // Where Ruby reads it has let go of its lock.
            // SAFETY: as above; the function gets what it expects.
            unsafe { (self.with_lock)(fork_with_lock, own) };
        }
        // Had it raised something before it forked, the caller would see that it has not.
    }
}

/// # Safety
///
/// `ruby` points to a [`Ruby`], and Ruby's lock is held by this thread.
unsafe extern "C" fn fork_with_lock(ruby: *mut c_void) -> *mut c_void {
    // SAFETY: by the contract.
    let ruby = unsafe { &*ruby.cast_const().cast::<Ruby>() };
    let mut raised = 0;
    // SAFETY: by the contract; an exception is caught and shows in `raised`.
    let _nil = unsafe { (ruby.evaluate)(FORK.as_ptr(), &raw mut raised) };
    ptr::null_mut()
}
