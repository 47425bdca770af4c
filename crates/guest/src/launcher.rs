//! The single-threaded process that clones cages.
//!
//! It is init of an outer pid namespace: when its control socket closes, because the supervisor ended in
//! whatever way, it exits and the kernel kills every cage. It decides nothing about programs; it keeps a stub
//! ready in every slot in use, kills the cage it is told to, and says when nothing of a cage is left.
#![expect(unsafe_code, reason = "clones processes that share its memory")]

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::ptr;

use rollcage_sys::Errno;
use rollcage_sys::child::{Failure, Stage};
use rollcage_sys::clone::{
    CAGE_NAMESPACES, Caller, Forked, Stack, fork_single_threaded, spawn_sharing_memory,
};
use rollcage_sys::mapping::SharedWords;
use rollcage_sys::seccomp;
use rustix::event::epoll;
use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use rustix::thread::UnshareFlags;

use crate::protocol::{Command, REQUEST_BYTES_MAX, REQUEST_STRINGS_MAX, Report, Setup};
use crate::stub::{self, Bench, Shared};
use crate::{filter, inherited, rules, template};

/// The first argument that makes an executable the launcher. Followed by a mount point and a slot count; the
/// control socket is standard input.
pub const LAUNCHER_ARGUMENT: &str = "__rollcage_launcher";

/// Becomes the launcher, and never returns, if the command line says so. Call it first in `main`, before any
/// thread is started.
pub fn main_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(LAUNCHER_ARGUMENT.as_ref()) {
        return;
    }
    let (Some(root), Some(slots)) = (arguments.next(), arguments.next()) else {
        rollcage_sys::child::exit(2)
    };
    let slots = slots.to_str().and_then(|text| text.parse().ok()).unwrap_or(0);
    let Ok(control) = take_control() else { rollcage_sys::child::exit(2) };
    let code = match run(control.as_fd(), &PathBuf::from(root), slots) {
        Ok(()) => 0,
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text.push_str(": ");
                text.push_str(&cause.to_string());
                source = cause.source();
            }
            let _unheard = send(&control, format!("-{text}").as_bytes(), SendFlags::NOSIGNAL);
            1
        }
    };
    rollcage_sys::child::exit(code)
}

/// Moves the control socket out of the way of the standard streams, which stubs keep and programs replace.
fn take_control() -> Result<OwnedFd, Errno> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(control)
}

#[derive(Debug, thiserror::Error)]
enum LauncherError {
    #[error("cannot {action}")]
    Call {
        action: &'static str,
        #[source]
        source: Errno,
    },
    #[error("cannot build the template")]
    Template(#[source] template::TemplateError),
    #[error("the kernel offers no landlock")]
    NoLandlock,
    #[error("the supervisor sent a malformed set-up message")]
    Protocol,
}

fn call(action: &'static str) -> impl FnOnce(Errno) -> LauncherError {
    move |source| LauncherError::Call { action, source }
}

fn step((action, source): inherited::Failed) -> LauncherError {
    LauncherError::Call { action, source }
}

fn run(control: BorrowedFd<'_>, root: &std::path::Path, slots: usize) -> Result<(), LauncherError> {
    let namespaces = UnshareFlags::NEWPID
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS;
    // SAFETY: this process has one thread, so no other depends on what is unshared.
    unsafe { rustix::thread::unshare_unsafe(namespaces) }.map_err(call("unshare namespaces"))?;
    // SAFETY: this process has one thread.
    let forked = unsafe { fork_single_threaded() }.map_err(call("fork the outer init"))?;
    match forked {
        Forked::Parent { pidfd, .. } => {
            // This process stays so that its parent has something to wait for.
            let _status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            rollcage_sys::child::exit(0)
        }
        Forked::Child => init(control, root, slots),
    }
}

/// The launcher proper: PID 1 of the outer namespace.
fn init(control: BorrowedFd<'_>, root: &std::path::Path, slots: usize) -> Result<(), LauncherError> {
    inherited::reset().map_err(step)?;
    let start_clock = receive_start_clock(control, slots)?;
    let mut benches = Vec::new();
    for expected in 0..slots {
        benches.push(receive_setup(control, expected)?);
    }
    let uids: Vec<u32> = benches.iter().map(|(setup, _)| setup.uid).collect();
    // Every cage's own UTS namespace starts as a copy of this one.
    rustix::system::sethostname(b"cage").map_err(call("set the cages' host name"))?;
    template::enter(root, &uids).map_err(LauncherError::Template)?;
    let (abi, landlock) =
        rules::ruleset().map_err(call("make the landlock rules"))?.ok_or(LauncherError::NoLandlock)?;
    inherited::seal_capabilities().map_err(step)?;
    let shared = Shared { landlock, filter: filter::assemble(&filter::program_rules()), start_clock };
    let shared: &'static Shared = Box::leak(Box::new(shared));
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(call("create an epoll"))?;
    let watched = epoll::EventData::new_u64(CONTROL);
    epoll::add(&epoll, control, watched, epoll::EventFlags::IN).map_err(call("watch the control socket"))?;
    let slots = benches
        .into_iter()
        .map(|(setup, socket)| Slot::new(shared, &setup, socket))
        .collect::<Result<Vec<_>, _>>()
        .map_err(call("map stacks"))?;
    // Last, because it forbids much of the above; inherited by every stub and program.
    seccomp::install(&filter::assemble(&filter::launcher_rules()))
        .map_err(call("install the system call filter"))?;
    send(control, format!("+{abi}").as_bytes(), SendFlags::NOSIGNAL)
        .map_err(call("answer the supervisor"))?;
    Launcher { epoll, slots }.serve(control)
}

fn receive(control: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = loop {
        match recvmsg(control, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptor = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            descriptor = fds.next();
        }
    }
    Ok((message.bytes, descriptor))
}

fn receive_start_clock(control: BorrowedFd<'_>, slots: usize) -> Result<SharedWords, LauncherError> {
    let (_length, memfd) = receive(control, &mut [0; 8]).map_err(call("receive the start clock"))?;
    let memfd = memfd.ok_or(LauncherError::Protocol)?;
    SharedWords::map(memfd.as_fd(), slots).map_err(call("map the start clock"))
}

fn receive_setup(control: BorrowedFd<'_>, expected: usize) -> Result<(Setup, OwnedFd), LauncherError> {
    let mut bytes = [0; Setup::BYTES];
    let (length, socket) = receive(control, &mut bytes).map_err(call("receive a set-up message"))?;
    let setup = bytes.get(..length).and_then(Setup::decode).ok_or(LauncherError::Protocol)?;
    match socket {
        Some(socket) if usize::try_from(setup.slot) == Ok(expected) => Ok((setup, socket)),
        _ => Err(LauncherError::Protocol),
    }
}

/// Marks the control socket among epoll's events; slots carry their index.
const CONTROL: u64 = u64::MAX;
/// Events taken from the kernel at a time; more wait their turn.
const EVENTS: usize = 32;

struct Launcher {
    epoll: OwnedFd,
    slots: Vec<Slot>,
}

struct Slot {
    /// Boxed and reached only through a pointer while a stub lives, because the stub works in it.
    bench: *mut Bench,
    stub_stack: Stack,
    live: Option<OwnedFd>,
    generation: u64,
}

impl Slot {
    fn new(shared: &'static Shared, setup: &Setup, socket: OwnedFd) -> Result<Self, Errno> {
        let bench = Box::new(Bench {
            shared,
            socket,
            index: setup.slot as usize,
            uid: setup.uid,
            generation: 0,
            failure: Failure::default(),
            child_stack: Stack::new()?,
            buffer: Box::new([0; REQUEST_BYTES_MAX]),
            pointers: Box::new([ptr::null(); REQUEST_STRINGS_MAX]),
        });
        Ok(Self { bench: Box::into_raw(bench), stub_stack: Stack::new()?, live: None, generation: 0 })
    }

    /// For a slot whose stub is gone.
    fn report(&self, report: Report) {
        // SAFETY: no stub of this slot lives, so the bench is ours alone.
        let socket = unsafe { (*self.bench).socket.as_fd() };
        // A supervisor that is gone shows on the control socket.
        let _sent = send(socket, &report.encode(self.generation), SendFlags::NOSIGNAL);
    }

    /// For a slot whose stub is gone.
    fn reset_start_clock(&self) {
        // SAFETY: no stub of this slot lives, so the bench is ours alone.
        let bench = unsafe { &*self.bench };
        bench.shared.start_clock.store(bench.index, 0);
    }

    /// Clones this slot's next stub.
    fn start(&mut self, index: usize, epoll: &OwnedFd) -> Result<(), Errno> {
        self.generation += 1;
        // SAFETY: no stub of this slot lives, so the bench is ours alone.
        let bench = unsafe { &mut *self.bench };
        bench.generation = self.generation;
        bench.failure.clear();
        // SAFETY: the slot's last stub has been reaped, so its stack and bench are free; the bench is never
        // deallocated; `stub::main` keeps the rules for code on a borrowed stack.
        let spawned = unsafe {
            spawn_sharing_memory(
                CAGE_NAMESPACES,
                None,
                Caller::Continues,
                &self.stub_stack,
                stub::main,
                self.bench.cast(),
            )
        }?;
        let pidfd = spawned.pidfd.expect("a caller that continues is given a pidfd");
        let data = epoll::EventData::new_u64(index as u64);
        if let Err(errno) = epoll::add(epoll, &pidfd, data, epoll::EventFlags::IN) {
            // Nobody would see it end: end it here.
            let _sent = pidfd_send_signal(&pidfd, Signal::KILL);
            let _reaped = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            return Err(errno);
        }
        self.live = Some(pidfd);
        Ok(())
    }
}

impl Launcher {
    fn serve(mut self, control: BorrowedFd<'_>) -> Result<(), LauncherError> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(call("wait for events")(errno)),
            }
            for event in &events {
                let data = event.data.u64();
                if data == CONTROL {
                    let mut bytes = [0; Command::BYTES];
                    match receive(control, &mut bytes) {
                        // The supervisor is gone: exit, and the kernel ends every cage.
                        Ok((0, _)) => return Ok(()),
                        Ok((length, _)) => self.obey(bytes.get(..length).and_then(Command::decode)),
                        Err(errno) => return Err(call("receive a command")(errno)),
                    }
                } else if let Ok(index) = usize::try_from(data) {
                    self.reap(index);
                }
            }
        }
    }

    fn obey(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Start { slot }) => self.start(slot as usize),
            Some(Command::Kill { slot, generation }) => {
                let Some(slot) = self.slots.get(slot as usize) else { return };
                if let Some(pidfd) = slot.live.as_ref().filter(|_| slot.generation == generation) {
                    // ESRCH: it ended by itself in the meantime.
                    let _sent = pidfd_send_signal(pidfd, Signal::KILL);
                }
            }
            None => {}
        }
    }

    fn start(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.live.is_some() {
            return;
        }
        if let Err(errno) = slot.start(index, &self.epoll) {
            slot.report(Report::Failed { stage: Stage::CloneStub, errno });
            slot.report(Report::Reaped { next_ready: false });
        }
    }

    fn reap(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(pidfd) = slot.live.as_ref() else { return };
        let status = match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        {
            Ok(Some(status)) => status,
            Ok(None) | Err(_) => return,
        };
        // Explicitly, because stubs hold copies of this descriptor: closing ours would not end the watch.
        let _unwatched = epoll::delete(&self.epoll, pidfd);
        slot.live = None;
        // A stub that served ends with 0, a killed one by a signal. One that failed at its own work would
        // fail again at once, so the next is made only when it is asked for.
        let next_ready = status.exit_status().is_none_or(|code| code == 0);
        // Before the report: whoever hears it may look at the clock for the next cage at once.
        slot.reset_start_clock();
        slot.report(Report::Reaped { next_ready });
        if next_ready {
            self.start(index);
        }
    }
}
