//! The end of a program: what is its own is taken apart as ever, what was there before it is left as it is.
//!
//! CPython takes everything apart when it ends, which takes longer than most programs run, and in a copy of a process
//! copies most of its memory. Two things are done about that. As the last of all `atexit` callbacks, the dictionary of
//! modules is replaced by one that has the program's modules alone, so that only those are cleared. And where CPython
//! would go on with its own insides, `Py_FinalizeEx` returns: nothing of those can be seen, and its callers know the exit
//! code. Where the function cannot be found on the stack, CPython goes on as ever.
#![expect(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a run of calls of one C API, under one contract: the interpreter's lock"
)]

use core::ffi::{CStr, c_int, c_void};
use core::mem::size_of;
use core::ptr;
use std::sync::OnceLock;

use super::api::{Api, MethodDefinition, Object};

/// What the callback needs.
struct Plan {
    api: Api,
    /// Where the entries that programs add begin, in the dictionary of modules.
    first_own: isize,
    /// Whether dictionaries are laid out as [`Dictionary`].
    knows_layout: bool,
}

// SAFETY: used by the one thread that has the interpreter's lock.
unsafe impl Send for Plan {}
// SAFETY: as above.
unsafe impl Sync for Plan {}

static PLAN: OnceLock<Plan> = OnceLock::new();

/// `PyDictObject` of CPython 3.6 to 3.13: a header of two words, and four words of content.
#[repr(C)]
struct Dictionary {
    header: [usize; 2],
    content: [usize; 4],
}

/// In `sys`, at the very end, something whose end is noticed. Names with one underscore are cleared first.
const LAST: &CStr = c"_last";
/// Modules that belong to the interpreter and to the program at once.
const COMMON: [&CStr; 3] = [c"sys", c"builtins", c"__main__"];

/// The function for `atexit`, or null.
///
/// # Safety
///
/// The interpreter's lock is held.
pub(super) unsafe fn callback(api: &Api) -> Object {
    const NO_ARGUMENTS: c_int = 4;
    static DEFINITION: Definition = Definition(MethodDefinition {
        name: c"leave".as_ptr(),
        function: Some(leave),
        flags: NO_ARGUMENTS,
        documentation: ptr::null(),
    });
    // SAFETY: the definition lives as long as the process.
    unsafe { (api.new_function)(&raw const DEFINITION.0, ptr::null_mut(), ptr::null_mut()) }
}

struct Definition(MethodDefinition);

// SAFETY: it is never changed.
unsafe impl Sync for Definition {}

/// Takes note of what there is before programs.
///
/// # Safety
///
/// The interpreter's lock is held.
pub(super) unsafe fn plan(api: &Api) {
    // SAFETY: by the contract, for all of it.
    unsafe {
        let modules = (api.modules)();
        let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        while (api.next_item)(modules, &raw mut position, &raw mut key, &raw mut value) != 0 {}
        let knows_layout = size_of_instances(api, modules) == Some(size_of::<Dictionary>());
        let _planned = PLAN.set(Plan { api: *api, first_own: position, knows_layout });
    }
}

/// `type(object).__basicsize__`.
///
/// # Safety
///
/// The interpreter's lock is held.
unsafe fn size_of_instances(api: &Api, object: Object) -> Option<usize> {
    // SAFETY: by the contract, for all of it; references are given back.
    unsafe {
        let class = (api.attribute)(object, c"__class__".as_ptr());
        if class.is_null() {
            (api.clear_error)();
            return None;
        }
        let size = (api.attribute)(class, c"__basicsize__".as_ptr());
        (api.let_go)(class);
        if size.is_null() {
            (api.clear_error)();
            return None;
        }
        let number = (api.as_size)(size);
        (api.let_go)(size);
        usize::try_from(number).ok()
    }
}

/// The last of all callbacks.
unsafe extern "C" fn leave(_self: Object, _arguments: Object) -> Object {
    let Some(plan) = PLAN.get() else { return ptr::null_mut() };
    let api = &plan.api;
    // SAFETY: called by the interpreter, which holds its lock.
    unsafe {
        if plan.knows_layout {
            keep_modules(plan);
        }
        let last = (api.new_capsule)((&raw const PLAN).cast_mut().cast(), ptr::null(), Some(at_last));
        if last.is_null() || (api.set_system_object)(LAST.as_ptr(), last) != 0 {
            (api.clear_error)();
        }
        if !last.is_null() {
            (api.let_go)(last);
        }
        (api.hold)(api.none);
    }
    api.none
}

/// Has the interpreter find the program's modules alone. The others are in a dictionary that nobody ever lets go of.
///
/// # Safety
///
/// The interpreter's lock is held, and dictionaries have the known layout.
unsafe fn keep_modules(plan: &Plan) {
    let api = &plan.api;
    // SAFETY: by the contract, for all of it. Iterating counts no references, which would copy every module's page.
    unsafe {
        let modules = (api.modules)();
        let own = (api.new_dictionary)();
        if own.is_null() {
            (api.clear_error)();
            return;
        }
        for name in COMMON {
            let module = (api.item)(modules, name.as_ptr());
            if !module.is_null() && (api.set_item)(own, name.as_ptr(), module) != 0 {
                (api.clear_error)();
            }
        }
        let (mut position, mut key, mut value) = (plan.first_own, ptr::null_mut(), ptr::null_mut());
        while (api.next_item)(modules, &raw mut position, &raw mut key, &raw mut value) != 0 {
            if (api.set_item_by_object)(own, key, value) != 0 {
                (api.clear_error)();
            }
        }
        // Or it would never be without references.
        if (api.delete_item)(modules, c"__main__".as_ptr()) != 0 {
            (api.clear_error)();
        }
        let (modules, own) = (modules.cast::<Dictionary>(), own.cast::<Dictionary>());
        ptr::swap(&raw mut (*modules).content, &raw mut (*own).content);
    }
}

/// When `sys` is cleared, everything of the program has been.
unsafe extern "C" fn at_last(_capsule: Object) {
    let Some(plan) = PLAN.get() else { return };
    // SAFETY: called by the interpreter, which holds its lock.
    let flushed = unsafe { flush(&plan.api, c"stdout") & flush(&plan.api, c"stderr") };
    let mut search =
        Search { function: plan.api.finalize, is_inside: false, result: if flushed { 0 } else { -1 } };
    // SAFETY: the callback is given what it expects.
    unsafe { _Unwind_Backtrace(look_at_frame, (&raw mut search).cast()) };
    // Not found: the interpreter goes on.
}

/// As the interpreter flushes at its end. Says whether that worked; a message about it was printed when it was flushed
/// before.
///
/// # Safety
///
/// The interpreter's lock is held.
unsafe fn flush(api: &Api, name: &CStr) -> bool {
    // SAFETY: by the contract, for all of it; references are given back.
    unsafe {
        let stream = (api.system_object)(name.as_ptr());
        if stream.is_null() || stream == api.none {
            return true;
        }
        let closed = (api.attribute)(stream, c"closed".as_ptr());
        if closed.is_null() {
            (api.clear_error)();
        } else {
            let is_closed = (api.is_true)(closed) > 0;
            (api.let_go)(closed);
            if is_closed {
                return true;
            }
        }
        let method = (api.attribute)(stream, c"flush".as_ptr());
        let done = if method.is_null() { method } else { (api.call)(method, ptr::null_mut()) };
        if !method.is_null() {
            (api.let_go)(method);
        }
        if done.is_null() {
            (api.clear_error)();
            return false;
        }
        (api.let_go)(done);
        true
    }
}

/// Looks for the frame that called a function.
struct Search {
    function: usize,
    is_inside: bool,
    /// What the function shall return.
    result: c_int,
}

type Context = *mut c_void;

// Of the unwinder that is linked into this library; see the Itanium C++ ABI for exception handling.
unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: unsafe extern "C" fn(Context, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetRegionStart(context: Context) -> usize;
    fn _Unwind_GetIP(context: Context) -> usize;
    fn _Unwind_GetCFA(context: Context) -> usize;
    fn _Unwind_GetGR(context: Context, register: c_int) -> usize;
}

/// What a function preserves for its caller: rbx, rbp and r12 to r15, by their DWARF numbers; then the stack pointer and
/// the address that it returns to.
#[repr(C)]
struct Registers {
    preserved: [usize; 6],
    stack: usize,
    address: usize,
}

const PRESERVED: [c_int; 6] = [3, 6, 12, 13, 14, 15];

unsafe extern "C" fn look_at_frame(context: Context, search: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    // SAFETY: `at_last` passes a Search.
    let search = unsafe { &mut *search.cast::<Search>() };
    if !search.is_inside {
        // SAFETY: the context is the unwinder's.
        search.is_inside = unsafe { _Unwind_GetRegionStart(context) } == search.function;
        return GO_ON;
    }
    // SAFETY: as above. The frame is that of the function's caller: its stack is where it will be after the return.
    let registers = unsafe {
        Registers {
            preserved: PRESERVED.map(|register| _Unwind_GetGR(context, register)),
            stack: _Unwind_GetCFA(context),
            address: _Unwind_GetIP(context),
        }
    };
    // SAFETY: these are what the function would restore if it returned now. Whatever is on the stack between here and
    // there needs no more: the process goes on to its exit.
    unsafe { return_with(&registers, search.result) }
}

/// Returns `result` to whom the registers belong.
#[unsafe(naked)]
unsafe extern "C" fn return_with(registers: &Registers, result: c_int) -> ! {
    core::arch::naked_asm!(
        "mov eax, esi",
        "mov rbx, [rdi]",
        "mov rbp, [rdi + 8]",
        "mov r12, [rdi + 16]",
        "mov r13, [rdi + 24]",
        "mov r14, [rdi + 32]",
        "mov r15, [rdi + 40]",
        "mov rsp, [rdi + 48]",
        "jmp [rdi + 56]",
    )
}
