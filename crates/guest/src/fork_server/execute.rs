//! From the launcher's tree to the interpreter that will be the launcher, before it runs.
//!
//! No interpreter and no library of it runs as the host's root: at level full the interpreter gets a user of its own in a
//! user namespace, in which it has all capabilities and beyond which it has none. Its cages' namespaces belong to that one.
#![expect(unsafe_code, reason = "forks a process that has one thread, and hands descriptors over by number")]

use core::ffi::c_char;
use core::ptr;
use std::convert::Infallible;
use std::ffi::{CString, NulError};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd};

use rollcage_sys::clone::{Forked, USER_AND_MOUNT_NAMESPACES, fork_into, fork_single_threaded};
use rollcage_sys::{Errno, descriptors, notification, seccomp};
use rollcage_types::IsolationLevel;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::mount::{MountFlags, mount};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};
use rustix::process::{Gid, Pid, Resource, Rlimit, Uid, WaitId, WaitIdOptions, getrlimit, setrlimit, waitid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::filter;
use crate::fork_server::{LIBRARIES_VARIABLE, SOCKET_VARIABLE};
use crate::intake::{Intake, send};
use crate::launcher::{LauncherError, call};
use crate::protocol::{Answer, ForkServerOrder, ServerUids};

/// Processes made and gone before the interpreter's: it must not have the number that its programs will have, by which
/// libraries tell a fork. A program is the second process of its namespace.
const NUMBERS_BURNT: usize = 2;
/// Descriptors handed over get numbers from here on, above all that an interpreter opens when it starts.
const HANDED_OVER_FROM: i32 = 100;
/// Room in the socket for everything that is handed over before anybody reads.
const SOCKET_BUFFER: usize = 512 * 1024;
/// Temporary files of an interpreter that starts.
const TEMPORARY_OPTIONS: &std::ffi::CStr = c"mode=1777,size=64m";

/// Executes the interpreter. This process stays as the init of its namespace, and ends everything when the interpreter or
/// the supervisor has gone.
pub(crate) fn execute(
    control: BorrowedFd<'_>,
    level: IsolationLevel,
    intake: Intake,
) -> Result<Infallible, LauncherError> {
    if level == IsolationLevel::Full {
        // While this is still root: nobody in a user namespace may raise them, and requests set them.
        lift_hard_limits();
    }
    for _ in 0..NUMBERS_BURNT {
        burn_number().map_err(call("use up a process number"))?;
    }
    let (go, wait) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map(|(reader, writer)| (writer, reader))
        .map_err(call("create a pipe"))?;
    let namespaces = if level == IsolationLevel::Full { USER_AND_MOUNT_NAMESPACES } else { 0 };
    // SAFETY: this process has one thread.
    let forked = unsafe { fork_into(namespaces) }.map_err(call("fork the interpreter's process"))?;
    match forked {
        Forked::Parent { child, pidfd } => {
            if let Some(uids) = intake.order.fork_server.as_ref().and_then(|server| server.uids) {
                map_ids(child, uids)?;
            }
            drop((intake, wait));
            rustix::io::write(&go, b"+").map_err(call("let the interpreter's process go on"))?;
            stand_by(control, &pidfd)
        }
        Forked::Child => {
            drop(go);
            let mut word = [0];
            let told = rustix::io::read(&wait, &mut word).map_err(call("wait for the ids' map"))?;
            if told == 0 {
                // The parent says why.
                rollcage_sys::child::exit(1);
            }
            become_interpreter(control, level, &intake)
        }
    }
}

fn burn_number() -> Result<(), Errno> {
    // SAFETY: this process has one thread.
    match unsafe { fork_single_threaded() }? {
        Forked::Child => rollcage_sys::child::exit(0),
        Forked::Parent { pidfd, .. } => {
            waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).map(|_ended| ())
        }
    }
}

/// Lets requests set every limit as high as they could in a cage made by root.
fn lift_hard_limits() {
    for resource in [
        Resource::Cpu,
        Resource::Fsize,
        Resource::Stack,
        Resource::Core,
        Resource::Memlock,
        Resource::Msgqueue,
        Resource::Sigpending,
    ] {
        let current = getrlimit(resource).current;
        // Without the privilege it stays, and a request beyond it is refused by name.
        let _lifted = setrlimit(resource, Rlimit { current, maximum: None });
    }
    /// The kernel's own bound, unless somebody changed it.
    const OPEN_FILES_MAX: u64 = 1 << 20;
    let current = getrlimit(Resource::Nofile).current;
    let _lifted = setrlimit(Resource::Nofile, Rlimit { current, maximum: Some(OPEN_FILES_MAX) });
}

/// Maps, in the namespace of `process`, the ids of slots to themselves, and the server's own.
fn map_ids(process: Pid, uids: ServerUids) -> Result<(), LauncherError> {
    let ServerUids { own, root, first, count } = uids;
    let map = format!("0 {root} 1\n{own} {own} 1\n{first} {first} {count}\n");
    let number = process.as_raw_nonzero();
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{number}/{file}"), &map).map_err(|error| LauncherError::Call {
            action: "map ids for the interpreter",
            source: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
    }
    Ok(())
}

/// Waits, as the init of the interpreter and all its cages, until either end is gone; then exits, and the kernel ends the
/// rest.
fn stand_by(control: BorrowedFd<'_>, interpreter: &OwnedFd) -> ! {
    let none = CapabilitySet::empty();
    let dropped = rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    );
    let closed = descriptors::close_all_but(&mut [control.as_raw_fd(), interpreter.as_raw_fd()]);
    if dropped.is_err() || closed.is_err() {
        rollcage_sys::child::exit(1);
    }
    let mut watched =
        [PollFd::from_borrowed_fd(control, PollFlags::empty()), PollFd::new(interpreter, PollFlags::IN)];
    while matches!(poll(&mut watched, None), Err(Errno::INTR)) {}
    rollcage_sys::child::exit(0)
}

/// Takes the interpreter's place in the host's order of things, and becomes it.
fn become_interpreter(
    control: BorrowedFd<'_>,
    level: IsolationLevel,
    intake: &Intake,
) -> Result<Infallible, LauncherError> {
    let server = intake.order.fork_server.as_ref().ok_or(LauncherError::Protocol)?;
    let [library, stdin, stdout, stderr, groups @ ..] = intake.descriptors.as_slice() else {
        return Err(LauncherError::Protocol);
    };
    if let Some(uids) = server.uids {
        take_user(uids).map_err(call("become the interpreter's user"))?;
    }
    // Cages mount theirs over it.
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount(c"tmpfs", c"/ws/tmp", c"tmpfs", flags, TEMPORARY_OPTIONS)
        .map_err(call("mount a tmpfs for the interpreter"))?;
    for group in groups {
        rustix::io::write(group, b"0").map_err(call("enter the interpreter's control groups"))?;
    }
    rustix::process::chdir(c"/ws/work").map_err(call("enter the interpreter's directory"))?;
    let maximum = getrlimit(Resource::Stack).maximum;
    setrlimit(Resource::Stack, Rlimit { current: Some(server.stack_bytes), maximum })
        .map_err(call("set the size of the interpreter's stack"))?;
    rustix::stdio::dup2_stdin(stdin)
        .and_then(|()| rustix::stdio::dup2_stdout(stdout))
        .and_then(|()| rustix::stdio::dup2_stderr(stderr))
        .map_err(call("connect the interpreter's standard streams"))?;
    let socket = hand_over(control, level, intake).map_err(call("hand the launcher's work over"))?;
    let handed = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, HANDED_OVER_FROM).and_then(inherit);
    let library = handed(library.as_fd()).map_err(call("hand the library over"))?;
    let socket = handed(socket.as_fd()).map_err(call("hand the socket over"))?;
    rustix::thread::set_no_new_privs(true).map_err(call("set no_new_privs"))?;
    if server.branches {
        let asks = notification::install_asking(&filter::branch_filter())
            .map_err(call("have the supervisor asked about branches"))?;
        send(control, &Answer::Asks.encode(), Some(asks.as_fd()))
            .map_err(call("hand over what asks about branches"))?;
    }
    // Before any code of the interpreter's runs. Allows what making cages takes, which comes after.
    seccomp::install(&filter::assemble(&filter::launcher_rules()))
        .map_err(call("install the system call filter"))?;
    Err(LauncherError::Call { action: "execute the interpreter", source: run(server, library, socket) })
}

/// Becomes the interpreter; what comes back is why not. Variables stay in the order in which a program would get them.
fn run(server: &ForkServerOrder, library: i32, socket: i32) -> Errno {
    let own =
        [format!("{LIBRARIES_VARIABLE}=/proc/self/fd/{library}"), format!("{SOCKET_VARIABLE}={socket}")];
    let variables = server.variables.iter().chain(&own);
    let lists = (c_strings(&server.programs), c_strings(&server.arguments), c_strings(variables));
    let (Ok(programs), Ok(arguments), Ok(variables)) = lists else { return Errno::INVAL };
    let (arguments, variables) = (pointers(&arguments), pointers(&variables));
    let mut answer = Errno::NOENT;
    for program in &programs {
        // SAFETY: the path is NUL-terminated, and both lists are of such texts and end with NULL.
        unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
        let errno = Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO);
        if errno != Errno::NOENT && errno != Errno::NOTDIR {
            answer = errno;
        }
    }
    answer
}

fn c_strings<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<Vec<CString>, NulError> {
    texts.into_iter().map(|text| CString::new(text.as_str())).collect()
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// Changes to the interpreter's own user with every capability that there is in its namespace, and keeps them through the
/// execution.
fn take_user(uids: ServerUids) -> Result<(), Errno> {
    use rustix::thread::{
        capabilities, configure_capability_in_ambient_set, set_capabilities, set_keep_capabilities,
        set_thread_res_gid, set_thread_res_uid,
    };
    set_keep_capabilities(true)?;
    let (uid, gid) = (Uid::from_raw(uids.own), Gid::from_raw(uids.own));
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    let all = capabilities(None)?.permitted;
    set_capabilities(None, CapabilitySets { effective: all, permitted: all, inheritable: all })?;
    all.iter().try_for_each(|capability| configure_capability_in_ambient_set(capability, true))
}

/// Keeps a descriptor open through the execution.
fn inherit(fd: OwnedFd) -> Result<i32, Errno> {
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::empty())?;
    Ok(fd.into_raw_fd())
}

/// A socket from which the interpreter reads what this launcher was told.
fn hand_over(control: BorrowedFd<'_>, level: IsolationLevel, intake: &Intake) -> Result<OwnedFd, Errno> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_send_buffer_size(&ours, SOCKET_BUFFER)?;
    send(ours.as_fd(), level.as_str().as_bytes(), Some(control))?;
    intake.pass_on(ours.as_fd())?;
    Ok(theirs)
}
