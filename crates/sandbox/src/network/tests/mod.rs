//! The relay on real sockets: hosts are listeners on loopback, and so are the sockets a cage would have bound.

mod end;
mod exhausted;
mod leaks;
mod names;
mod namespace;
mod traffic;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::connection::Bounds;
use super::relay::Relay;
use rollcage_types::network::{AllowList, HostName};
use rollcage_types::network::{NetworkEvent, NetworkLog};

/// A relay, and where a program would find it.
struct Cage {
    relay: Relay,
    dns: SocketAddr,
    /// For each port of each host, in their order.
    listeners: Vec<SocketAddr>,
}

impl Cage {
    /// Allows `entries`. Names resolve to `addresses`.
    fn new(entries: &[&str], bounds: Bounds, addresses: &'static [IpAddr]) -> Self {
        Self::resolving(entries, bounds, move |_host| Ok(addresses.to_vec()))
    }

    fn resolving(
        entries: &[&str],
        bounds: Bounds,
        resolve: impl Fn(&HostName) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        let allow = AllowList::parse(entries.iter().copied()).unwrap();
        let dns = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut listeners = Vec::new();
        for (position, entry) in allow.entries().iter().enumerate() {
            for &port in entry.ports() {
                // In a cage it would be the entry's own port; here that is the host's.
                let socket = TcpListener::bind((allow.cage_address(position).unwrap(), 0)).unwrap();
                listeners.push((position, port, socket));
            }
        }
        Self {
            dns: dns.local_addr().unwrap(),
            listeners: listeners.iter().map(|(_, _, socket)| socket.local_addr().unwrap()).collect(),
            relay: Relay::start_with(
                &allow,
                OwnedFd::from(dns),
                listeners
                    .into_iter()
                    .map(|(position, port, socket)| (position, port, socket.into()))
                    .collect(),
                bounds,
                Arc::new(resolve),
            )
            .unwrap(),
        }
    }

    /// Connects as a program would.
    fn connect(&self, listener: usize) -> TcpStream {
        let stream = TcpStream::connect(self.listeners[listener]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn finish(self) -> NetworkLog {
        self.relay.finish().unwrap()
    }
}

/// A test that waits for longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host that takes one connection and does `serve` with it.
struct Host<T> {
    /// An entry that allows it.
    entry: String,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Host<T> {
    fn new(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let entry = format!("localhost:{}", listener.local_addr().unwrap().port());
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            serve(stream)
        });
        Self { entry, thread }
    }

    fn join(self) -> T {
        self.thread.join().unwrap()
    }
}

/// A host that sends back what it gets, on any number of connections, for as long as the process lives.
fn echo_host() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let entry = format!("localhost:{}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo(&stream.unwrap()));
        }
    });
    entry
}

fn echo(mut stream: &TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    let _shut = stream.shutdown(Shutdown::Write);
}

/// Whether the connection sends back what it is sent.
fn echoes(mut stream: &TcpStream, text: &[u8]) -> bool {
    let mut back = vec![0; text.len()];
    stream.write_all(text).and_then(|()| stream.read_exact(&mut back)).is_ok() && back == text
}

/// What reading from the connection comes to.
fn next_read(mut stream: &TcpStream) -> Result<usize, ErrorKind> {
    stream.read(&mut [0; 4096]).map_err(|error| error.kind())
}

/// The events of connections, as text without what changes from run to run.
fn connections(log: &NetworkLog) -> Vec<String> {
    let mut told = Vec::new();
    for event in &log.events {
        match event {
            NetworkEvent::Queried { .. } => {}
            NetworkEvent::Connected { host, address, bytes_sent, bytes_received, ended, .. } => {
                let at = address.ip();
                told.push(format!("{host} at {at}: {bytes_sent} up, {bytes_received} down, {ended:?}"));
            }
            NetworkEvent::Refused { host, why, .. } => told.push(format!("{host} refused: {why}")),
            NetworkEvent::Failed { host, why, .. } => told.push(format!("{host} failed: {why}")),
        }
    }
    told
}
