//! Starts the launcher and introduces the slots to it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rollcage_guest::protocol::Setup;
use rollcage_guest::{ANNOUNCED, CHARGED, HOST_TOOLCHAINS, LAUNCHER_ARGUMENT};
use rollcage_types::IsolationLevel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    recv, sendmsg, socketpair, sockopt,
};

use crate::config::{LauncherProgram, RootTree};
use crate::error::HostError;

/// It takes milliseconds; a machine that needs this long is not one to run programs on.
const START_WAIT: Duration = Duration::from_secs(20);
/// Room for the largest request in one packet.
const SOCKET_BUFFER: usize = 512 * 1024;

/// The launcher, as its supervisor holds it. Dropping it ends every cage.
#[derive(Debug)]
pub(crate) struct Launcher {
    control: Option<OwnedFd>,
    process: Child,
    /// Version of the Landlock interface it found.
    pub(crate) landlock_abi: u32,
}

/// A pair of connected packet sockets: ours, and the one to give away.
pub(crate) fn packet_sockets() -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    // Forced, because the system's default maximum is smaller than a large request. Without the privilege to, as large
    // as may be: a request that does not fit is refused.
    if sockopt::set_socket_send_buffer_size_force(&ours, SOCKET_BUFFER).is_err() {
        sockopt::set_socket_send_buffer_size(&ours, SOCKET_BUFFER)?;
    }
    Ok((ours, theirs))
}

/// Sends one packet with descriptors, or fails where that would have to wait: nobody reads the packets of a launcher
/// that cannot make cages, and a run must not hang for it.
pub(crate) fn send_with<const SPACE: usize>(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fits = ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    debug_assert!(fits, "the caller sizes the buffer");
    loop {
        match sendmsg(
            socket,
            &[IoSlice::new(bytes)],
            &mut ancillary,
            SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
        ) {
            Err(Errno::INTR) => {}
            other => return other.map(|_sent| ()),
        }
    }
}

/// What a launcher is told before it starts.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) program: &'a LauncherProgram,
    pub(crate) level: IsolationLevel,
    /// See [`LAUNCHER_ARGUMENT`].
    pub(crate) directory: &'a Path,
    /// Whether stubs say that they wait.
    pub(crate) announced: bool,
    /// Whether control groups are charged for programs.
    pub(crate) charged: bool,
    /// What programs find at their root.
    pub(crate) tree: &'a RootTree,
    /// What workspaces start as views of.
    pub(crate) base: Option<&'a Path>,
    /// Whom it runs as, where that is not whoever starts it.
    pub(crate) user: Option<u32>,
}

impl Launcher {
    /// Starts the launcher. Each of `slots` is a uid and a socket.
    pub(crate) fn start(
        order: &Order<'_>,
        start_clock: &OwnedFd,
        slots: &[(u32, OwnedFd)],
    ) -> Result<Self, HostError> {
        let system = |action| move |errno: Errno| HostError::System { action, source: errno.into() };
        let (control, theirs) = packet_sockets().map_err(system("create the control socket"))?;
        let mut command = match order.program {
            // The link, not the path it had: the file may have been replaced since.
            LauncherProgram::CurrentExecutable => Command::new("/proc/self/exe"),
            LauncherProgram::Path(path) => Command::new(path),
        };
        if let Some(user) = order.user {
            // As root this drops all supplementary groups too.
            command.uid(user).gid(user);
        }
        let process = command
            .arg(LAUNCHER_ARGUMENT)
            .arg(order.level.as_str())
            .arg(order.directory)
            .arg(slots.len().to_string())
            .arg(if order.announced { ANNOUNCED } else { "silent" })
            .arg(if order.charged { CHARGED } else { "uncharged" })
            .arg(match order.tree {
                RootTree::HostToolchains => HOST_TOOLCHAINS.as_ref(),
                RootTree::Directory(directory) => directory.as_os_str(),
            })
            .args(order.base)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| HostError::System { action: "start the launcher process", source })?;
        // It holds the launcher's end of the socket too, and would keep it open when the launcher has ended.
        drop(command);
        // From here on, dropping `launcher` ends the process.
        let mut launcher = Self { control: Some(control), process, landlock_abi: 0 };
        launcher.introduce(&[0], start_clock)?;
        for (index, (uid, socket)) in slots.iter().enumerate() {
            let slot = u32::try_from(index).expect("a slot index is below SLOTS_MAX");
            launcher.introduce(&Setup { slot, uid: *uid }.encode(), socket)?;
        }
        launcher.landlock_abi = launcher.await_answer()?;
        Ok(launcher)
    }

    /// The socket for commands.
    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_ref().expect("taken only when dropped").as_fd()
    }

    fn introduce(&self, message: &[u8], descriptor: &OwnedFd) -> Result<(), HostError> {
        match send_with::<{ rustix::cmsg_space!(ScmRights(1)) }>(
            self.control(),
            message,
            &[descriptor.as_fd()],
        ) {
            // It has ended; its answer says why.
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => {
                Err(HostError::System { action: "introduce a slot to the launcher", source: errno.into() })
            }
        }
    }

    fn await_answer(&self) -> Result<u32, HostError> {
        let said = |message: String| HostError::Launcher { message };
        let mut ready = [PollFd::from_borrowed_fd(self.control(), PollFlags::IN)];
        let began = Instant::now();
        loop {
            let rest = START_WAIT.saturating_sub(began.elapsed());
            let timeout = Timespec::try_from(rest).expect("no more than a constant of seconds");
            match poll(&mut ready, Some(&timeout)) {
                Ok(0) => return Err(said(format!("no answer within {} s", START_WAIT.as_secs()))),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(HostError::System { action: "wait for the launcher", source: errno.into() });
                }
            }
        }
        /// An error message of the launcher's is a sentence.
        const ANSWER_MAX: usize = 4096;
        let mut buffer = [0; ANSWER_MAX];
        let mut answer = || recv(self.control(), &mut buffer, RecvFlags::empty()).map(|(length, _)| length);
        let length = match answer() {
            // It ended with slots not yet introduced, which the kernel says once, and before what it said itself.
            Err(Errno::CONNRESET) => answer(),
            first => first,
        }
        .unwrap_or(0);
        match buffer.get(..length) {
            Some([b'+', abi @ ..]) => std::str::from_utf8(abi)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| said("it answered with nonsense".to_owned())),
            Some([b'-', message @ ..]) => Err(said(String::from_utf8_lossy(message).into_owned())),
            _ => Err(said("it ended without a word".to_owned())),
        }
    }

    /// The process to look for when something is left.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // The launcher reads end of file, exits, and the kernel ends every process of its pid namespace.
        drop(self.control.take());
        let waited: io::Result<_> = self.process.wait();
        if let Err(error) = waited {
            tracing::warn!(%error, "cannot wait for the launcher");
        }
    }
}
