//! At the fork point: the interpreter becomes the launcher.
#![expect(
    unsafe_code,
    reason = "leaves the interpreter's stack, and comes back to it in copies of the process"
)]

use core::ffi::c_void;
use std::os::fd::{AsFd as _, OwnedFd};

use rollcage_sys::Errno;
use rollcage_sys::child::{Extent, ForkPoint, Stage, exit};
use rollcage_sys::stack::{Region, Stack, leave_for};
use rollcage_types::IsolationLevel;
use rustix::net::{SendFlags, send};

use crate::fork_server::{COPIED_AHEAD_MAX, REFUSED_EXIT};
use crate::intake::{Intake, receive};
use crate::launcher::{LauncherError, call, give_up};
use crate::protocol::{Answer, Refusal};
use crate::serve::Launcher;
use crate::service::{self, Birth};

/// What the process that executed the interpreter left for it.
#[derive(Debug)]
pub struct Handover {
    socket: OwnedFd,
    control: OwnedFd,
    level: IsolationLevel,
}

/// All that the launcher at work needs, and what its programs must not keep.
struct Work {
    launcher: Option<Launcher>,
    control: OwnedFd,
    landlock_abi: u32,
    regions: [Region; 4],
}

impl Handover {
    /// Reads the beginning of it; `None` if there is none.
    pub fn receive(socket: OwnedFd) -> Option<Self> {
        /// Names of levels are short.
        const NAME_MAX: usize = 32;
        let mut name = [0; NAME_MAX];
        let (length, control) = receive(socket.as_fd(), &mut name).ok()?;
        let name = std::str::from_utf8(name.get(..length)?).ok()?;
        Some(Self { socket, control: control?, level: IsolationLevel::from_name(name)? })
    }

    /// The level that programs are confined at.
    pub const fn level(&self) -> IsolationLevel {
        self.level
    }

    /// Says why there will be no server, and ends the process.
    pub fn refuse(&self, reason: Refusal, detail: i64) -> ! {
        let answer = Answer::Refused { reason, detail };
        let _unheard = send(&self.control, &answer.encode(), SendFlags::NOSIGNAL);
        exit(REFUSED_EXIT)
    }

    /// Makes this process the launcher. Returns in the process of each program, confined, with the descriptors `kept` (in
    /// ascending order) and no other of this process's; nowhere else.
    ///
    /// The process has one thread, and all its signals are blocked. `sequences` is the address that the C library
    /// registered with rseq(2). The C library does not learn of the fork. `written` is memory that every program will write to.
    /// `settle` is called in each program's process; where it fails there is no program.
    pub fn serve(
        self,
        kept: Vec<i32>,
        sequences: Option<usize>,
        written: Vec<Extent>,
        settle: impl FnOnce() -> Result<(), (Stage, Errno)>,
    ) {
        let control = match self.control.try_clone() {
            Ok(control) => control,
            Err(_none) => exit(1),
        };
        let (point, work) = match self.prepare(kept, sequences, written) {
            Ok(prepared) => prepared,
            Err(error) => exit(give_up(control.as_fd(), &error)),
        };
        drop(control);
        let stack = match work.regions[0].stack(0) {
            Ok(stack) => stack,
            Err(_unguarded) => exit(1),
        };
        let regions = work.regions;
        let work = Box::into_raw(Box::new(work));
        // SAFETY: the point was just allocated and is never deallocated; nobody looks at `left` before it is written.
        let left = unsafe { &raw mut (*point).left };
        // SAFETY: the stack is new; `at_work` does not unwind, and gets a Work for itself.
        unsafe { leave_for(left, stack, at_work, work.cast()) };
        // Here is a program's process, on the interpreter's stack.
        if let Err((stage, errno)) = settle() {
            // SAFETY: it was allocated above.
            let point = unsafe { &*point };
            // SAFETY: the regions are mapped.
            unsafe { point.give_up(stage, errno) }
        }
        // What launcher and stubs share among them is not its own.
        for region in regions {
            // SAFETY: this process has come back from all stacks there, and nothing else it will use lies there.
            unsafe { region.unmap() };
        }
    }

    fn prepare(
        self,
        kept: Vec<i32>,
        sequences: Option<usize>,
        written: Vec<Extent>,
    ) -> Result<(*mut ForkPoint, Work), LauncherError> {
        let intake = Intake::receive(self.socket.as_fd())?;
        let point = ForkPoint::here(sequences, first_bytes(written, COPIED_AHEAD_MAX))
            .map_err(call("find the thread's registrations"))?;
        point.forget_sequences().map_err(call("give up restartable sequences"))?;
        let point = Box::into_raw(Box::new(point));
        let birth = Birth::Fork { point: point.cast_const(), kept };
        let (launcher, landlock_abi) = service::take_up(self.control.as_fd(), self.level, intake, birth)?;
        let own = Region::map(Stack::ROOM).map_err(call("map a stack"))?;
        let [rooms, slots, start_clock] = launcher.regions();
        let regions = [own, rooms, slots, start_clock];
        Ok((point, Work { launcher: Some(launcher), control: self.control, landlock_abi, regions }))
    }
}

/// The first of `extents` that have no more than `most` bytes together.
fn first_bytes(extents: Vec<Extent>, most: usize) -> Vec<Extent> {
    let mut left = most;
    let fits = |extent: &Extent| {
        let rest = left.checked_sub(extent.length);
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    extents.into_iter().take_while(fits).collect()
}

/// The launcher, on a stack of its own so that the interpreter's stays as it was left.
unsafe extern "C" fn at_work(argument: *mut c_void) -> ! {
    // SAFETY: `Handover::serve` passes a Work that nobody else uses.
    let work = unsafe { &mut *argument.cast::<Work>() };
    let control = work.control.as_fd();
    let ready = Answer::Ready { landlock_abi: work.landlock_abi };
    if send(control, &ready.encode(), SendFlags::NOSIGNAL).is_err() {
        exit(1);
    }
    let Some(launcher) = work.launcher.take() else { exit(1) };
    match launcher.serve(control) {
        Ok(()) => exit(0),
        Err(error) => exit(give_up(control, &error)),
    }
}
