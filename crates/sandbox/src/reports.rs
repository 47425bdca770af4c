//! Reads what arrives on a slot's socket.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rollcage_guest::protocol::Report;
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
    pub(crate) workspace: Option<[OwnedFd; 2]>,
}

/// The next report, if one has arrived. `with_more` for sockets on which descriptors and senders are told.
pub(crate) fn receive(socket: BorrowedFd<'_>, with_more: bool) -> Result<Option<Arrived>, SandboxError> {
    let mut buffer = [0; Report::BYTES];
    let (mut process, mut workspace) = (None, None);
    let length = loop {
        let received = if with_more {
            receive_more(socket, &mut buffer, &mut process, &mut workspace)
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
        Some((generation, report)) => Ok(Some(Arrived { generation, report, process, workspace })),
        None => Err(SandboxError::StubLost),
    }
}

fn receive_more(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    process: &mut Option<u32>,
    workspace: &mut Option<[OwnedFd; 2]>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
    for part in ancillary.drain() {
        match part {
            RecvAncillaryMessage::ScmRights(mut descriptors) => {
                if let (Some(work), Some(tmp)) = (descriptors.next(), descriptors.next()) {
                    *workspace = Some([work, tmp]);
                }
            }
            RecvAncillaryMessage::ScmCredentials(sender) => {
                *process = u32::try_from(sender.pid.as_raw_nonzero().get()).ok();
            }
            _ => {}
        }
    }
    Ok(message.bytes)
}
