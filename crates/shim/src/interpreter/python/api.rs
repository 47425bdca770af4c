//! The functions of CPython's C API that are needed, of whatever version is there: from 3.7 on.

use core::ffi::{c_char, c_int, c_void};

use super::super::{exported, function};

pub(super) type Object = *mut c_void;
pub(super) type Procedure = unsafe extern "C" fn();
/// `PyCFunction`.
pub(super) type Callable = unsafe extern "C" fn(Object, Object) -> Object;
/// `PyCapsule_Destructor`.
pub(super) type Destructor = unsafe extern "C" fn(Object);

/// `struct PyMethodDef`.
#[repr(C)]
pub(super) struct MethodDefinition {
    pub(super) name: *const c_char,
    pub(super) function: Option<Callable>,
    pub(super) flags: c_int,
    pub(super) documentation: *const c_char,
}

macro_rules! api {
    ($($(#[$doc:meta])* $name:ident: $symbol:literal as $type:ty;)*) => {
        /// Each has the type that the interpreter's headers declare it with.
        #[derive(Clone, Copy)]
        pub(super) struct Api {
            $($(#[$doc])* pub(super) $name: $type,)*
            pub(super) none: Object,
            pub(super) finalize: usize,
        }

        impl Api {
            /// `None` where a function is missing: another interpreter, or another version.
            pub(super) fn find() -> Option<Self> {
                Some(Self {
                    $($name: function!($symbol as $type)?,)*
                    none: exported(c"_Py_NoneStruct")?.as_ptr(),
                    finalize: exported(c"Py_FinalizeEx")?.as_ptr() as usize,
                })
            }
        }
    };
}

api! {
    is_initialized: c"Py_IsInitialized" as unsafe extern "C" fn() -> c_int;
    ensure: c"PyGILState_Ensure" as unsafe extern "C" fn() -> c_int;
    release: c"PyGILState_Release" as unsafe extern "C" fn(c_int);
    before_fork: c"PyOS_BeforeFork" as Procedure;
    in_child: c"PyOS_AfterFork_Child" as Procedure;
    builtins: c"PyEval_GetBuiltins" as unsafe extern "C" fn() -> Object;
    new_dictionary: c"PyDict_New" as unsafe extern "C" fn() -> Object;
    set_item: c"PyDict_SetItemString" as unsafe extern "C" fn(Object, *const c_char, Object) -> c_int;
    set_item_by_object: c"PyDict_SetItem" as unsafe extern "C" fn(Object, Object, Object) -> c_int;
    /// Borrowed.
    item: c"PyDict_GetItemString" as unsafe extern "C" fn(Object, *const c_char) -> Object;
    delete_item: c"PyDict_DelItemString" as unsafe extern "C" fn(Object, *const c_char) -> c_int;
    /// Borrowed.
    next_item: c"PyDict_Next" as unsafe extern "C" fn(Object, *mut isize, *mut Object, *mut Object) -> c_int;
    /// Borrowed.
    modules: c"PyImport_GetModuleDict" as unsafe extern "C" fn() -> Object;
    /// Borrowed.
    add_module: c"PyImport_AddModule" as unsafe extern "C" fn(*const c_char) -> Object;
    /// Borrowed.
    names_of_module: c"PyModule_GetDict" as unsafe extern "C" fn(Object) -> Object;
    /// Borrowed.
    system_object: c"PySys_GetObject" as unsafe extern "C" fn(*const c_char) -> Object;
    set_system_object: c"PySys_SetObject" as unsafe extern "C" fn(*const c_char, Object) -> c_int;
    new_function: c"PyCFunction_NewEx"
        as unsafe extern "C" fn(*const MethodDefinition, Object, Object) -> Object;
    new_capsule: c"PyCapsule_New"
        as unsafe extern "C" fn(*mut c_void, *const c_char, Option<Destructor>) -> Object;
    untrack: c"PyObject_GC_UnTrack" as unsafe extern "C" fn(Object);
    track: c"PyObject_GC_Track" as unsafe extern "C" fn(Object);
    decode: c"PyUnicode_FromString" as unsafe extern "C" fn(*const c_char) -> Object;
    run: c"PyRun_StringFlags"
        as unsafe extern "C" fn(*const c_char, c_int, Object, Object, *mut c_void) -> Object;
    call: c"PyObject_CallObject" as unsafe extern "C" fn(Object, Object) -> Object;
    attribute: c"PyObject_GetAttrString" as unsafe extern "C" fn(Object, *const c_char) -> Object;
    is_true: c"PyObject_IsTrue" as unsafe extern "C" fn(Object) -> c_int;
    as_size: c"PyLong_AsSsize_t" as unsafe extern "C" fn(Object) -> isize;
    let_go: c"Py_DecRef" as unsafe extern "C" fn(Object);
    hold: c"Py_IncRef" as unsafe extern "C" fn(Object);
    print_error: c"PyErr_Print" as Procedure;
    clear_error: c"PyErr_Clear" as Procedure;
}
