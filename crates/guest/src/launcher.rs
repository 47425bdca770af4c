//! The process that makes cages, as it sets itself up.
//!
//! With namespaces it becomes init of an outer pid namespace: when its control socket closes, because the supervisor
//! ended in whatever way, it exits and the kernel kills every cage. What it does once it is set up is in `serve.rs`.
#![expect(unsafe_code, reason = "forks a process that has one thread")]

use std::ffi::OsString;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rollcage_sys::Errno;
use rollcage_sys::clone::{Forked, fork_single_threaded};
use rollcage_sys::mapping::SharedWords;
use rollcage_sys::{landlock, seccomp};
use rollcage_types::IsolationLevel;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::UnshareFlags;

use crate::filter::Charge;
use crate::protocol::{Setup, Wiring};
use crate::rules::Grants;
use crate::serve::Launcher;
use crate::stub::{Confinement, Shared};
use crate::template::RootTree;
use crate::tree::SignalScope;
use crate::{filter, inherited, rootless, rules, template};

/// The first argument that makes an executable the launcher. Followed by the isolation level, a directory, a slot count,
/// whether stubs announce themselves, whether control groups are charged for programs, the root tree, and the directory that workspaces start from, if any; the control socket is standard input. The directory is the template's mount
/// point; where there is no mount namespace it holds for each slot a directory of its number, with `work` and `tmp`.
pub const LAUNCHER_ARGUMENT: &str = "__rollcage_launcher";
/// The word for stubs that announce themselves with [`crate::protocol::Report::Waiting`].
pub const ANNOUNCED: &str = "announced";

/// The word for programs whose memory a control group is charged for.
pub const CHARGED: &str = "charged";

/// The word for a root tree made of the host's toolchains; any other is a directory.
pub const HOST_TOOLCHAINS: &str = "host";

/// The launcher again, root of its user namespace.
const RESTARTED_ARGUMENT: &str = "__rollcage_launcher_in_user_namespace";

/// Becomes the launcher, and never returns, if the command line says so. Call it first in `main`, before any
/// thread is started.
pub fn main_if_asked() {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_restarted = match arguments.first().and_then(|first| first.to_str()) {
        Some(LAUNCHER_ARGUMENT) => false,
        Some(RESTARTED_ARGUMENT) => true,
        _ => return,
    };
    let Some(order) = Order::parse(&arguments) else { rollcage_sys::child::exit(2) };
    if order.level == IsolationLevel::Rootless && !is_restarted {
        arguments[0] = RESTARTED_ARGUMENT.into();
        let error = call_failed(rootless::enter_and_restart(&arguments));
        rollcage_sys::child::exit(give_up(rustix::stdio::stdin(), &error));
    }
    let Ok(control) = take_control() else { rollcage_sys::child::exit(2) };
    let code = match run(control.as_fd(), &order) {
        Ok(()) => 0,
        Err(error) => give_up(control.as_fd(), &error),
    };
    rollcage_sys::child::exit(code)
}

/// What the command line says.
#[derive(Debug)]
struct Order {
    level: IsolationLevel,
    root: PathBuf,
    slots: usize,
    announced: bool,
    charge: Charge,
    tree: RootTree,
    base: Option<PathBuf>,
}

impl Order {
    fn parse(arguments: &[OsString]) -> Option<Self> {
        let [_first, level, root, slots, announced, charged, tree, base @ ..] = arguments else {
            return None;
        };
        Some(Self {
            level: IsolationLevel::from_name(level.to_str()?)?,
            root: root.into(),
            slots: slots.to_str()?.parse().ok()?,
            announced: announced == ANNOUNCED,
            base: base.first().map(PathBuf::from),
            tree: match tree.to_str() {
                Some(HOST_TOOLCHAINS) => RootTree::HostToolchains,
                _ => RootTree::Directory(tree.into()),
            },
            charge: if charged == CHARGED { Charge::Group } else { Charge::Nobody },
        })
    }
}

/// Tells the supervisor why there will be no cages.
fn give_up(control: BorrowedFd<'_>, error: &LauncherError) -> i32 {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    let _unheard = send(control, format!("-{text}").as_bytes(), SendFlags::NOSIGNAL);
    1
}

/// Moves the control socket out of the way of the standard streams, which stubs keep and programs replace.
fn take_control() -> Result<OwnedFd, Errno> {
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(control)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LauncherError {
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
    #[error(
        "level process needs landlock ABI {} to keep signals inside, and this kernel has {found}",
        rules::SCOPING_ABI
    )]
    NoSignalScope { found: u32 },
    #[error("the supervisor sent a malformed set-up message")]
    Protocol,
}

pub(crate) fn call(action: &'static str) -> impl FnOnce(Errno) -> LauncherError {
    move |source| LauncherError::Call { action, source }
}

fn call_failed((action, source): (&'static str, Errno)) -> LauncherError {
    LauncherError::Call { action, source }
}

fn run(control: BorrowedFd<'_>, order: &Order) -> Result<(), LauncherError> {
    if order.level == IsolationLevel::Process {
        return init(control, order);
    }
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
            while matches!(waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED), Err(Errno::INTR)) {}
            rollcage_sys::child::exit(0)
        }
        Forked::Child => init(control, order),
    }
}

/// The launcher proper: PID 1 of the outer namespace, where there is one.
fn init(control: BorrowedFd<'_>, order: &Order) -> Result<(), LauncherError> {
    let level = order.level;
    inherited::reset(level).map_err(call_failed)?;
    let start_clock = receive_start_clock(control, order.slots)?;
    let mut slots = Vec::new();
    for expected in 0..order.slots {
        slots.push(receive_setup(control, expected)?);
    }
    if level != IsolationLevel::Process {
        let uids: Vec<u32> = slots.iter().map(|(setup, _)| setup.uid).collect();
        // Every cage's own UTS namespace starts as a copy of this one.
        rustix::system::sethostname(b"cage").map_err(call("set the cages' host name"))?;
        template::enter(level, &order.root, &order.tree, order.base.as_deref(), &uids)
            .map_err(LauncherError::Template)?;
    }
    let abi = landlock::abi().map_err(|_none| LauncherError::NoLandlock)?;
    inherited::seal_capabilities(level).map_err(call_failed)?;
    let (confinement, scope) = confinement(level, abi)?;
    let shared = Shared {
        level,
        announced: order.announced,
        has_base: order.base.is_some(),
        confinement,
        filters: [Wiring::Sealed, Wiring::Wired]
            .map(|wiring| filter::assemble(&filter::program_rules(level, wiring, order.charge))),
        start_clock,
    };
    let slots = slots
        .into_iter()
        .map(|(setup, socket)| Ok((setup, socket, own_directories(order, setup.slot)?)))
        .collect::<Result<Vec<_>, Errno>>()
        .map_err(call("open the slots' directories"))?;
    let launcher = Launcher::new(control, Box::leak(Box::new(shared)), scope, slots)?;
    // Last, because it forbids much of the above; inherited by every stub and program.
    seccomp::install(&filter::assemble(&filter::launcher_rules()))
        .map_err(call("install the system call filter"))?;
    send(control, format!("+{abi}").as_bytes(), SendFlags::NOSIGNAL)
        .map_err(call("answer the supervisor"))?;
    launcher.serve(control)
}

/// Makes what confines programs, and without a pid namespace this process too: so that it can end every process it is
/// responsible for in one call, which then reaches no other.
fn confinement(level: IsolationLevel, abi: u32) -> Result<(Confinement, Option<SignalScope>), LauncherError> {
    let failed = || call("make the landlock rules");
    if level != IsolationLevel::Process {
        let sealed = rules::of_template(abi, Wiring::Sealed).map_err(failed())?;
        let wired = rules::of_template(abi, Wiring::Wired).map_err(failed())?;
        return Ok((Confinement::Template { sealed, wired }, None));
    }
    if abi < rules::SCOPING_ABI {
        return Err(LauncherError::NoSignalScope { found: abi });
    }
    let grants = Grants::collect(abi).map_err(failed())?;
    let signals = rules::signal_scope().map_err(failed())?;
    let scope = SignalScope::enter(signals.as_fd()).map_err(call("scope the launcher's signals"))?;
    Ok((Confinement::Host { grants, signals }, Some(scope)))
}

/// A slot's directories, where cages have no mounts of their own.
fn own_directories(order: &Order, slot: u32) -> Result<Option<[OwnedFd; 2]>, Errno> {
    if order.level != IsolationLevel::Process {
        return Ok(None);
    }
    let open = |path: &Path| openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let own = order.root.join(slot.to_string());
    Ok(Some([open(&own.join("work"))?, open(&own.join("tmp"))?]))
}

/// One packet and at most one descriptor.
pub(crate) fn receive(control: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
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
