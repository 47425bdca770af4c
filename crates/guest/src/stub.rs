//! PID 1 of a cage.
//!
//! It finishes the cage's mounts, waits for one request (or has the copy of an interpreter wait, see `ahead.rs`), starts
//! the program and reports how it ended. It is never the program itself: a namespace's init ignores signals at their
//! default action, which would corrupt verdicts. It shares the launcher's memory and runs on a stack of its own, so it allocates nothing, locks
//! nothing and cannot panic; once the program runs it holds no privilege.
#![expect(unsafe_code, reason = "runs between clone and exec on memory shared with the launcher")]

use core::ffi::{c_char, c_void};
use core::ptr;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rollcage_sys::Errno;
use rollcage_sys::child::{CGROUPS_MAX, Execution, PreparedChild, Stage, confine_and_execute, exit};
use rollcage_sys::clone::{Caller, spawn_sharing_memory};
use rollcage_sys::wait;
use rollcage_types::IsolationLevel;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::Pid;

use crate::ahead;
use crate::bench::Bench;
use crate::ground::Ground;
use crate::protocol::{
    CgroupEntry, Command, RUN_DESCRIPTORS_FIXED, RUN_DESCRIPTORS_MAX, Report, RunHeader, Wiring,
};
use crate::service::Birth;
use crate::wire;

/// Runs a cage from its namespaces to its end. For [`spawn_sharing_memory`].
///
/// # Safety
///
/// `argument` points to a [`Bench`] that outlives this process and that nobody else touches meanwhile.
pub(crate) unsafe extern "C" fn main(argument: *mut c_void) -> ! {
    // SAFETY: the caller hands this process sole use of a live Bench.
    let bench = unsafe { &mut *argument.cast::<Bench>() };
    match serve(bench) {
        Ok(()) => exit(0),
        Err((stage, errno)) => {
            report(bench.socket.as_fd(), bench.generation, Report::Failed { stage, errno });
            exit(1)
        }
    }
}

fn report(socket: BorrowedFd<'_>, generation: u64, report: Report) {
    // If the supervisor is gone the launcher ends too, and with it this process: nobody is left to tell.
    let _sent = send(socket, &report.encode(generation), SendFlags::NOSIGNAL);
}

fn serve(bench: &mut Bench) -> Result<(), (Stage, Errno)> {
    let ground = Ground::take(bench)?;
    if bench.shared.announced {
        ground.announce(bench).map_err(|errno| (Stage::Announce, errno))?;
    }
    match bench.shared.birth {
        Birth::Execution => serve_executing(bench, &ground),
        Birth::Fork { point, .. } => ahead::serve(bench, &ground, point),
    }
}

/// Serves one request by executing its program.
fn serve_executing(bench: &mut Bench, ground: &Ground) -> Result<(), (Stage, Errno)> {
    let Some((header, request_bytes, mut descriptors)) = receive_own(bench)? else { return Ok(()) };
    let malformed = (Stage::Receive, Errno::BADMSG);
    lay_out(bench, ground, &header, request_bytes, &mut descriptors)?;
    let child = prepare(bench, ground, &header, &descriptors).ok_or(malformed)?;
    let [programs, argv, envp] = lay_lists(bench, request_bytes, &header).ok_or(malformed)?;
    let execution = Execution { child, programs, argv, envp };
    let pid = spawn_executing(bench, &header, &descriptors, &execution);
    // It has been executed by now.
    let (pid, started_ns) = (pid.map_err(|errno| (Stage::CloneChild, errno))?, now_ns());
    if let Some(failed) = bench.failure.read() {
        return Err(failed);
    }
    bench.shared.start_clock.store(bench.index, started_ns);
    // The pipes' ends must be closed here, or the supervisor would never see them end.
    drop(descriptors);
    ground.renounce(bench.uid);
    // A wait that cannot fail has failed: leave rather than spin.
    let reaped = ground.await_program(bench, pid).unwrap_or_else(|| exit(1));
    report_end(bench, ground, &reaped, started_ns);
    ground.clear();
    Ok(())
}

/// Puts in its place what a request came with, and hands over the sockets that it asks for.
pub(crate) fn lay_out(
    bench: &Bench,
    ground: &Ground,
    header: &RunHeader,
    request_bytes: usize,
    descriptors: &mut Descriptors,
) -> Result<(), (Stage, Errno)> {
    ground.lay_out(bench, header, descriptors)?;
    if header.listeners_len == 0 {
        return Ok(());
    }
    let listeners = header.listeners(bench.buffer.get(..request_bytes).unwrap_or_default());
    wire::hand_over_listeners(bench.socket.as_fd(), bench.generation, listeners)
        .map_err(|errno| (Stage::Listen, errno))
}

/// Reports how the program ended.
pub(crate) fn report_end(bench: &Bench, ground: &Ground, reaped: &wait::Ended, started_ns: u64) {
    let ended = ground.account_for(reaped, started_ns);
    report(bench.socket.as_fd(), bench.generation, Report::Ended(ended));
}

/// What came with a request.
pub(crate) struct Descriptors {
    stdio: [OwnedFd; 3],
    pub(crate) work: OwnedFd,
    pub(crate) tmp: OwnedFd,
    cgroups: [Option<OwnedFd>; CGROUPS_MAX],
}

/// The length of what is in the buffer, and the descriptors of a request if they came with it.
type Packet = (usize, Option<Descriptors>);

/// A request: its head, the length of all of it in the buffer, and its descriptors.
type Request = (RunHeader, usize, Descriptors);

/// Waits for a request to this cage. One to an earlier cage of the slot, which ended before it could take it, is thrown
/// away. `None` if there will be none.
pub(crate) fn receive_own(bench: &mut Bench) -> Result<Option<Request>, (Stage, Errno)> {
    let malformed = (Stage::Receive, Errno::BADMSG);
    loop {
        let Some((bytes, descriptors)) = receive(bench)? else { return Ok(None) };
        if let Some(command) = bench.buffer.get(..bytes).and_then(Command::decode_whole) {
            if is_for(command, bench.generation) {
                return Ok(None);
            }
            continue;
        }
        let descriptors = descriptors.ok_or(malformed)?;
        let header = bench.buffer.get(..bytes).and_then(RunHeader::decode).ok_or(malformed)?;
        if header.generation >= bench.generation {
            return Ok(Some((header, bytes, descriptors)));
        }
    }
}

/// Whether the command is to end this cage.
pub(crate) fn is_for(command: Command, own: u64) -> bool {
    match command {
        Command::Kill { generation, .. } => generation == own,
        Command::Start { .. } => false,
    }
}

/// Waits for a packet, with the descriptors of a request or without; `None` when the supervisor has gone.
fn receive(bench: &mut Bench) -> Result<Option<Packet>, (Stage, Errno)> {
    let failed = |errno| (Stage::Receive, errno);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RUN_DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(bench.buffer.as_mut_slice())];
    let message = loop {
        match recvmsg(bench.socket.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received.map_err(failed)?,
        }
    };
    if message.bytes == 0 {
        return Ok(None);
    }
    let mut fixed: [Option<OwnedFd>; RUN_DESCRIPTORS_FIXED] = [const { None }; RUN_DESCRIPTORS_FIXED];
    let mut cgroups: [Option<OwnedFd>; CGROUPS_MAX] = [const { None }; CGROUPS_MAX];
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = ancillary {
            for (place, fd) in fixed.iter_mut().chain(&mut cgroups).zip(fds) {
                *place = Some(fd);
            }
        }
    }
    Ok(Some((
        message.bytes,
        match fixed {
            [Some(stdin), Some(stdout), Some(stderr), Some(work), Some(tmp)] => {
                Some(Descriptors { stdio: [stdin, stdout, stderr], work, tmp, cgroups })
            }
            _ => None,
        },
    )))
}

/// Starts a process that executes the program. Returns once it has.
fn spawn_executing(
    bench: &Bench,
    header: &RunHeader,
    descriptors: &Descriptors,
    execution: &Execution,
) -> Result<Pid, Errno> {
    let into_cgroup = match header.cgroup_entry {
        CgroupEntry::CloneInto => descriptors.cgroups[0].as_ref().map(OwnedFd::as_fd),
        CgroupEntry::Tasks | CgroupEntry::None => None,
    };
    let argument = ptr::from_ref(execution).cast_mut().cast::<c_void>();
    // SAFETY: no other process uses this slot's child stack; `execution` and all it points to stay untouched until the
    // child has called execve or ended, because this process is suspended until then; and `confine_and_execute` keeps the
    // rules for code on a borrowed stack.
    let spawned = unsafe {
        spawn_sharing_memory(
            0,
            into_cgroup,
            Caller::WaitsForExec,
            bench.child_stack,
            confine_and_execute,
            argument,
        )
    }?;
    Ok(spawned.pid)
}

/// Lays the pointer lists execve wants over the received strings; `None` if the message does not add up.
fn lay_lists(
    bench: &mut Bench,
    request_bytes: usize,
    header: &RunHeader,
) -> Option<[*const *const c_char; 3]> {
    let mut strings = bench.buffer.get(header.strings_at..request_bytes)?;
    let mut starts = [ptr::null::<*const c_char>(); 3];
    let mut place = 0;
    for (start, count) in starts.iter_mut().zip(header.counts) {
        *start = bench.pointers.get(place..)?.as_ptr();
        for _ in 0..count {
            let end = strings.iter().position(|byte| *byte == 0)?;
            *bench.pointers.get_mut(place)? = strings.as_ptr().cast();
            strings = strings.get(end + 1..)?;
            place += 1;
        }
        *bench.pointers.get_mut(place)? = ptr::null();
        place += 1;
    }
    Some(starts)
}

/// What confines the program; `None` if the message does not add up.
pub(crate) fn prepare(
    bench: &Bench,
    ground: &Ground,
    header: &RunHeader,
    descriptors: &Descriptors,
) -> Option<PreparedChild> {
    if header.generation != bench.generation {
        return None;
    }
    // Without a cgroup there would be no limits: fail closed, unless the supervisor said that there is none.
    if (header.cgroup_entry == CgroupEntry::None) != descriptors.cgroups[0].is_none() {
        return None;
    }
    // Only one that executes its program can be cloned into a group.
    let executes = matches!(bench.shared.birth, Birth::Execution);
    if header.cgroup_entry == CgroupEntry::CloneInto && !executes {
        return None;
    }
    let [sealed, wired] = &bench.shared.filters;
    let filter = match (bench.wiring, header.branches) {
        (Wiring::Sealed, false) => sealed,
        (Wiring::Wired, false) => wired,
        (Wiring::Sealed, true) => bench.shared.branching_filter.as_ref()?,
        (Wiring::Wired, true) => return None,
    };
    let has_namespaces = bench.shared.level != IsolationLevel::Process;
    let mut cgroups = [-1; CGROUPS_MAX];
    if header.cgroup_entry == CgroupEntry::Tasks {
        for (place, fd) in cgroups.iter_mut().zip(descriptors.cgroups.iter().flatten()) {
            *place = fd.as_raw_fd();
        }
    }
    let kept = bench.shared.birth.kept();
    Some(PreparedChild {
        cgroups,
        stdio: descriptors.stdio.each_ref().map(OwnedFd::as_raw_fd),
        directory: descriptors.work.as_raw_fd(),
        directory_kept: !has_namespaces,
        kept: kept.as_ptr(),
        kept_len: kept.len(),
        hides_cgroups: has_namespaces,
        allows_own_process_files: !has_namespaces,
        resource_limits: header.resource_limits,
        resource_limits_len: header.resource_limits_len,
        uid: bench.uid,
        gid: bench.uid,
        landlock: ground.ruleset(bench),
        filter: filter.as_ptr(),
        filter_len: filter.len(),
        failure: &raw const bench.failure,
    })
}

pub(crate) fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
