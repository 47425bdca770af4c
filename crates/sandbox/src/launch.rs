//! Starts a launcher and introduces the slots to it.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rollcage_guest::LAUNCHER_ARGUMENT;
use rollcage_guest::protocol::{Answer, ORDER_DESCRIPTORS_MAX, Order, Setup};
use rollcage_types::IsolationLevel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown,
    socketpair, sockopt,
};

use crate::config::LauncherProgram;
use crate::error::HostError;
use crate::quarters::Quarters;
use crate::seat::Seat;

/// It takes milliseconds; a machine that needs this long is not one to run programs on.
const START_WAIT: Duration = Duration::from_secs(20);
/// Room for the largest request in one packet.
const SOCKET_BUFFER: usize = 512 * 1024;

/// A launcher, as its supervisor holds it. Dropping it ends every cage of its.
#[derive(Debug)]
pub(crate) struct Launcher {
    control: OwnedFd,
    process: Mutex<Child>,
    /// Version of the Landlock interface it found; 0 before it has answered.
    pub(crate) landlock_abi: u32,
    /// What asks about branches of its programs, if they may be branched.
    pub(crate) asks: Option<OwnedFd>,
    pub(crate) start_clock: Arc<OwnedFd>,
    /// One for each slot; taken by the run that has leased the slot.
    seats: Mutex<Vec<Option<Seat>>>,
}

/// Why there is no launcher.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Something could not be had on our side.
    Host(HostError),
    /// It said that it cannot be one.
    Answered(Answer),
    /// It ended without a word.
    Ended,
    /// It took too long.
    Late,
    /// Whoever starts it wants it no more.
    Interrupted,
}

/// How its answer is waited for.
pub(crate) struct Wait<'a> {
    /// For how long.
    pub(crate) time: Duration,
    /// Readable when it is waited for no more.
    pub(crate) interrupt: Option<BorrowedFd<'a>>,
    /// What is read from meanwhile.
    pub(crate) outputs: Vec<OwnedFd>,
    /// Called for whichever is readable. One of which it says that nothing more comes is watched no longer.
    pub(crate) read_some: &'a mut dyn FnMut(&OwnedFd) -> bool,
}

impl From<StartError> for HostError {
    fn from(error: StartError) -> Self {
        let message = match error {
            StartError::Host(error) => return error,
            StartError::Answered(Answer::Failed(message)) => message,
            StartError::Answered(Answer::Refused { reason, .. }) => reason.as_str().to_owned(),
            StartError::Answered(Answer::Ready { .. } | Answer::Asks) => {
                "it answered with nonsense".to_owned()
            }
            StartError::Ended => "it ended without a word".to_owned(),
            StartError::Late => format!("no answer within {} s", START_WAIT.as_secs()),
            StartError::Interrupted => "it was cancelled".to_owned(),
        };
        Self::Launcher { message }
    }
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

/// One packet, and a descriptor that came with it.
fn receive_with(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptor: &mut Option<OwnedFd>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = part {
            *descriptor = sent.into_iter().next();
        }
    }
    Ok(received.bytes)
}

/// What a launcher is made of.
#[derive(Debug)]
pub(crate) struct Recruit<'a> {
    pub(crate) program: &'a LauncherProgram,
    pub(crate) level: IsolationLevel,
    /// Whom it runs as, where that is not whoever starts it.
    pub(crate) user: Option<u32>,
    pub(crate) order: &'a Order,
    /// Those that go with the order.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
    pub(crate) quarters: &'a Quarters,
}

fn system(action: &'static str) -> impl FnOnce(Errno) -> StartError {
    move |errno| StartError::Host(HostError::System { action, source: errno.into() })
}

impl Launcher {
    /// Starts a launcher.
    pub(crate) fn start(recruit: &Recruit<'_>, wait: Wait<'_>) -> Result<Self, StartError> {
        let (control, theirs) = packet_sockets().map_err(system("create the control socket"))?;
        let mut command = match recruit.program {
            // The link, not the path it had: the file may have been replaced since.
            LauncherProgram::CurrentExecutable => Command::new("/proc/self/exe"),
            LauncherProgram::Path(path) => Command::new(path),
        };
        if let Some(user) = recruit.user {
            // As root this drops all supplementary groups too.
            command.uid(user).gid(user);
        }
        let process = command
            .arg(LAUNCHER_ARGUMENT)
            .arg(recruit.level.as_str())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| {
                StartError::Host(HostError::System { action: "start the launcher process", source })
            })?;
        // It holds the launcher's end of the socket too, and would keep it open when the launcher has ended.
        drop(command);
        // From here on, dropping `launcher` ends the process.
        let (process, seats) = (Mutex::new(process), Mutex::default());
        let start_clock = Arc::clone(&recruit.quarters.start_clock);
        let mut launcher = Self { control, process, landlock_abi: 0, asks: None, start_clock, seats };
        launcher.introduce(recruit)?;
        launcher.landlock_abi = launcher.await_answer(wait)?;
        Ok(launcher)
    }

    /// Starts one that executes its programs.
    pub(crate) fn start_plain(recruit: &Recruit<'_>) -> Result<Self, HostError> {
        let (outputs, read_some) = (Vec::new(), &mut |_none: &OwnedFd| false);
        Ok(Self::start(recruit, Wait { time: START_WAIT, interrupt: None, outputs, read_some })?)
    }

    /// The socket for commands.
    pub(crate) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// The seat of a slot, for whoever has leased that.
    pub(crate) fn take_seat(&self, slot: u32) -> Seat {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.get_mut(slot as usize).and_then(Option::take).expect("one run at a time has leased the slot")
    }

    /// Gives a seat back.
    pub(crate) fn put_back(&self, slot: u32, seat: Seat) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = seats.get_mut(slot as usize) {
            *place = Some(seat);
        }
    }

    /// Looks at a slot's seat, if nobody has it.
    pub(crate) fn seat_is(&self, slot: u32, what: impl FnOnce(&Seat) -> bool) -> bool {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.get(slot as usize).and_then(Option::as_ref).is_some_and(what)
    }

    fn introduce(&mut self, recruit: &Recruit<'_>) -> Result<(), StartError> {
        self.tell(&recruit.order.encode(), recruit.descriptors)?;
        self.tell(&[0], &[self.start_clock.as_fd()])?;
        let mut seats = Vec::with_capacity(recruit.quarters.uids.len());
        for (index, uid) in recruit.quarters.uids.iter().enumerate() {
            let slot = u32::try_from(index).expect("a slot index is below SLOTS_MAX");
            let (ours, theirs) = packet_sockets().map_err(system("create a slot's socket"))?;
            if recruit.order.announced {
                sockopt::set_socket_passcred(&ours, true)
                    .map_err(system("ask who speaks on a slot's socket"))?;
            }
            self.tell(&Setup { slot, uid: *uid }.encode(), &[theirs.as_fd()])?;
            seats.push(Some(Seat::new(slot, recruit.level, recruit.order.announced, ours)));
        }
        *self.seats.get_mut().unwrap_or_else(PoisonError::into_inner) = seats;
        Ok(())
    }

    fn tell(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), StartError> {
        const SPACE: usize = rustix::cmsg_space!(ScmRights(ORDER_DESCRIPTORS_MAX));
        match send_with::<SPACE>(self.control(), message, descriptors) {
            // It has ended; its answer says why.
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(system("introduce a slot to the launcher")(errno)),
        }
    }

    fn await_answer(&mut self, wait: Wait<'_>) -> Result<u32, StartError> {
        let Wait { time, interrupt, mut outputs, read_some } = wait;
        let began = Instant::now();
        loop {
            let rest = time.saturating_sub(began.elapsed());
            let timeout =
                Timespec::try_from(rest).map_err(|_far| system("set a deadline")(Errno::OVERFLOW))?;
            // The control socket stands twice where there is nothing to interrupt.
            let first = [self.control(), interrupt.unwrap_or(self.control())];
            let all = first.into_iter().chain(outputs.iter().map(OwnedFd::as_fd));
            let mut polled: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            match poll(&mut polled, Some(&timeout)) {
                Ok(0) => return Err(StartError::Late),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(system("wait for the launcher")(errno)),
            }
            let mut ready = polled.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>().into_iter();
            let has_answered = ready.next().unwrap_or(false);
            let is_interrupted = ready.next().unwrap_or(false);
            outputs.retain(|output| !ready.next().unwrap_or(false) || read_some(output));
            if has_answered {
                match self.take_answer()? {
                    Some(landlock_abi) => return Ok(landlock_abi),
                    None => continue,
                }
            }
            if is_interrupted {
                return Err(StartError::Interrupted);
            }
        }
    }

    /// `None` if another follows.
    fn take_answer(&mut self) -> Result<Option<u32>, StartError> {
        /// An error message of the launcher's is a sentence.
        const ANSWER_MAX: usize = 4096;
        let mut buffer = [0; ANSWER_MAX];
        let mut asks = None;
        let mut answer = || receive_with(self.control.as_fd(), &mut buffer, &mut asks);
        let length = match answer() {
            // It ended with slots not yet introduced, which the kernel says once, and before what it said itself.
            Err(Errno::CONNRESET) => answer(),
            first => first,
        }
        .unwrap_or(0);
        match buffer.get(..length).filter(|bytes| !bytes.is_empty()).map(Answer::decode) {
            Some(Some(Answer::Ready { landlock_abi })) => Ok(Some(landlock_abi)),
            Some(Some(Answer::Asks)) if asks.is_some() => {
                self.asks = asks;
                Ok(None)
            }
            Some(Some(answer)) => Err(StartError::Answered(answer)),
            Some(None) => Err(StartError::Answered(Answer::Failed("it answered with nonsense".to_owned()))),
            None => Err(StartError::Ended),
        }
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.try_wait().is_ok_and(|status| status.is_none())
    }

    /// The process to look for when something is left.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Ends it, and waits until that and the end of its cages has come.
    pub(crate) fn await_end(&self) {
        // It reads end of file, exits, and the kernel ends every process of its pid namespace.
        let _told = shutdown(&self.control, Shutdown::Both);
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = process.wait() {
            tracing::warn!(%error, "cannot wait for the launcher");
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.await_end();
    }
}
