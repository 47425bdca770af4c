//! The network of a cage that has one: a namespace with nothing but `lo`, and sockets bound in it for the supervisor.

use core::mem::MaybeUninit;
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rollcage_sys::{Errno, interface};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, bind,
    listen, sendmsg, socket_with,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::protocol::{LISTENERS_MAX, Listener, Report};

/// Where a program's resolver asks.
const DNS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);
/// Connections that wait to be accepted; the relay takes them at once.
const BACKLOG: i32 = 64;
/// The listeners and the DNS socket.
const SOCKETS_MAX: usize = LISTENERS_MAX + 1;

/// Moves the calling process into a network namespace of its own and turns `lo` on there.
#[expect(unsafe_code, reason = "unsharing is unsafe in a process with threads")]
pub(crate) fn enter_own_network() -> Result<(), Errno> {
    // SAFETY: a stub has one thread, and shares no namespace with the launcher whose memory it shares.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    interface::bring_up_loopback(socket(SocketType::DGRAM)?.as_fd())
}

/// Binds what the supervisor's relay will serve and hands it over: the DNS socket, then the listeners in their order.
/// Allocates nothing.
pub(crate) fn hand_over_listeners(
    supervisor: BorrowedFd<'_>,
    generation: u64,
    listeners: impl Iterator<Item = Listener>,
) -> Result<(), Errno> {
    let mut bound: [Option<OwnedFd>; SOCKETS_MAX] = [const { None }; SOCKETS_MAX];
    let dns = socket(SocketType::DGRAM)?;
    bind(&dns, &DNS)?;
    let mut aliases = 0;
    let (first, rest) = bound.split_first_mut().ok_or(Errno::INVAL)?;
    for (place, listener) in rest.iter_mut().zip(listeners) {
        if listener.needs_address {
            aliases += 1;
            interface::add_to_loopback(dns.as_fd(), aliases, listener.address)?;
        }
        let socket = socket(SocketType::STREAM)?;
        bind(&socket, &SocketAddrV4::new(listener.address, listener.port))?;
        listen(&socket, BACKLOG)?;
        *place = Some(socket);
    }
    *first = Some(dns);
    let mut sent = [supervisor; SOCKETS_MAX];
    let mut count = 0;
    for (place, socket) in sent.iter_mut().zip(bound.iter().flatten()) {
        *place = socket.as_fd();
        count += 1;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let _fits = ancillary.push(SendAncillaryMessage::ScmRights(sent.get(..count).unwrap_or_default()));
    let bytes = Report::Listening.encode(generation);
    sendmsg(supervisor, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL).map(|_sent| ())
}

fn socket(kind: SocketType) -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)
}
