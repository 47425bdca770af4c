//! One connection of a program's: from its acceptance, over finding and reaching the host, to its end.
//!
//! What comes from the program waits in its socket until the host is reached. A program is told an orderly end only
//! if the host ended in order; everything else reaches it as a reset, so that our failures never look like an empty
//! answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::address;
use super::flows::Flows;
use rollcage_types::network::{ConnectionEnd, Failure, NetworkEvent, Refusal};
use rollcage_types::network::{HostKind, HostName};

/// Addresses of one name that are tried, one after the other.
const ADDRESSES_MAX: usize = 4;

/// How much a relay takes on, and how long it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Connections at a time: six to each of ten hosts, as many as browsers make. Two descriptors each.
    pub(super) connections: usize,
    /// For a name's addresses. Resolvers try twice for 5 s.
    pub(super) lookup: Duration,
    /// For each address. Two repetitions of a lost first packet come within 3 s.
    pub(super) connect: Duration,
    /// For the next byte in either direction. Model servers think for minutes; what is silent for longer is dead.
    pub(super) idle: Duration,
}

impl Bounds {
    pub(super) const USUAL: Self = Self {
        connections: 64,
        lookup: Duration::from_secs(15),
        connect: Duration::from_secs(5),
        idle: Duration::from_mins(10),
    };
}

/// A program's connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// What its lookup answers to.
    pub(super) id: u64,
    host: HostName,
    port: u16,
    client: OwnedFd,
    phase: Phase,
    /// The phase's own bound.
    deadline: Instant,
}

#[derive(Debug)]
enum Phase {
    Looking,
    Connecting { remote: OwnedFd, address: SocketAddr, others: std::vec::IntoIter<SocketAddr> },
    Open { remote: OwnedFd, address: SocketAddr, flows: Flows },
}

impl Connection {
    pub(super) fn new(id: u64, host: HostName, port: u16, client: OwnedFd, deadline: Instant) -> Self {
        Self { id, host, port, client, phase: Phase::Looking, deadline }
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The sockets to wait for, and what for.
    pub(super) fn watched(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let watched = match &self.phase {
            Phase::Looking => [None, None],
            Phase::Connecting { remote, .. } => [None, Some((remote.as_fd(), PollFlags::OUT))],
            Phase::Open { remote, flows, .. } => {
                let (client, host) = flows.interest();
                [Some((self.client.as_fd(), client)), Some((remote.as_fd(), host))]
            }
        };
        watched.into_iter().flatten().filter(|(_, flags)| !flags.is_empty())
    }

    /// The lookup ended. An event means that the connection is over.
    pub(super) fn found(
        &mut self,
        addresses: Result<Vec<IpAddr>, Failure>,
        now: Instant,
        bounds: &Bounds,
    ) -> Option<NetworkEvent> {
        let addresses = match addresses {
            Ok(addresses) => addresses,
            Err(why) => return Some(self.failed(why)),
        };
        let refusal = |address: &IpAddr| match self.host.kind() {
            HostKind::Named => address::inside(*address),
            HostKind::Localhost | HostKind::Address(_) => None,
        };
        let mut refused = None;
        let mut outside = Vec::new();
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match refusal(&address) {
                Some(class) => refused = refused.or(Some(Refusal::Address { address, class })),
                None => outside.push(SocketAddr::new(address, self.port)),
            }
        }
        match (refused, outside.is_empty()) {
            (Some(why), true) => Some(self.refused(why)),
            _ => {
                let nothing = Failure::Lookup { reason: "it has no address".to_owned() };
                self.connect(outside.into_iter(), nothing, now, bounds)
            }
        }
    }

    /// Something is ready, or the deadline has passed. An event means that the connection is over.
    pub(super) fn step(&mut self, now: Instant, bounds: &Bounds, scratch: &mut [u8]) -> Option<NetworkEvent> {
        let late = now >= self.deadline;
        match &mut self.phase {
            Phase::Looking => {
                late.then(|| self.failed(Failure::LookupTooLong { seconds: bounds.lookup.as_secs() }))
            }
            Phase::Connecting { remote, address, others } => {
                let address = *address;
                let failure = match sockopt::socket_error(&*remote) {
                    _ if late => Failure::ConnectTooLong { address, seconds: bounds.connect.as_secs() },
                    Ok(Ok(())) => {
                        self.open(now, bounds);
                        return None;
                    }
                    Ok(Err(errno)) | Err(errno) => connect_failure(address, errno),
                };
                let others = std::mem::take(others);
                self.connect(others, failure, now, bounds)
            }
            Phase::Open { remote, flows, .. } => {
                let moved = flows.advance(&self.client, remote, scratch);
                let end = match (flows.is_over(), flows.is_broken()) {
                    (true, false) => ConnectionEnd::Closed,
                    (true, true) => ConnectionEnd::Reset,
                    (false, _) if moved => {
                        self.deadline = now + bounds.idle;
                        return None;
                    }
                    (false, _) if late => ConnectionEnd::Idle,
                    (false, _) => return None,
                };
                Some(self.over(end))
            }
        }
    }

    /// The run is over: what has arrived is passed on, and that is the end.
    pub(super) fn finish(mut self, scratch: &mut [u8]) -> NetworkEvent {
        match &mut self.phase {
            Phase::Looking | Phase::Connecting { .. } => self.failed(Failure::RunOver),
            Phase::Open { remote, flows, .. } => {
                flows.advance(&self.client, remote, scratch);
                let end = match (flows.is_over(), flows.is_broken()) {
                    (true, false) => ConnectionEnd::Closed,
                    (_, true) => ConnectionEnd::Reset,
                    (false, false) => ConnectionEnd::RunOver,
                };
                self.over(end)
            }
        }
    }

    /// Tries the next address. `last` is why the one before did not do.
    fn connect(
        &mut self,
        mut others: std::vec::IntoIter<SocketAddr>,
        mut last: Failure,
        now: Instant,
        bounds: &Bounds,
    ) -> Option<NetworkEvent> {
        while let Some(address) = others.next() {
            match start_connecting(address) {
                Ok(remote) => {
                    self.phase = Phase::Connecting { remote, address, others };
                    self.deadline = now + bounds.connect;
                    return None;
                }
                Err(failure) => last = failure,
            }
        }
        Some(self.failed(last))
    }

    fn open(&mut self, now: Instant, bounds: &Bounds) {
        let phase = std::mem::replace(&mut self.phase, Phase::Looking);
        if let Phase::Connecting { remote, address, .. } = phase {
            // Whoever wrote small pieces meant them to be sent as such; if it cannot be had they are only later.
            for socket in [&self.client, &remote] {
                let _set = sockopt::set_tcp_nodelay(socket, true);
            }
            self.phase = Phase::Open { remote, address, flows: Flows::default() };
            self.deadline = now + bounds.idle;
        }
    }

    fn over(&self, ended: ConnectionEnd) -> NetworkEvent {
        match &self.phase {
            Phase::Looking | Phase::Connecting { .. } => self.failed(Failure::RunOver),
            Phase::Open { address, flows, .. } => {
                let (bytes_sent, bytes_received) = flows.totals();
                NetworkEvent::Connected {
                    host: self.host.clone(),
                    port: self.port,
                    address: *address,
                    bytes_sent,
                    bytes_received,
                    ended,
                }
            }
        }
    }

    fn failed(&self, why: Failure) -> NetworkEvent {
        NetworkEvent::Failed { host: self.host.clone(), port: self.port, why }
    }

    fn refused(&self, why: Refusal) -> NetworkEvent {
        NetworkEvent::Refused { host: self.host.clone(), port: self.port, why }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        match &self.phase {
            Phase::Looking | Phase::Connecting { .. } => reset_at_close(&self.client),
            Phase::Open { remote, flows, .. } => {
                let (client_unfinished, remote_unfinished) = flows.unfinished();
                if client_unfinished {
                    reset_at_close(&self.client);
                }
                if remote_unfinished {
                    reset_at_close(remote);
                }
            }
        }
    }
}

/// Has a connection end in a reset when its socket is closed.
pub(super) fn reset_at_close(socket: &OwnedFd) {
    // If this fails the other side is told an end, and knows no more than after a lost packet.
    let _set = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

fn start_connecting(address: SocketAddr) -> Result<OwnedFd, Failure> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None).map_err(|errno| match errno {
        // A machine without IPv6 has no way to such a host.
        Errno::AFNOSUPPORT => connect_failure(address, errno),
        _ => Failure::Ours { action: "make a socket", reason: io::Error::from(errno).to_string() },
    })?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(connect_failure(address, errno)),
    }
}

fn connect_failure(address: SocketAddr, errno: Errno) -> Failure {
    Failure::Connect { address, reason: io::Error::from(errno).to_string() }
}
