//! Programs that are copies of the launcher: the process is copied before there is a request for it.
//!
//! Copying an interpreter's page tables, and those of its pages that every program writes to, takes longer than most of
//! what follows, so it is not left for when somebody waits. Both are charged to the launcher's group. The copy receives
//! the request itself and takes everything on from there; the stub knows only how it ended.
#![expect(unsafe_code, reason = "two processes that share one room")]

use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr;

use rollcage_sys::Errno;
use rollcage_sys::child::{ForkPoint, Return, Stage, confine_and_return, exit};
use rollcage_sys::clone::spawn_copying_memory;
use rollcage_sys::wait::Ended;
use rustix::process::Pid;

use crate::bench::Bench;
use crate::ground::Ground;
use crate::stub::{lay_out, now_ns, prepare, receive_own, report_end};
use crate::tree;

/// What the copy finds where the stub left it. The stub leaves it alone until the copy has ended.
struct Post {
    bench: *mut Bench,
    ground: *const Ground,
    point: *const ForkPoint,
}

/// Serves one request by a copy of the launcher.
pub(crate) fn serve(
    bench: &mut Bench,
    ground: &Ground,
    point: *const ForkPoint,
) -> Result<(), (Stage, Errno)> {
    let post = Post { bench: ptr::from_mut(bench), ground: ptr::from_ref(ground), point };
    let pid = spawn(bench, &post).map_err(|errno| (Stage::CloneChild, errno))?;
    ground.renounce(bench.uid);
    // A wait that cannot fail has failed: leave rather than spin.
    let reaped = ground.await_program(bench, pid).unwrap_or_else(|| exit(1));
    if let Some(failed) = bench.failure.read() {
        return Err(failed);
    }
    match bench.shared.start_clock.load(bench.index) {
        // It was told that there would be no request.
        0 if has_left(&reaped) => Ok(()),
        0 => Err((Stage::Receive, Errno::SRCH)),
        started_ns => {
            report_end(bench, ground, &reaped, started_ns);
            if bench.stays {
                tree::await_all();
            }
            Ok(())
        }
    }
}

/// Whether it exited, with code 0; see wait(2).
const fn has_left(reaped: &Ended) -> bool {
    reaped.status == 0
}

fn spawn(bench: &Bench, post: &Post) -> Result<Pid, Errno> {
    // SAFETY: made before the launcher began to serve, and never removed.
    let thread_id = unsafe { &*post.point }.thread_id();
    let argument = ptr::from_ref(post).cast_mut().cast::<c_void>();
    // SAFETY: no other process uses this slot's child stack, and the launcher's region is shared, so that this process and
    // the new one do not write to the same. `post` and all it points to stay until the program has ended; what is not in
    // the region the new process has a copy of. The interpreter's stack was left before the first stub was made.
    unsafe { spawn_copying_memory(thread_id, bench.child_stack, become_program, argument) }
}

/// The copy, from its first instruction to the program's.
///
/// # Safety
///
/// `argument` points to a [`Post`] whose every pointer is valid until this process has ended, and whose bench nobody
/// else writes to. The stack that was left is as it was.
unsafe extern "C" fn become_program(argument: *mut c_void) -> ! {
    // SAFETY: by the contract.
    let post = unsafe { &*argument.cast_const().cast::<Post>() };
    // SAFETY: by the contract.
    let bench = unsafe { &mut *post.bench };
    // SAFETY: by the contract.
    let ground = unsafe { &*post.ground };
    match take_request(bench, ground, post.point) {
        Ok(Some(order)) => {
            let argument = ptr::from_ref(&order).cast_mut().cast::<c_void>();
            // SAFETY: the order is on this stack, which is left only for the interpreter's.
            unsafe { confine_and_return(argument) }
        }
        Ok(None) => exit(0),
        Err((stage, errno)) => {
            bench.failure.record(stage, errno);
            exit(1)
        }
    }
}

/// Makes ready what needs no request, waits for it and lays the ground for it. `None` if there will be none.
fn take_request(
    bench: &mut Bench,
    ground: &Ground,
    point: *const ForkPoint,
) -> Result<Option<Return>, (Stage, Errno)> {
    // SAFETY: made before the launcher began to serve, and never removed.
    unsafe { &*point }.copy_written();
    let Some((header, request_bytes, mut descriptors)) = receive_own(bench)? else { return Ok(None) };
    bench.stays = header.branches;
    bench.shared.start_clock.store(bench.index, now_ns());
    lay_out(bench, ground, &header, request_bytes, &mut descriptors)?;
    let child = prepare(bench, ground, &header, &descriptors).ok_or((Stage::Receive, Errno::BADMSG))?;
    // Its confinement closes them, once it needs them no more.
    let _open = ManuallyDrop::new(descriptors);
    Ok(Some(Return { child, point }))
}
