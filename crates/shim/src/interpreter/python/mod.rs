//! Python: the preload, the fork handlers of its C API, and the end of programs.
//!
//! The preload runs at the fork point and not from an option, so that the command line, `sys.path`, `__main__` and every
//! traceback are those of a cold run; and before `sys.path` has the program's directory, so that no program's file is
//! imported. What a cold run would not have is in `sys.modules`: the imports of the preload.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a run of calls of one C API, under one contract: the interpreter's lock"
)]

mod api;
mod finish;

use core::ffi::{CStr, c_int};
use core::ptr;

use rollcage_guest::protocol::Refusal;

use self::api::{Api, Object};
use super::fork_plainly;

/// `Py_file_input` of `compile.h`.
const FILE_INPUT: c_int = 257;

const PREPARE: &str = concat!(include_str!("prepare.py"), "\0");

/// An interpreter that is ready to fork.
pub(crate) struct Python {
    api: Api,
    /// What `PyGILState_Ensure` gave.
    state: c_int,
    renew: Object,
}

/// CPython, once it is initialised.
pub(super) struct Found(Api);

impl Python {
    pub(super) fn find() -> Option<Found> {
        let api = Api::find()?;
        // SAFETY: may be called at any time.
        (unsafe { (api.is_initialized)() } != 0).then_some(Found(api))
    }

    /// Has the interpreter fork. What it does in a parent is never done: that does not run Python again.
    pub(crate) fn fork(&self) {
        // SAFETY: the interpreter's lock is held, as these functions ask.
        unsafe { (self.api.before_fork)() };
        fork_plainly();
        // SAFETY: as above, and this is a child.
        unsafe { (self.api.in_child)() };
    }

    pub(crate) fn settle(&self) {
        // SAFETY: a function object that is never released, called without arguments under the interpreter's lock.
        let renewed = unsafe { (self.api.call)(self.renew, ptr::null_mut()) };
        if renewed.is_null() {
            // numpy without its generator: there is nothing to renew.
            // SAFETY: the lock is held.
            unsafe { (self.api.clear_error)() };
        }
        // SAFETY: what `ensure` gave, on the same thread.
        unsafe { (self.api.release)(self.state) };
    }
}

impl Found {
    /// Runs the preload under the interpreter's lock, which is held from here on.
    pub(super) fn prepare(self, preload: Option<&CStr>) -> Result<Python, Refusal> {
        let api = self.0;
        // SAFETY: the interpreter is initialised; the caller of open may have released the lock or not.
        let state = unsafe { (api.ensure)() };
        // SAFETY: the lock is held.
        let prepared = unsafe { run_prepare(&api, preload) };
        prepared.map(|renew| Python { api, state, renew }).ok_or(Refusal::Preload)
    }
}

/// # Safety
///
/// The interpreter's lock is held.
unsafe fn run_prepare(api: &Api, preload: Option<&CStr>) -> Option<Object> {
    // SAFETY: by the contract, for all of it: texts are NUL-terminated, dictionaries are such, and what is borrowed is
    // borrowed from dictionaries that are never released.
    unsafe {
        let text = preload.map_or(api.none, |text| (api.decode)(text.as_ptr()));
        let names = (api.new_dictionary)();
        let leave = finish::callback(api);
        if text.is_null() || names.is_null() || leave.is_null() {
            return None;
        }
        for (name, value) in [(c"text", text), (c"leave", leave), (c"__builtins__", (api.builtins)())] {
            if (api.set_item)(names, name.as_ptr(), value) != 0 {
                return None;
            }
        }
        let ran = (api.run)(PREPARE.as_ptr().cast(), FILE_INPUT, names, names, ptr::null_mut());
        if ran.is_null() {
            (api.print_error)();
            return None;
        }
        finish::plan(api);
        freeze(api, (api.item)(names, c"freeze".as_ptr()))?;
        let renew = (api.item)(names, c"renew".as_ptr());
        (!renew.is_null()).then_some(renew)
    }
}

/// Puts all there is out of the garbage collector's reach, so that children do not write to every page of it. Not
/// `__main__`: programs end up in cycles through it, and what is frozen is never found to be garbage.
///
/// # Safety
///
/// The interpreter's lock is held, and `freeze` is a function.
unsafe fn freeze(api: &Api, freeze: Object) -> Option<()> {
    // SAFETY: by the contract, for all of it. The module is there; it and its dictionary are objects that the collector
    // tracks.
    unsafe {
        let main = (api.add_module)(c"__main__".as_ptr());
        let names = (api.names_of_module)(main);
        [main, names].into_iter().for_each(|object| (api.untrack)(object));
        let frozen = (api.call)(freeze, ptr::null_mut());
        [main, names].into_iter().for_each(|object| (api.track)(object));
        if frozen.is_null() {
            (api.print_error)();
            return None;
        }
    }
    Some(())
}
