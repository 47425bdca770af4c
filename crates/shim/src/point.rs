//! The fork point: an interpreter that has initialised becomes the launcher of its own cages, and goes on in each of them.

use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use rollcage_guest::Stage;
use rollcage_guest::fork_server::Handover;
use rollcage_guest::protocol::Refusal;
use rollcage_sys::{Errno, process_map};

use crate::descriptors::Own;
use crate::environment;
use crate::huge;
use crate::interpreter::Interpreter;
use crate::raw;
use crate::settings::Settings;
use crate::signals::Held;
use crate::temporary::Directories;
use crate::trial::{self, Trial};

/// Says why there will be no server, and ends the process.
pub(crate) fn refuse(settings: &Settings, reason: Refusal, detail: i64) -> ! {
    match settings.take_socket().and_then(Handover::receive) {
        Some(handover) => handover.refuse(reason, detail),
        None => raw::exit(1),
    }
}

/// Makes cages until the supervisor is gone. Returns in each program's process, and only there. `open` is the program's
/// file where that is open already.
pub(crate) fn stop(settings: &Settings, socket: c_int, open: Option<c_int>) {
    let refused = |(reason, detail)| -> ! { refuse(settings, reason, detail) };
    if let Some(closed) = (0..=2).find(|fd| raw::flags(*fd, libc::F_GETFD).is_err()) {
        refused((Refusal::StandardStreams, i64::from(closed)));
    }
    let interpreter = Interpreter::take(settings.preload.as_deref()).unwrap_or_else(|reason| {
        refused((reason, 0));
    });
    // Or every program would print again what is buffered.
    // SAFETY: NULL stands for all streams.
    unsafe { libc::fflush(ptr::null_mut()) };
    check_process().unwrap_or_else(|reason| refused(reason));
    let own = Own::take_stock(socket, open, settings.is_session()).unwrap_or_else(|reason| refused(reason));
    let held = Held::take().unwrap_or_else(|errno| refused((Refusal::Signals, i64::from(errno))));
    environment::remove_listed(&settings.hidden);
    let Some(handover) = settings.take_socket().and_then(Handover::receive) else { raw::exit(1) };
    let temporary = Directories::look();
    let here = Here { handover: Cell::new(Some(handover)), own, temporary };
    ASKED_FOR.store(ptr::from_ref(&here).cast_mut().cast(), Ordering::Relaxed);
    interpreter.fork();
    // Here is a program's process, if the interpreter did as it was told.
    if !ASKED_FOR.load(Ordering::Relaxed).is_null() {
        raw::exit(1);
    }
    interpreter.settle();
    // Last, because what it lets in may run the interpreter's handlers.
    if held.release().is_err() {
        raw::exit(1);
    }
}

/// What one process cannot have if its copies are to be as if they had been started.
fn check_process() -> Result<(), (Refusal, i64)> {
    match raw::thread_count() {
        Ok(1) => {}
        Ok(count) => return Err((Refusal::Threads, count)),
        Err(errno) => return Err((Refusal::CountThreads, i64::from(errno))),
    }
    if raw::has_child() {
        return Err((Refusal::Children, 1));
    }
    match process_map::shares_memory(c"/proc/self/maps") {
        Ok(false) => Ok(()),
        Ok(true) => Err((Refusal::SharedMemory, 0)),
        Err(errno) => Err((Refusal::SharedMemory, i64::from(errno.raw_os_error()))),
    }
}

/// What is needed at the one fork.
struct Here {
    handover: Cell<Option<Handover>>,
    own: Own,
    temporary: Directories,
}

/// Set while the interpreter is to fork: a pointer to a [`Here`] of `stop`, or null.
static ASKED_FOR: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// If the interpreter forks because it was asked to: serves, and returns 0 in each program's process, as fork(2) would.
pub(crate) fn fork_asked_for() -> Option<libc::pid_t> {
    let here = ASKED_FOR.load(Ordering::Relaxed);
    if here.is_null() {
        return None;
    }
    ASKED_FOR.store(ptr::null_mut(), Ordering::Relaxed);
    // SAFETY: `stop` keeps it alive and in one place while the pointer is set, and until it has come back from the fork.
    let here = unsafe { &*here.cast_const().cast::<Here>() };
    let handover = here.handover.take()?;
    raw::on_exit(end);
    // Small pages do as well.
    let _unfinished = huge::collapse();
    let Trial::Over { written } = trial::run() else { return Some(0) };
    let server = raw::own_pid();
    handover.serve(here.own.numbers(), registered_sequences(), written, || {
        // Libraries tell a fork by a changed process id. OpenSSL would go on with its parent's random numbers, and so would
        // every sibling.
        if raw::own_pid() == server {
            return Err((Stage::Register, Errno::EXIST));
        }
        let own = here.own.make_private();
        own.map_err(|errno| (Stage::OwnDescriptors, Errno::from_raw_os_error(errno)))?;
        let made = here.temporary.make();
        made.map_err(|errno| (Stage::OwnDirectories, Errno::from_raw_os_error(errno)))
    });
    Some(0)
}

/// The end of a program that exits, after what it registered itself: what libraries registered that were there before is
/// not run. It would take apart what is not the program's, and copy it for that.
extern "C" fn end(status: c_int, _nothing: *mut c_void) {
    // SAFETY: NULL stands for all streams.
    unsafe { libc::fflush(ptr::null_mut()) };
    trial::tell();
    raw::exit(status)
}

/// Where glibc, from 2.35 on, has the thread's area for restartable sequences.
pub(crate) fn registered_sequences() -> Option<usize> {
    let of_thread = raw::find(libc::RTLD_DEFAULT, c"__rseq_offset")?.cast::<isize>();
    let size = raw::find(libc::RTLD_DEFAULT, c"__rseq_size")?.cast::<u32>();
    // SAFETY: glibc's own constant of this type, set before `main`.
    let of_thread = unsafe { of_thread.read() };
    // SAFETY: as above.
    let size = unsafe { size.read() };
    (size > 0).then(|| raw::thread_pointer().wrapping_add_signed(of_thread))
}
