//! Reads what arrives on a slot's socket.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rollcage_guest::protocol::{LISTENERS_MAX, Report};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recv, recvmsg};

use crate::error::SandboxError;

/// A report and what came with it.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) generation: u64,
    pub(crate) report: Report,
    /// Who sent it, as this process numbers it, where the kernel was asked to say.
    pub(crate) process: Option<u32>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Of the largest message: the sockets of an allow-list.
const DESCRIPTORS_MAX: usize = LISTENERS_MAX + 1;

/// The next report, if one has arrived. `with_more` for sockets on which descriptors and senders are told.
pub(crate) fn receive(socket: BorrowedFd<'_>, with_more: bool) -> Result<Option<Arrived>, SandboxError> {
    let mut buffer = [0; Report::BYTES];
    let (mut process, mut descriptors) = (None, Vec::new());
    let length = loop {
        let received = if with_more {
            receive_more(socket, &mut buffer, &mut process, &mut descriptors)
        } else {
            recv(socket, &mut buffer, RecvFlags::DONTWAIT).map(|(length, _)| length)
        };
        match received {
            Ok(0) | Err(Errno::CONNRESET) => return Err(SandboxError::LauncherGone),
            Ok(length) => break length,
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(SandboxError::System { action: "hear from the cage", source: errno.into() });
            }
        }
    };
    match buffer.get(..length).and_then(Report::decode) {
        Some((generation, report)) => Ok(Some(Arrived { generation, report, process, descriptors })),
        None => Err(SandboxError::StubLost),
    }
}

fn receive_more(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    process: &mut Option<u32>,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<usize, Errno> {
    let mut space =
        [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
    for part in ancillary.drain() {
        match part {
            RecvAncillaryMessage::ScmRights(sent) => descriptors.extend(sent),
            RecvAncillaryMessage::ScmCredentials(sender) => {
                *process = u32::try_from(sender.pid.as_raw_nonzero().get()).ok();
            }
            _ => {}
        }
    }
    Ok(message.bytes)
}
