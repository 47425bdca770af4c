//! Python: the preload, and the fork handlers of its C API.
//!
//! The preload runs at the fork point and not from an option, so that the command line, `sys.path`, `__main__` and every
//! traceback are those of a cold run; and before `sys.path` has the program's directory, so that no program's file is
//! imported. What a cold run would not have is in `sys.modules`: the imports of the preload.

use core::ffi::{CStr, c_char, c_int, c_void};

use super::{fork_plainly, function};
use crate::server::Side;
use crate::wire::Refusal;

type Object = *mut c_void;
type Procedure = unsafe extern "C" fn();

/// `Py_file_input` of `compile.h`.
const FILE_INPUT: c_int = 257;

/// Run once, with `path` the preload's or None. Leaves `renew`, called in each child, and `freeze`.
const PREPARE: &CStr = cr#"
def prepare(path):
    import sys
    before = set(sys.modules)
    if path is not None:
        import io
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec")
        try:
            exec(code, {"__name__": "__preload__", "__file__": path, "__builtins__": __builtins__})
        except SystemExit:
            raise RuntimeError("the preload asked for an exit") from None
        import atexit
        added = [name for name in sys.modules if name not in before]
        kept = []
        # Taking apart what the preload imported takes longer than most programs run. Registered first, so it runs last.
        # Programs' own modules and objects are taken apart as ever.
        def keep(modules=sys.modules):
            for name in added:
                kept.append(modules.pop(name, None))
        atexit.register(keep)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    modules = sys.modules
    # `random` sees to itself.
    def renew():
        numbers = modules.get("numpy.random")
        if numbers is not None:
            numbers.seed()
    def freeze():
        import gc
        gc.collect()
        gc.freeze()
    return renew, freeze
renew, freeze = prepare(path)
"#;

/// What is needed of the C API.
pub(crate) struct Python {
    api: Api,
    /// What `PyGILState_Ensure` gave.
    state: c_int,
    renew: Object,
}

#[derive(Clone, Copy)]
pub(super) struct Api {
    ensure: unsafe extern "C" fn() -> c_int,
    release: unsafe extern "C" fn(c_int),
    before_fork: Procedure,
    in_parent: Procedure,
    in_child: Procedure,
    builtins: unsafe extern "C" fn() -> Object,
    new_dictionary: unsafe extern "C" fn() -> Object,
    set_item: unsafe extern "C" fn(Object, *const c_char, Object) -> c_int,
    item: unsafe extern "C" fn(Object, *const c_char) -> Object,
    add_module: unsafe extern "C" fn(*const c_char) -> Object,
    names_of_module: unsafe extern "C" fn(Object) -> Object,
    untrack: unsafe extern "C" fn(Object),
    track: unsafe extern "C" fn(Object),
    decode_path: unsafe extern "C" fn(*const c_char) -> Object,
    run: unsafe extern "C" fn(*const c_char, c_int, Object, Object, *mut c_void) -> Object,
    call: unsafe extern "C" fn(Object, Object) -> Object,
    print_error: Procedure,
    clear_error: Procedure,
    none: Object,
}

impl Python {
    /// From CPython 3.7 on, once it is initialised.
    pub(super) fn find() -> Option<Api> {
        let is_initialised = function!(c"Py_IsInitialized" as unsafe extern "C" fn() -> c_int)?;
        // SAFETY: may be called at any time.
        if unsafe { is_initialised() } == 0 {
            return None;
        }
        Some(Api {
            ensure: function!(c"PyGILState_Ensure" as unsafe extern "C" fn() -> c_int)?,
            release: function!(c"PyGILState_Release" as unsafe extern "C" fn(c_int))?,
            before_fork: function!(c"PyOS_BeforeFork" as Procedure)?,
            in_parent: function!(c"PyOS_AfterFork_Parent" as Procedure)?,
            in_child: function!(c"PyOS_AfterFork_Child" as Procedure)?,
            builtins: function!(c"PyEval_GetBuiltins" as unsafe extern "C" fn() -> Object)?,
            new_dictionary: function!(c"PyDict_New" as unsafe extern "C" fn() -> Object)?,
            set_item: function!(
                c"PyDict_SetItemString" as unsafe extern "C" fn(Object, *const c_char, Object) -> c_int
            )?,
            item: function!(
                c"PyDict_GetItemString" as unsafe extern "C" fn(Object, *const c_char) -> Object
            )?,
            add_module: function!(c"PyImport_AddModule" as unsafe extern "C" fn(*const c_char) -> Object)?,
            names_of_module: function!(c"PyModule_GetDict" as unsafe extern "C" fn(Object) -> Object)?,
            untrack: function!(c"PyObject_GC_UnTrack" as unsafe extern "C" fn(Object))?,
            track: function!(c"PyObject_GC_Track" as unsafe extern "C" fn(Object))?,
            decode_path: function!(
                c"PyUnicode_DecodeFSDefault" as unsafe extern "C" fn(*const c_char) -> Object
            )?,
            run: function!(
                c"PyRun_StringFlags"
                    as unsafe extern "C" fn(*const c_char, c_int, Object, Object, *mut c_void) -> Object
            )?,
            call: function!(c"PyObject_CallObject" as unsafe extern "C" fn(Object, Object) -> Object)?,
            print_error: function!(c"PyErr_Print" as Procedure)?,
            clear_error: function!(c"PyErr_Clear" as Procedure)?,
            none: super::exported(c"_Py_NoneStruct")?.as_ptr(),
        })
    }

    /// Has the interpreter make the child that is asked for.
    pub(crate) fn fork(&self) {
        // SAFETY: the interpreter's lock is held, as these functions ask.
        unsafe { (self.api.before_fork)() };
        match fork_plainly() {
            // SAFETY: as above, and this is the child.
            Side::Child => unsafe { (self.api.in_child)() },
            // SAFETY: as above, and this is not the child.
            Side::Server => unsafe { (self.api.in_parent)() },
        }
    }

    pub(crate) fn settle(&self) {
        // SAFETY: a function object that is never released, called without arguments under the interpreter's lock.
        let renewed = unsafe { (self.api.call)(self.renew, core::ptr::null_mut()) };
        if renewed.is_null() {
            // numpy without its generator: there is nothing to renew.
            // SAFETY: the lock is held.
            unsafe { (self.api.clear_error)() };
        }
        // SAFETY: what `ensure` gave, on the same thread.
        unsafe { (self.api.release)(self.state) };
    }
}

impl Api {
    /// Runs the preload under the interpreter's lock, which is held from here on.
    pub(super) fn prepare(self, preload: Option<&CStr>) -> Result<Python, Refusal> {
        // SAFETY: the interpreter is initialised; the caller of open may have released the lock or not.
        let state = unsafe { (self.ensure)() };
        // SAFETY: the lock is held.
        unsafe { self.run_prepare(preload) }
            .map(|renew| Python { api: self, state, renew })
            .ok_or(Refusal::Preload)
    }

    /// # Safety
    ///
    /// The interpreter's lock is held.
    unsafe fn run_prepare(&self, preload: Option<&CStr>) -> Option<Object> {
        let path = match preload {
            // SAFETY: the text is NUL-terminated.
            Some(path) => unsafe { (self.decode_path)(path.as_ptr()) },
            None => self.none,
        };
        // SAFETY: takes nothing.
        let names = unsafe { (self.new_dictionary)() };
        // SAFETY: takes nothing; the result is borrowed.
        let builtins = unsafe { (self.builtins)() };
        if path.is_null() || names.is_null() {
            return None;
        }
        for (name, value) in [(c"path", path), (c"__builtins__", builtins)] {
            // SAFETY: a dictionary, a NUL-terminated name and an object.
            if unsafe { (self.set_item)(names, name.as_ptr(), value) } != 0 {
                return None;
            }
        }
        // SAFETY: NUL-terminated source, and a dictionary for both scopes.
        let ran = unsafe { (self.run)(PREPARE.as_ptr(), FILE_INPUT, names, names, core::ptr::null_mut()) };
        if ran.is_null() {
            // SAFETY: the lock is held and an error is set.
            unsafe { (self.print_error)() };
            return None;
        }
        // SAFETY: as `set_item`; the result is borrowed from a dictionary that is never released.
        let renew = unsafe { (self.item)(names, c"renew".as_ptr()) };
        if preload.is_some() {
            // SAFETY: as above.
            let freeze = unsafe { (self.item)(names, c"freeze".as_ptr()) };
            // SAFETY: the lock is held, and a function was just defined under this name.
            unsafe { self.freeze(freeze) }?;
        }
        (!renew.is_null()).then_some(renew)
    }

    /// Puts all there is out of the garbage collector's reach, so that children do not write to every page of it. Not
    /// `__main__`: programs end up in cycles through it, and what is frozen is never found to be garbage.
    ///
    /// # Safety
    ///
    /// The interpreter's lock is held, and `freeze` is a function.
    unsafe fn freeze(&self, freeze: Object) -> Option<()> {
        // SAFETY: the name is NUL-terminated; the module is there, and the result borrowed.
        let main = unsafe { (self.add_module)(c"__main__".as_ptr()) };
        // SAFETY: a module; the result is borrowed.
        let names = unsafe { (self.names_of_module)(main) };
        for object in [main, names] {
            // SAFETY: a module and a dictionary are objects that the collector may track.
            unsafe { (self.untrack)(object) };
        }
        // SAFETY: called without arguments under the lock.
        let frozen = unsafe { (self.call)(freeze, core::ptr::null_mut()) };
        for object in [main, names] {
            // SAFETY: as above, and not tracked now.
            unsafe { (self.track)(object) };
        }
        if frozen.is_null() {
            // SAFETY: the lock is held and an error is set.
            unsafe { (self.print_error)() };
            return None;
        }
        Some(())
    }
}
