//! Ruby: forks through its own `Process.fork`, which renews its timer, its wake-up descriptors and its seeds.

use core::ffi::{CStr, c_char, c_int};

use super::function;

type Value = usize;
type Evaluate = unsafe extern "C" fn(*const c_char, *mut c_int) -> Value;

const FORK: &CStr = c"Process.fork";

/// The one function of Ruby that is needed.
pub(crate) struct Ruby {
    evaluate: Evaluate,
}

impl Ruby {
    pub(crate) fn find() -> Option<Self> {
        function!(c"rb_eval_string_protect" as Evaluate).map(|evaluate| Self { evaluate })
    }

    /// `Process.fork` calls `fork`, which is this library's and makes the child that is asked for.
    pub(crate) fn fork(&self) {
        let mut raised = 0;
        // SAFETY: Ruby is initialised and this is its main thread; an exception is caught and shows in `raised`.
        let _nil_in_the_child = unsafe { (self.evaluate)(FORK.as_ptr(), &raw mut raised) };
        // What it raises for a fork that failed, the server knows already.
    }
}
