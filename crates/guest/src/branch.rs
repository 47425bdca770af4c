//! What a branch is given from outside, and how it is sent what will be its own.
//!
//! The namespaces of a branch are made by its trunk, under confinement, and hold nothing of their own: their mounts are the
//! trunk's, and so is what is mounted on /proc. Who made the cage puts that right before any code of the branch runs. Its own
//! /proc can be made only in the branch's pid namespace and outside of its mount namespace; its ids can be mapped only from the
//! user namespace that it was made in. So a process of its own enters these, one after the other.
#![expect(unsafe_code, reason = "starts a process that shares this one's memory")]

use core::ffi::c_void;
use core::sync::atomic::{AtomicI32, Ordering};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rollcage_sys::Errno;
use rollcage_sys::child::exit;
use rollcage_sys::clone::{Caller, spawn_sharing_memory};
use rollcage_sys::stack::{Region, Stack};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen, move_mount,
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{WaitOptions, waitpid};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};

use crate::quotas;
use crate::small_text::SmallText;

/// Descriptors that a trunk is sent for a branch: its socket, its output and error, and what its init executes.
pub const ARRIVALS: usize = 4;

/// Receives them, with the byte that they come with; `None` if another byte came, which calls the branch off.
pub fn receive_arrivals(socket: i32) -> Result<Option<[OwnedFd; ARRIVALS]>, Errno> {
    // SAFETY: the caller's own socket, for the length of this call.
    let socket = unsafe { BorrowedFd::borrow_raw(socket) };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ARRIVALS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0; 1];
    loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => {
                let _message = other?;
                break;
            }
        }
    }
    let mut arrived = Vec::with_capacity(ARRIVALS);
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = part {
            arrived.extend(sent);
        }
    }
    if byte != *b"+" {
        return Ok(None);
    }
    arrived.try_into().map(Some).map_err(|_too_few| Errno::MFILE)
}

/// What the namespaces of a branch are given.
#[derive(Debug)]
pub struct BranchGround<'a> {
    /// A pidfd of the init of the branch.
    pub init: BorrowedFd<'a>,
    /// A pidfd of the process that branches.
    pub trunk: BorrowedFd<'a>,
    /// The init's directory in our own /proc.
    pub directory: BorrowedFd<'a>,
    /// `/proc/sys`.
    pub sys: BorrowedFd<'a>,
    /// Whether namespaces are forbidden of the kinds of which the branch has its trunk's. That is done from within its user
    /// namespace, where only Landlock keeps the signals of its init away.
    pub forbids_other_kinds: bool,
    /// To be mounted on `/ws/work`.
    pub work: BorrowedFd<'a>,
    /// To be mounted on `/ws/tmp`.
    pub tmp: BorrowedFd<'a>,
    /// The one user and group there is.
    pub uid: u32,
}

/// Steps that can fail, in their order: what the exit code of the process counts.
const STEPS: [&str; 10] = [
    "enter the process numbers of the branch",
    "make the branch's /proc",
    "enter the mounts of the branch",
    "mount the branch's /proc",
    "mount the branch's workspace",
    "enter the users of the trunk",
    "bound the trunk's branches",
    "map the branch's user",
    "enter the users of the branch",
    "bound the branch's namespaces",
];

impl BranchGround<'_> {
    /// Gives it. What comes back says which step failed.
    pub fn furnish(&self) -> Result<(), (&'static str, Errno)> {
        let first = |errno| (STEPS[0], errno);
        let own = openat(CWD, c"/proc/thread-self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(first)?;
        let region = Region::map(Stack::ROOM.next_multiple_of(4096)).map_err(first)?;
        let stack = region.stack(0).map_err(first)?;
        // Only children of this thread are in it.
        move_into_thread_name_spaces(self.init, ThreadNameSpaceType::PROCESS_ID).map_err(first)?;
        let giving = Giving { ground: self, errno: AtomicI32::new(0) };
        let argument = core::ptr::from_ref(&giving).cast_mut().cast::<c_void>();
        // SAFETY: the stack is new; this thread, and with it `giving`, waits until the process has ended.
        let spawned = unsafe { spawn_sharing_memory(0, None, Caller::WaitsForExec, stack, give, argument) };
        let back =
            move_into_thread_name_spaces(std::os::fd::AsFd::as_fd(&own), ThreadNameSpaceType::PROCESS_ID);
        let status = spawned.and_then(|spawned| waitpid(Some(spawned.pid), WaitOptions::empty()));
        // SAFETY: nobody is on the stack any more.
        unsafe { region.unmap() };
        back.map_err(first)?;
        let code = status.map_err(first)?.and_then(|(_pid, status)| status.exit_status()).unwrap_or(-1);
        match usize::try_from(code) {
            Ok(0) => Ok(()),
            Ok(step) => {
                let errno = Errno::from_raw_os_error(giving.errno.load(Ordering::Relaxed));
                Err((STEPS.get(step).copied().unwrap_or(STEPS[0]), errno))
            }
            Err(_signal) => Err((STEPS[0], Errno::SRCH)),
        }
    }

    /// In the process of its own. What comes back is the step that failed, by its place in [`STEPS`].
    fn give(&self) -> Result<(), (i32, Errno)> {
        let at = |step| move |errno| (step, errno);
        let proc = self.make_proc().map_err(at(1))?;
        move_into_thread_name_spaces(self.init, ThreadNameSpaceType::MOUNT).map_err(at(2))?;
        attach(std::os::fd::AsFd::as_fd(&proc), c"/proc").map_err(at(3))?;
        attach(self.work, c"/ws/work").and_then(|()| attach(self.tmp, c"/ws/tmp")).map_err(at(4))?;
        move_into_thread_name_spaces(self.trunk, ThreadNameSpaceType::USER).map_err(at(5))?;
        quotas::bound_branches(self.sys).map_err(at(6))?;
        self.map_user().map_err(at(7))?;
        if self.forbids_other_kinds {
            move_into_thread_name_spaces(self.init, ThreadNameSpaceType::USER).map_err(at(8))?;
            quotas::forbid_other_kinds(self.sys).map_err(at(9))?;
        }
        Ok(())
    }

    fn make_proc(&self) -> Result<OwnedFd, Errno> {
        let context = fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let context = std::os::fd::AsFd::as_fd(&context);
        fsconfig_set_string(context, c"subset", c"pid")?;
        fsconfig_set_string(context, c"hidepid", c"invisible")?;
        fsconfig_create(context)?;
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, flags)
    }

    fn map_user(&self) -> Result<(), Errno> {
        let uid = u64::from(self.uid);
        let line = SmallText::new().number(uid).text(" ").number(uid).text(" 1\n");
        for name in [c"gid_map", c"uid_map"] {
            let map = openat(self.directory, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::write(&map, line.as_c_str().to_bytes())?;
        }
        Ok(())
    }
}

fn attach(mount: BorrowedFd<'_>, target: &core::ffi::CStr) -> Result<(), Errno> {
    move_mount(mount, c"", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// What the process that gives it is passed.
struct Giving<'a> {
    ground: &'a BranchGround<'a>,
    /// Why the step failed that its exit code counts.
    errno: AtomicI32,
}

/// The process that gives it. Its exit code is the step that failed, or 0.
unsafe extern "C" fn give(argument: *mut c_void) -> ! {
    // SAFETY: `furnish` passes this, and waits.
    let giving = unsafe { &*argument.cast_const().cast::<Giving<'_>>() };
    match giving.ground.give() {
        Ok(()) => exit(0),
        Err((step, errno)) => {
            giving.errno.store(errno.raw_os_error(), Ordering::Relaxed);
            exit(step)
        }
    }
}
