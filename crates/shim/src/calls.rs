//! The functions of libc that open files, as the interpreter calls them: the fork point is in one of them, or in one that
//! reads from what it opened, or comes after that.
//!
//! All but the one call that is waited for goes on to libc. Which functions interpreters import was looked up for
//! python3, perl, ruby, php, lua, bash, R, OCaml, Tcl and sqlite3: `open`, `open64`, their `__…_2` forms (compiled with
//! `_FORTIFY_SOURCE`), `openat`, `fopen`, and the 64-bit names of each, which are the same on x86_64; Ruby reads its program
//! with `read`, R with `fgets`. One more is a function of Ruby.

use core::ffi::{CStr, c_char, c_int, c_uint, c_void};
use core::mem::transmute;
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::sync::OnceLock;

use rollcage_guest::protocol::Refusal;

use crate::arenas;
use crate::branch;
use crate::point;
use crate::raw;
use crate::settings::{Role, Settings, Stop};
use crate::spare;
use crate::standard_input;

/// Every call goes on as it came.
const PASSING: u8 = 0;
/// The opening of the program is waited for.
const ARMED: u8 = 1;
/// The program is open, and the first reading of it is waited for.
const OPENED: u8 = 2;
/// The process is a server, or about to be.
const SERVING: u8 = 3;

static STATE: AtomicU8 = AtomicU8::new(PASSING);
static SETTINGS: OnceLock<Settings> = OnceLock::new();
/// Openings that were let pass.
static PASSED: AtomicU32 = AtomicU32::new(0);
/// The program's descriptor, if [`OPENED`].
static PROGRAM: AtomicI32 = AtomicI32::new(-1);
/// Where the stand-in for the program's first byte is, if there is one.
static FIRST_BYTE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

/// Waits for the fork point from now on.
pub(crate) fn arm(settings: Settings) {
    if SETTINGS.set(settings).is_ok() {
        STATE.store(ARMED, Ordering::Relaxed);
    }
}

/// The settings and our own copy of the name, if an open of `path` is the one that is waited for.
///
/// # Safety
///
/// `path` is what open(2) was called with.
unsafe fn awaited(directory: c_int, path: *const c_char) -> Option<(&'static Settings, &'static CStr)> {
    if STATE.load(Ordering::Relaxed) == PASSING || path.is_null() {
        return None;
    }
    let settings = SETTINGS.get()?;
    // SAFETY: not null, and open(2) asks for NUL-terminated paths.
    let name = unsafe { CStr::from_ptr(path) };
    let is_absolute = name.to_bytes().first() == Some(&b'/');
    if !(is_absolute || directory == libc::AT_FDCWD) {
        return None;
    }
    let name = settings.point(name)?;
    if !is_own_process(settings) {
        return None;
    }
    let passes =
        STATE.load(Ordering::Relaxed) == ARMED && PASSED.fetch_add(1, Ordering::Relaxed) < settings.passes;
    (!passes).then_some((settings, name))
}

/// Opens a file, after the fork point if this is it. At that, the name is our own copy: the caller's may have been a
/// variable that is hidden by now.
///
/// # Safety
///
/// `path` is what open(2) was called with, and `open` may be called with it or with any other path.
unsafe fn open_by<T>(
    directory: c_int,
    path: *const c_char,
    open: impl Fn(*const c_char) -> T,
    descriptor: impl Fn(&T) -> c_int,
) -> T {
    if is_session() && !path.is_null() {
        // SAFETY: not null, and open(2) asks for NUL-terminated paths.
        let asked = unsafe { CStr::from_ptr(path) };
        if let Some(other) = standard_input::look_at(asked).or_else(|| branch::look_at(asked)) {
            let opened = open(other.as_ptr());
            if descriptor(&opened) < 0 {
                branch::disarm();
            }
            return opened;
        }
    }
    // SAFETY: by the contract.
    let Some((settings, name)) = (unsafe { awaited(directory, path) }) else { return open(path) };
    match settings.stop {
        Stop::Open => {
            stop(settings, None);
            open(name.as_ptr())
        }
        Stop::Read | Stop::Loaded => {
            let opened = open(path);
            PROGRAM.store(descriptor(&opened), Ordering::Relaxed);
            STATE.store(OPENED, Ordering::Relaxed);
            opened
        }
    }
}

/// Whether this is a copy that a session goes on in.
fn is_session() -> bool {
    STATE.load(Ordering::Relaxed) == PASSING && SETTINGS.get().is_some_and(Settings::is_session)
}

/// The socket of a session, if that is what a copy opens.
///
/// # Safety
///
/// `path` is what open(2) was called with.
unsafe fn channel(path: *const c_char) -> Option<c_int> {
    if !is_session() || path.is_null() {
        return None;
    }
    // SAFETY: not null, and open(2) asks for NUL-terminated paths.
    standard_input::channel(unsafe { CStr::from_ptr(path) })
}

/// The settings, if the program is open and nothing has been read of the real file. `None` in a child of a spare.
fn opened() -> Option<&'static Settings> {
    if STATE.load(Ordering::Relaxed) != OPENED {
        return None;
    }
    SETTINGS.get().filter(|settings| is_own_process(settings))
}

/// Whether this is the process that is to stop, and not a child of it. A server that had one could not be copied.
fn is_own_process(settings: &Settings) -> bool {
    let own = raw::own_pid();
    match settings.role {
        _ if own == settings.pid => true,
        Role::Server { .. } => point::refuse(settings, Refusal::OtherProcess, i64::from(own)),
        Role::Spare { .. } => false,
    }
}

/// Stops here if `fd` is the program's and this is the first that is read of it. Afterwards it is the real file's.
fn before_reading(fd: c_int) {
    if STATE.load(Ordering::Relaxed) != OPENED || PROGRAM.load(Ordering::Relaxed) != fd {
        return;
    }
    match opened() {
        Some(settings) if settings.stop == Stop::Read => stop_with(settings, fd),
        Some(settings) => point::refuse(settings, Refusal::ReadAhead, 0),
        None => {}
    }
}

/// Stops, and goes on with the real file in place of the empty one that the server opened.
fn stop_with(settings: &'static Settings, fd: c_int) {
    stop(settings, Some(fd));
    if raw::replace_by(settings.path(), fd).is_err() {
        // Without it the empty file would be run.
        raw::exit(127);
    }
}

/// What Ruby is told is its program's first byte: nothing that would have it look for options there, as `#` would.
const STAND_IN: u8 = b'\n';

/// Ruby reads its program's first byte before it loads what programs need, and the rest after. It gets a stand-in, which
/// stays in its buffer until the rest comes behind it. Says whether this reading was answered so.
///
/// # Safety
///
/// A byte may be written to `buffer`.
unsafe fn answer_first_byte(fd: c_int, buffer: *mut u8) -> bool {
    if PROGRAM.load(Ordering::Relaxed) != fd || !FIRST_BYTE.load(Ordering::Relaxed).is_null() {
        return false;
    }
    if opened().is_none_or(|settings| settings.stop != Stop::Loaded) {
        return false;
    }
    // SAFETY: by the contract.
    unsafe { buffer.write(STAND_IN) };
    FIRST_BYTE.store(buffer, Ordering::Relaxed);
    true
}

/// Stops here if the program's first byte has been asked for, and goes on with the real one in its place.
fn after_loading() {
    let first = FIRST_BYTE.load(Ordering::Relaxed);
    let Some(settings) = opened().filter(|_settings| !first.is_null()) else { return };
    let fd = PROGRAM.load(Ordering::Relaxed);
    stop_with(settings, fd);
    let mut byte = [STAND_IN];
    // An empty program is like one of an empty line.
    if raw::read(fd, &mut byte).is_err() {
        raw::exit(127);
    }
    // SAFETY: Ruby keeps the buffer for as long as the file is open, and has not used it again since: that would have been
    // another reading, at which there would have been no server.
    unsafe { first.write(byte[0]) };
}

fn stop(settings: &'static Settings, open: Option<c_int>) {
    match settings.role {
        Role::Server { socket } => {
            if STATE.swap(SERVING, Ordering::Relaxed) == SERVING {
                point::refuse(settings, Refusal::AskedTwice, 0);
            }
            point::stop(settings, socket, open);
        }
        // A second thread that comes here waits too.
        Role::Spare { seconds } => spare::wait(seconds),
    }
    if settings.is_session() {
        arenas::begin();
    }
    STATE.store(PASSING, Ordering::Relaxed);
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
type Map = unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, c_int, libc::off_t) -> *mut c_void;
type Fork = unsafe extern "C" fn() -> libc::pid_t;
type SetName = unsafe extern "C" fn(usize);
type Read = unsafe extern "C" fn(c_int, *mut c_void, usize) -> isize;
type GetString = unsafe extern "C" fn(*mut c_char, c_int, *mut libc::FILE) -> *mut c_char;

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
fn real_fork() -> libc::pid_t {
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
                if let Some(channel) = unsafe { channel(path) } {
                    return channel;
                }
                // SAFETY: the caller keeps to open(2), and another path changes nothing of that.
                let open = |path| unsafe { real_openat(from, path, flags, with) };
                // SAFETY: as above.
                unsafe { open_by(from, path, open, |fd| *fd) }
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
    if let Some(channel) = unsafe { channel(path) } {
        // SAFETY: a descriptor that was just made, and the caller's mode.
        return unsafe { libc::fdopen(channel, mode) };
    }
    // SAFETY: the caller keeps to fopen(3), and another path changes nothing of that.
    let open = |path| unsafe { real_fopen(path, mode) };
    let descriptor = |file: &*mut libc::FILE| {
        if file.is_null() {
            return -1;
        }
        // SAFETY: fopen(3) gave it.
        unsafe { libc::fileno(*file) }
    };
    // SAFETY: as above.
    unsafe { open_by(libc::AT_FDCWD, path, open, descriptor) }
}

/// # Safety
///
/// As fopen(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn fopen64(path: *const c_char, mode: *const c_char) -> *mut libc::FILE {
    // SAFETY: one function under two names.
    unsafe { fopen(path, mode) }
}

/// # Safety
///
/// As read(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, length: usize) -> isize {
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    if STATE.load(Ordering::Relaxed) == OPENED && length > 0 {
        // SAFETY: the caller keeps to read(2).
        if unsafe { answer_first_byte(fd, buffer.cast()) } {
            return 1;
        }
    }
    before_reading(fd);
    // SAFETY: libc's read has these parameters.
    let read: Option<Read> = unsafe { transmute(real(&KNOWN, c"read")) };
    // SAFETY: the caller keeps to read(2).
    read.map_or(-1, |read| unsafe { read(fd, buffer, length) })
}

/// # Safety
///
/// As fgets(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn fgets(text: *mut c_char, size: c_int, file: *mut libc::FILE) -> *mut c_char {
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    if STATE.load(Ordering::Relaxed) == OPENED && !file.is_null() {
        // SAFETY: the caller keeps to fgets(3).
        before_reading(unsafe { libc::fileno(file) });
    }
    // SAFETY: libc's fgets has these parameters.
    let fgets: Option<GetString> = unsafe { transmute(real(&KNOWN, c"fgets")) };
    // SAFETY: the caller keeps to fgets(3).
    fgets.map_or(ptr::null_mut(), |fgets| unsafe { fgets(text, size, file) })
}

/// # Safety
///
/// As mmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    // SAFETY: libc's mmap64 has these parameters.
    let map: Option<Map> = unsafe { transmute(real(&KNOWN, c"mmap64")) };
    let Some(map) = map else { return libc::MAP_FAILED };
    // SAFETY: the caller keeps to mmap(2).
    let arena = unsafe { arenas::arena(map, address, length, protection, flags) };
    if !arena.is_null() {
        return arena;
    }
    // SAFETY: as above.
    unsafe { map(address, length, protection, flags, fd, offset) }
}

/// # Safety
///
/// As mmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    // SAFETY: one function under two names.
    unsafe { mmap64(address, length, protection, flags, fd, offset) }
}

/// Ruby calls this when it has loaded what programs need: its gems, and what its own library has in Ruby.
///
/// # Safety
///
/// As `ruby_set_script_name` of Ruby's C API.
#[unsafe(no_mangle)]
unsafe extern "C" fn ruby_set_script_name(name: usize) {
    static KNOWN: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    after_loading();
    // SAFETY: Ruby's own has this parameter.
    let set: Option<SetName> = unsafe { transmute(real(&KNOWN, c"ruby_set_script_name")) };
    if let Some(set) = set {
        // SAFETY: by the contract.
        unsafe { set(name) };
    }
}

/// An interpreter that is asked to fork at the fork point (see `interpreter`) serves from there; one that asked for a branch
/// gets it; any other caller gets libc's.
///
/// # Safety
///
/// As fork(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn fork() -> libc::pid_t {
    branch::fork_asked_for().or_else(point::fork_asked_for).unwrap_or_else(real_fork)
}
