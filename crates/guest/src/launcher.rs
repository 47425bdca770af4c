//! The process that makes cages, as it sets itself up.
//!
//! With namespaces it becomes init of an outer pid namespace: when its control socket closes, because the supervisor
//! ended in whatever way, it exits and the kernel kills every cage. What it does once it is set up is in `serve.rs`; how an
//! interpreter takes its place, in `fork_server`.
#![expect(unsafe_code, reason = "forks a process that has one thread")]

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rollcage_sys::Errno;
use rollcage_sys::clone::{Forked, fork_single_threaded};
use rollcage_sys::seccomp;
use rollcage_types::IsolationLevel;
use rustix::fs::{Mode, OFlags};
use rustix::net::{SendFlags, send};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::UnshareFlags;

use crate::intake::Intake;
use crate::protocol::Answer;
use crate::service::{self, Birth};
use crate::template::{self, Template};
use crate::{filter, fork_server, inherited, rootless, rules};

/// The first argument that makes an executable the launcher. The isolation level follows; all else comes over the control
/// socket, which is standard input.
pub const LAUNCHER_ARGUMENT: &str = "__rollcage_launcher";

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
    let level = arguments.get(1).and_then(|level| IsolationLevel::from_name(level.to_str()?));
    let Some(level) = level else { rollcage_sys::child::exit(2) };
    if level == IsolationLevel::Rootless && !is_restarted {
        arguments[0] = RESTARTED_ARGUMENT.into();
        let error = call_failed(rootless::enter_and_restart(&arguments));
        rollcage_sys::child::exit(give_up(rustix::stdio::stdin(), &error));
    }
    let Ok(control) = take_control() else { rollcage_sys::child::exit(2) };
    let code = match run(control.as_fd(), level) {
        Ok(()) => 0,
        Err(error) => give_up(control.as_fd(), &error),
    };
    rollcage_sys::child::exit(code)
}

/// Tells the supervisor why there will be no cages. Returns the code to exit with.
pub(crate) fn give_up(control: BorrowedFd<'_>, error: &LauncherError) -> i32 {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    let _unheard = send(control, &Answer::Failed(text).encode(), SendFlags::NOSIGNAL);
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
    #[error("the supervisor sent a malformed message before the first request")]
    Protocol,
}

pub(crate) fn call(action: &'static str) -> impl FnOnce(Errno) -> LauncherError {
    move |source| LauncherError::Call { action, source }
}

pub(crate) fn call_failed((action, source): (&'static str, Errno)) -> LauncherError {
    LauncherError::Call { action, source }
}

fn run(control: BorrowedFd<'_>, level: IsolationLevel) -> Result<(), LauncherError> {
    if level == IsolationLevel::Process {
        return init(control, level);
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
        Forked::Child => init(control, level),
    }
}

/// The launcher proper: PID 1 of the outer namespace, where there is one.
fn init(control: BorrowedFd<'_>, level: IsolationLevel) -> Result<(), LauncherError> {
    inherited::reset(level).map_err(call_failed)?;
    let intake = Intake::receive(control)?;
    if level != IsolationLevel::Process {
        // Every cage's own UTS namespace starts as a copy of this one.
        rustix::system::sethostname(b"cage").map_err(call("set the cages' host name"))?;
        let uids: Vec<u32> = intake.slots.iter().map(|(setup, _)| setup.uid).collect();
        let order = &intake.order;
        let library = intake.descriptors.first().filter(|_| order.spares).map(OwnedFd::as_fd);
        let template = Template { level, root: &order.directory, order, uids: &uids, library };
        template.enter().map_err(LauncherError::Template)?;
    }
    match &intake.order.fork_server {
        // Its programs would have its own directory for theirs.
        Some(_) if level == IsolationLevel::Process => Err(LauncherError::Protocol),
        Some(_) => fork_server::execute(control, level, intake).map(|never: Infallible| match never {}),
        None => {
            let (launcher, landlock_abi) = service::take_up(control, level, intake, Birth::Execution)?;
            // Last, because it forbids much of the above; inherited by every stub and program.
            seccomp::install(&filter::assemble(&filter::launcher_rules()))
                .map_err(call("install the system call filter"))?;
            send(control, &Answer::Ready { landlock_abi }.encode(), SendFlags::NOSIGNAL)
                .map_err(call("answer the supervisor"))?;
            launcher.serve(control)
        }
    }
}
