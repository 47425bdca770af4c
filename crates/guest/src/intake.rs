//! What a launcher is sent before it makes its first cage: on its control socket by its supervisor, and once more, where
//! an interpreter becomes the launcher, by the process that executed it.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rollcage_sys::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::launcher::{LauncherError, call};
use crate::protocol::{ORDER_DESCRIPTORS_MAX, Order, REQUEST_BYTES_MAX, Setup};

/// All of it.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) order: Order,
    /// Those that came with the order.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// See [`crate::protocol::start_clock_offset`].
    pub(crate) start_clock: OwnedFd,
    pub(crate) slots: Vec<(Setup, OwnedFd)>,
}

impl Intake {
    /// Waits for all of it.
    pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Self, LauncherError> {
        let mut bytes = vec![0; REQUEST_BYTES_MAX];
        let (length, descriptors) = receive_with_all(socket, &mut bytes).map_err(call("receive an order"))?;
        let order = bytes.get(..length).and_then(Order::decode).ok_or(LauncherError::Protocol)?;
        let (_length, clock) = receive(socket, &mut [0; 8]).map_err(call("receive the start clock"))?;
        let start_clock = clock.ok_or(LauncherError::Protocol)?;
        let slots = (0..order.slots).map(|expected| receive_setup(socket, expected));
        let slots = slots.collect::<Result<_, _>>()?;
        Ok(Self { order, descriptors, start_clock, slots })
    }

    /// Sends the same again, but for the descriptors that came with the order.
    pub(crate) fn pass_on(&self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        send(socket, &self.order.encode(), None)?;
        send(socket, &[0], Some(self.start_clock.as_fd()))?;
        self.slots.iter().try_for_each(|(setup, slot)| send(socket, &setup.encode(), Some(slot.as_fd())))
    }
}

fn receive_setup(control: BorrowedFd<'_>, expected: u32) -> Result<(Setup, OwnedFd), LauncherError> {
    let mut bytes = [0; Setup::BYTES];
    let (length, socket) = receive(control, &mut bytes).map_err(call("receive a set-up message"))?;
    let setup = bytes.get(..length).and_then(Setup::decode).ok_or(LauncherError::Protocol)?;
    match socket {
        Some(socket) if setup.slot == expected => Ok((setup, socket)),
        _ => Err(LauncherError::Protocol),
    }
}

/// One packet, and a descriptor or none.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptor = descriptor.as_slice();
    if !descriptor.is_empty() {
        let _fits = ancillary.push(SendAncillaryMessage::ScmRights(descriptor));
    }
    sendmsg(socket, &[std::io::IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL).map(|_sent| ())
}

/// One packet and at most one descriptor. Allocates nothing.
pub(crate) fn receive(control: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut descriptor = None;
    let length = receive_into::<1>(control, bytes, |fd| descriptor = Some(fd))?;
    Ok((length, descriptor))
}

fn receive_with_all(control: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut descriptors = Vec::new();
    let length = receive_into::<ORDER_DESCRIPTORS_MAX>(control, bytes, |fd| descriptors.push(fd))?;
    Ok((length, descriptors))
}

fn receive_into<const MAX: usize>(
    control: BorrowedFd<'_>,
    bytes: &mut [u8],
    mut take: impl FnMut(OwnedFd),
) -> Result<usize, Errno> {
    // Of the larger kind, because a generic number cannot size an array.
    const { assert!(MAX <= ORDER_DESCRIPTORS_MAX, "there is room for them") };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(ORDER_DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = loop {
        match recvmsg(control, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fds.take(MAX).for_each(&mut take);
        }
    }
    Ok(message.bytes)
}
