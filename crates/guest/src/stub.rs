//! PID 1 of a cage.
//!
//! It finishes the cage's mounts, waits for one request, starts the program and reports how it ended. It is
//! never the program itself: a namespace's init ignores signals at their default action, which would corrupt
//! verdicts. It shares the launcher's memory and runs on a stack of its own, so it allocates nothing, locks
//! nothing and cannot panic; once the program runs it holds no privilege.
#![expect(unsafe_code, reason = "runs between clone and exec on memory shared with the launcher")]

use core::ffi::{CStr, c_char, c_void};
use core::ptr;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rollcage_sys::Errno;
use rollcage_sys::child::{CGROUPS_MAX, Failure, PreparedChild, Stage, confine_and_exec, exit};
use rollcage_sys::clone::{Caller, Stack, spawn_sharing_memory};
use rollcage_sys::descriptors;
use rollcage_sys::mapping::SharedWords;
use rollcage_sys::seccomp::Instruction;
use rollcage_sys::wait::{self, Patience};
use rustix::mount::{MountFlags, MoveMountFlags, mount, move_mount};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{Gid, Uid};

use crate::protocol::{
    CgroupEntry, Ended, REQUEST_BYTES_MAX, REQUEST_STRINGS_MAX, RUN_DESCRIPTORS_FIXED, RUN_DESCRIPTORS_MAX,
    Report, RunHeader,
};

/// What all stubs share: made once, never changed.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The ruleset of `rules.rs`.
    pub(crate) landlock: OwnedFd,
    /// What each program takes on besides the launcher's own filter.
    pub(crate) filter: Vec<Instruction>,
    /// See [`crate::protocol::start_clock_offset`].
    pub(crate) start_clock: SharedWords,
}

/// The memory one stub works in. Only the stub touches `buffer`, `pointers` and `prepared` while it lives.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) shared: &'static Shared,
    pub(crate) socket: OwnedFd,
    pub(crate) index: usize,
    pub(crate) uid: u32,
    pub(crate) generation: u64,
    pub(crate) failure: Failure,
    pub(crate) child_stack: Stack,
    pub(crate) buffer: Box<[u8; REQUEST_BYTES_MAX]>,
    pub(crate) pointers: Box<[*const c_char; REQUEST_STRINGS_MAX]>,
}

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
    // The launcher's control socket and other slots' sockets are none of this cage's business.
    descriptors::close_all_but([bench.socket.as_raw_fd(), bench.shared.landlock.as_raw_fd()])
        .map_err(|errno| (Stage::CloseLaunchers, errno))?;
    // Processes only: no /proc/sys, kcore, keys, cmdline of the kernel and so on. Other users' processes, that
    // is this stub, are invisible.
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(c"proc", c"/proc", c"proc", flags, c"subset=pid,hidepid=invisible")
        .map_err(|errno| (Stage::MountProc, errno))?;

    let Some((request_bytes, descriptors)) = receive_own(bench)? else { return Ok(()) };
    attach(&descriptors.work, c"/ws/work").map_err(|errno| (Stage::MountWork, errno))?;
    attach(&descriptors.tmp, c"/ws/tmp").map_err(|errno| (Stage::MountTmp, errno))?;

    let malformed = (Stage::Receive, Errno::BADMSG);
    let header = bench.buffer.get(..request_bytes).and_then(RunHeader::decode).ok_or(malformed)?;
    let prepared = prepare(bench, request_bytes, &header, &descriptors).ok_or(malformed)?;
    let into_cgroup = match header.cgroup_entry {
        CgroupEntry::CloneInto => descriptors.cgroups[0].as_ref().map(OwnedFd::as_fd),
        CgroupEntry::Tasks => None,
    };
    let argument = ptr::from_ref(&prepared).cast_mut().cast::<c_void>();
    // SAFETY: no other process uses this slot's child stack; `prepared` and all it points to stay untouched
    // until the child has called execve or ended, because this process is suspended until then; and
    // `confine_and_exec` keeps the rules for code on a borrowed stack.
    let child = unsafe {
        spawn_sharing_memory(
            0,
            into_cgroup,
            Caller::WaitsForExec,
            &bench.child_stack,
            confine_and_exec,
            argument,
        )
    }
    .map_err(|errno| (Stage::CloneChild, errno))?;
    let started_ns = now_ns();
    if let Some(failed) = bench.failure.read() {
        return Err(failed);
    }
    bench.shared.start_clock.store(bench.index, started_ns);
    // The pipes' ends must be closed here, or the supervisor would never see them end.
    drop(descriptors);
    renounce(bench.uid);
    let ended = wait_for(child.pid, started_ns);
    report(bench.socket.as_fd(), bench.generation, Report::Ended(ended));
    Ok(())
}

/// What came with a request.
struct Descriptors {
    stdio: [OwnedFd; 3],
    work: OwnedFd,
    tmp: OwnedFd,
    cgroups: [Option<OwnedFd>; CGROUPS_MAX],
}

/// Waits for a request to this cage. One to an earlier cage of the slot, which ended before it could take it, is thrown
/// away.
fn receive_own(bench: &mut Bench) -> Result<Option<(usize, Descriptors)>, (Stage, Errno)> {
    loop {
        let Some((bytes, descriptors)) = receive(bench)? else { return Ok(None) };
        let header = bench.buffer.get(..bytes).and_then(RunHeader::decode);
        match header {
            Some(header) if header.generation < bench.generation => {}
            _ => return Ok(Some((bytes, descriptors))),
        }
    }
}

/// Waits for a request; `None` when the supervisor has gone.
fn receive(bench: &mut Bench) -> Result<Option<(usize, Descriptors)>, (Stage, Errno)> {
    let failed = |errno| (Stage::Receive, errno);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(RUN_DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(bench.buffer.as_mut_slice())];
    let message =
        recvmsg(bench.socket.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).map_err(failed)?;
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
    match (fixed, &cgroups[0]) {
        // Without a cgroup there would be no limits: fail closed.
        ([Some(stdin), Some(stdout), Some(stderr), Some(work), Some(tmp)], Some(_)) => {
            Ok(Some((message.bytes, Descriptors { stdio: [stdin, stdout, stderr], work, tmp, cgroups })))
        }
        _ => Err(failed(Errno::BADMSG)),
    }
}

fn attach(mounted: &OwnedFd, target: &CStr) -> Result<(), Errno> {
    move_mount(mounted.as_fd(), c"", rustix::fs::CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Lays the pointer lists execve wants over the received strings; `None` if the message does not add up.
fn prepare(
    bench: &mut Bench,
    request_bytes: usize,
    header: &RunHeader,
    descriptors: &Descriptors,
) -> Option<PreparedChild> {
    let request = bench.buffer.get(..request_bytes)?;
    if header.generation != bench.generation {
        return None;
    }
    let mut strings = request.get(header.strings_at..)?;
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
    let mut cgroups = [-1; CGROUPS_MAX];
    if header.cgroup_entry == CgroupEntry::Tasks {
        for (place, fd) in cgroups.iter_mut().zip(descriptors.cgroups.iter().flatten()) {
            *place = fd.as_raw_fd();
        }
    }
    Some(PreparedChild {
        cgroups,
        stdio: descriptors.stdio.each_ref().map(OwnedFd::as_raw_fd),
        directory: c"/ws/work".as_ptr(),
        resource_limits: header.resource_limits,
        resource_limits_len: header.resource_limits_len,
        uid: bench.uid,
        gid: bench.uid,
        landlock: bench.shared.landlock.as_raw_fd(),
        filter: bench.shared.filter.as_ptr(),
        filter_len: bench.shared.filter.len(),
        programs: starts[0],
        argv: starts[1],
        envp: starts[2],
        failure: &raw const bench.failure,
    })
}

/// Gives up every privilege. The stub's uid is not the program's, so the program cannot signal or trace it.
fn renounce(program_uid: u32) {
    // Cages' uids are even, stubs' the odd ones that follow.
    let own = program_uid + 1;
    let (uid, gid) = (Uid::from_raw(own), Gid::from_raw(own));
    let dropped = rustix::thread::set_thread_res_gid(gid, gid, gid)
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid));
    if dropped.is_err() {
        // Fail closed: ending PID 1 kills the whole cage.
        exit(1)
    }
}

fn wait_for(child: rustix::process::Pid, started_ns: u64) -> Ended {
    let mut ended = Ended { started_ns, ..Ended::default() };
    loop {
        match wait::any_child(Patience::Block) {
            Ok(Some(reaped)) if reaped.pid == child => {
                ended.status = reaped.status;
                ended.at_ns = now_ns();
                ended.cpu_us = reaped.cpu_us;
                ended.max_rss_kib = reaped.max_rss_kib;
                break;
            }
            // An orphan the program left, or an interrupted wait.
            Ok(_) | Err(Errno::INTR) => {}
            // Cannot happen while `child` is unreaped; leave rather than spin.
            Err(_) => exit(1),
        }
    }
    // Orphans that have ended are reaped; one that lives means the tree must be killed.
    ended.alone = loop {
        match wait::any_child(Patience::Poll) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    if let Ok(work) = rustix::fs::statfs(c"/ws/work") {
        let block = u64::try_from(work.f_bsize).unwrap_or(0);
        ended.disk_used = work.f_blocks.saturating_sub(work.f_bfree).saturating_mul(block);
        ended.disk_full = is_full(&work);
    }
    // Most often the same file system.
    ended.disk_full |= rustix::fs::statfs(c"/ws/tmp").is_ok_and(|tmp| is_full(&tmp));
    ended
}

const fn is_full(usage: &rustix::fs::StatFs) -> bool {
    usage.f_bfree == 0 || usage.f_ffree == 0
}

fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
