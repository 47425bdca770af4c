//! The functions of libc that open files, as the interpreter calls them: the fork point is in one of them.
//!
//! All but the one open that is waited for goes on to libc. Which functions interpreters import was looked up for
//! python3, perl, ruby, php, lua, bash, R, OCaml, Tcl and sqlite3: `open`, `open64`, their `__…_2` forms (compiled with
//! `_FORTIFY_SOURCE`), `openat`, `fopen`, and the 64-bit names of each, which are the same on x86_64.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use std::sync::OnceLock;

use crate::raw;
use crate::server;
use crate::settings::Settings;
use crate::wire::Refusal;

/// Every open goes on as it came.
const PASSING: u8 = 0;
/// The fork point is waited for.
const ARMED: u8 = 1;
/// The process is a server, or about to be.
const SERVING: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(PASSING);
static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// Waits for the fork point from now on.
pub(crate) fn arm(settings: Settings) {
    if SETTINGS.set(settings).is_ok() {
        STATE.store(ARMED, Ordering::Relaxed);
    }
}

/// What to open instead of `path`: itself, or at the fork point, and then only in a child, the same file by our own copy
/// of the name. The caller's may have been a variable that is hidden by now.
///
/// # Safety
///
/// `path` is what open(2) was called with.
unsafe fn pass(directory: c_int, path: *const c_char) -> *const c_char {
    let state = STATE.load(Ordering::Relaxed);
    if state == PASSING || path.is_null() {
        return path;
    }
    let Some(settings) = SETTINGS.get() else { return path };
    // SAFETY: not null, and open(2) asks for NUL-terminated paths.
    let name = unsafe { CStr::from_ptr(path) };
    let is_absolute = name.to_bytes().first() == Some(&b'/');
    if !(is_absolute || directory == libc::AT_FDCWD) || !settings.is_point(name) {
        return path;
    }
    if raw::own_pid() != settings.pid {
        server::refuse(settings.socket, Refusal::OtherProcess, i64::from(raw::own_pid()));
    }
    if state == SERVING {
        server::refuse(settings.socket, Refusal::AskedTwice, 0);
    }
    STATE.store(SERVING, Ordering::Relaxed);
    server::serve(settings);
    STATE.store(PASSING, Ordering::Relaxed);
    settings.point.as_ptr()
}

/// Looks a function of libc up, once.
fn real(known: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let found = known.load(Ordering::Relaxed);
    if !found.is_null() {
        return found;
    }
    let found = raw::find(libc::RTLD_NEXT, name).map_or(ptr::null_mut(), ptr::NonNull::as_ptr);
    known.store(found, Ordering::Relaxed);
    found
}

type OpenAt = unsafe extern "C" fn(c_int, *const c_char, c_int, c_uint) -> c_int;
type FileOpen = unsafe extern "C" fn(*const c_char, *const c_char) -> *mut libc::FILE;
type Fork = unsafe extern "C" fn() -> libc::pid_t;

/// libc's own.
///
/// # Safety
///
/// As openat(2); `mode` may be anything if the flags make no file.
unsafe fn real_openat(directory: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    // SAFETY: libc's openat64 has these parameters; on x86_64 a variadic argument travels like any other.
    let openat: Option<OpenAt> = unsafe { transmute(real(&KNOWN, c"openat64")) };
    // SAFETY: by the contract.
    openat.map_or(-1, |openat| unsafe { openat(directory, path, flags, mode) })
}

/// libc's own.
///
/// # Safety
///
/// As fopen(3).
unsafe fn real_fopen(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    // SAFETY: libc's fopen64 has these parameters.
    let fopen: Option<FileOpen> = unsafe { transmute(real(&KNOWN, c"fopen64")) };
    // SAFETY: by the contract.
    fopen.map_or(ptr::null_mut(), |fopen| unsafe { fopen(path, mode) })
}

/// libc's own fork, with the handlers that libraries registered.
pub(crate) fn real_fork() -> libc::pid_t {
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    // SAFETY: libc's fork takes nothing.
    let fork: Option<Fork> = unsafe { transmute(real(&KNOWN, c"fork")) };
    // SAFETY: the process has one thread, so no lock is held that the child would need.
    fork.map_or(-1, |fork| unsafe { fork() })
}

macro_rules! opens {
    ($($name:ident [$($directory:ident)?] [$($mode:ident)?];)*) => {
        $(
            /// # Safety
            ///
            /// As open(2).
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(
                $($directory: c_int,)? path: *const c_char, flags: c_int $(, $mode: c_uint)?
            ) -> c_int {
                let from = [$($directory,)? libc::AT_FDCWD][0];
                let with = [$($mode,)? 0][0];
                // SAFETY: the caller keeps to open(2).
                let path = unsafe { pass(from, path) };
                // SAFETY: as above, and `pass` gave a path.
                unsafe { real_openat(from, path, flags, with) }
            }
        )*
    };
}

opens! {
    open [] [mode];
    open64 [] [mode];
    openat [directory] [mode];
    openat64 [directory] [mode];
    __open_2 [] [];
    __open64_2 [] [];
    __openat_2 [directory] [];
    __openat64_2 [directory] [];
}

/// # Safety
///
/// As fopen(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn fopen(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    // SAFETY: the caller keeps to fopen(3).
    let path = unsafe { pass(libc::AT_FDCWD, path) };
    // SAFETY: as above, and `pass` gave a path.
    unsafe { real_fopen(path, mode) }
}

/// # Safety
///
/// As fopen(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    // SAFETY: one function under two names.
    unsafe { fopen(path, mode) }
}

/// An interpreter that is asked to fork at the fork point (see `interpreter`) gets the child that the request asks for;
/// any other caller gets libc's.
///
/// # Safety
///
/// As fork(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn fork() -> libc::pid_t {
    server::fork_asked_for().unwrap_or_else(real_fork)
}
