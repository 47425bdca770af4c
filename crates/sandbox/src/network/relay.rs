//! The relay of one run: a thread that answers names, accepts connections and moves their bytes.
//!
//! It alone owns the sockets and the log. Lookups and [`Relay::finish`] send it words and ring its bell, an eventfd it
//! waits for along with everything else; nothing it does blocks.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recvfrom, sendto};

use super::connection::{Bounds, Connection, reset_at_close};
use super::dns;
use super::flows::CHUNK;
use super::log::Recorder;
use super::lookup::{Lookups, Resolve, Word, known, resolve, ring};
use rollcage_types::network::{AllowList, HostName};
use rollcage_types::network::{Failure, NetworkEvent, NetworkLog, Refusal};

/// Queries answered before connections have their turn.
const QUERIES_PER_TURN: usize = 16;

/// How long nothing is accepted after the machine ran out of descriptors or memory. The listeners stay readable, so
/// without a pause the thread would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves one cage until it is finished or dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    thread: Option<JoinHandle<io::Result<NetworkLog>>>,
    words: Sender<Word>,
    bell: Arc<OwnedFd>,
}

impl Relay {
    /// Starts to serve a cage. `dns` is its UDP socket; each listener is named by its host's position in the list and
    /// its port.
    ///
    /// # Panics
    ///
    /// If a position is not one of the list's.
    pub(crate) fn start(
        allow: &AllowList,
        dns: OwnedFd,
        listeners: Vec<(usize, u16, OwnedFd)>,
    ) -> io::Result<Self> {
        Self::start_with(allow, dns, listeners, Bounds::USUAL, Arc::new(resolve))
    }

    pub(super) fn start_with(
        allow: &AllowList,
        dns: OwnedFd,
        listeners: Vec<(usize, u16, OwnedFd)>,
        bounds: Bounds,
        resolve: Resolve,
    ) -> io::Result<Self> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (words, heard) = channel();
        let mut open = Vec::with_capacity(listeners.len());
        for (position, port, socket) in listeners {
            // A connection that is gone again by the time it is accepted must not make us wait for the next.
            ioctl_fionbio(&socket, true)?;
            open.push(Listener { host: allow.entries()[position].host().clone(), port, socket });
        }
        let server = Server {
            allow: allow.clone(),
            dns,
            listeners: open,
            accept_after: None,
            connections: Vec::new(),
            next_id: 0,
            lookups: Lookups::new(resolve, words.clone(), &bell),
            heard,
            bell: Arc::clone(&bell),
            bounds,
            recorder: Recorder::default(),
        };
        let thread =
            thread::Builder::new().name("rollcage-relay".to_owned()).spawn(move || server.serve())?;
        Ok(Self { thread: Some(thread), words, bell })
    }

    /// Ends what is still open and says what there was. An error means that the relay broke down on the way, and that
    /// the program met failures that were ours.
    pub(crate) fn finish(mut self) -> io::Result<NetworkLog> {
        self.stop().expect("a relay is stopped once, here or when it is dropped")
    }

    fn stop(&mut self) -> Option<io::Result<NetworkLog>> {
        let thread = self.thread.take()?;
        // The thread is gone already if it broke down; that is what joining it tells.
        let _told = self.words.send(Word::Stop);
        ring(&self.bell);
        Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Whoever drops a relay has given up the run and its log.
        let _log = self.stop();
    }
}

/// What the relay's thread owns.
struct Server {
    allow: AllowList,
    dns: OwnedFd,
    listeners: Vec<Listener>,
    /// Nothing is accepted before this.
    accept_after: Option<Instant>,
    connections: Vec<Connection>,
    next_id: u64,
    lookups: Lookups,
    heard: Receiver<Word>,
    bell: Arc<OwnedFd>,
    bounds: Bounds,
    recorder: Recorder,
}

struct Listener {
    host: HostName,
    port: u16,
    socket: OwnedFd,
}

/// What is worth looking at.
struct Ready {
    dns: bool,
    listeners: Vec<usize>,
    /// For each connection.
    connections: Vec<bool>,
}

#[derive(Clone, Copy)]
enum Source {
    Bell,
    Dns,
    Listener(usize),
    Connection(usize),
}

impl Server {
    fn serve(mut self) -> io::Result<NetworkLog> {
        let mut scratch = vec![0; CHUNK];
        loop {
            let ready = self.wait()?;
            let now = Instant::now();
            self.step_connections(&ready, now, &mut scratch);
            while let Ok(word) = self.heard.try_recv() {
                match word {
                    Word::Stop => return Ok(self.finish(&mut scratch)),
                    Word::Found { connection, addresses } => self.found(connection, addresses, now),
                }
            }
            if ready.dns {
                self.answer_queries(&mut scratch);
            }
            for listener in ready.listeners {
                self.accept(listener, now);
            }
        }
    }

    fn finish(mut self, scratch: &mut [u8]) -> NetworkLog {
        for connection in self.connections {
            self.recorder.record(connection.finish(scratch));
        }
        self.recorder.finish()
    }

    fn wait(&mut self) -> io::Result<Ready> {
        let now = Instant::now();
        self.accept_after = self.accept_after.filter(|&after| after > now);
        let mut sources = vec![Source::Bell, Source::Dns];
        let mut watched =
            vec![PollFd::new(&*self.bell, PollFlags::IN), PollFd::new(&self.dns, PollFlags::IN)];
        if self.accept_after.is_none() {
            for (index, listener) in self.listeners.iter().enumerate() {
                sources.push(Source::Listener(index));
                watched.push(PollFd::new(&listener.socket, PollFlags::IN));
            }
        }
        for (index, connection) in self.connections.iter().enumerate() {
            for (socket, flags) in connection.watched() {
                sources.push(Source::Connection(index));
                watched.push(PollFd::from_borrowed_fd(socket, flags));
            }
        }
        let deadlines = self.connections.iter().map(Connection::deadline);
        let until = deadlines.chain(self.accept_after).min();
        let timeout = until.map(|until| {
            Timespec::try_from(until.saturating_duration_since(now)).expect("a wait is a matter of minutes")
        });
        match poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut ready =
            Ready { dns: false, listeners: Vec::new(), connections: vec![false; self.connections.len()] };
        for (source, _) in
            sources.into_iter().zip(&watched).filter(|(_, watched)| !watched.revents().is_empty())
        {
            match source {
                Source::Bell => {
                    // Its only use is to end the wait; what it was rung for is in the channel.
                    let _count = rustix::io::read(&self.bell, &mut [0; 8]);
                }
                Source::Dns => ready.dns = true,
                Source::Listener(index) => ready.listeners.push(index),
                Source::Connection(index) => ready.connections[index] = true,
            }
        }
        Ok(ready)
    }

    fn step_connections(&mut self, ready: &Ready, now: Instant, scratch: &mut [u8]) {
        let mut ready = ready.connections.iter();
        self.connections.retain_mut(|connection| {
            let is_ready = ready.next().is_some_and(|&ready| ready);
            let event = (is_ready || now >= connection.deadline())
                .then(|| connection.step(now, &self.bounds, scratch))
                .flatten();
            let Some(event) = event else { return true };
            self.lookups.forget(connection.id);
            self.recorder.record(event);
            false
        });
    }

    fn found(&mut self, id: u64, addresses: Result<Vec<IpAddr>, Failure>, now: Instant) {
        self.lookups.ended();
        // It may have met its deadline.
        let Some(index) = self.connections.iter().position(|connection| connection.id == id) else { return };
        if let Some(event) = self.connections[index].found(addresses, now, &self.bounds) {
            self.recorder.record(event);
            self.connections.remove(index);
        }
    }

    fn answer_queries(&mut self, scratch: &mut [u8]) {
        for _ in 0..QUERIES_PER_TURN {
            let buffer = &mut scratch[..dns::QUERY_BYTES_MAX];
            // With this flag the length is the packet's, so that one that was cut off is not taken for a whole one.
            let received = recvfrom(&self.dns, &mut *buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC);
            let Ok((_, length, Some(sender))) = received else { return };
            let Some(answer) = buffer.get(..length).and_then(|query| dns::answer(query, &self.allow)) else {
                continue;
            };
            // A lost answer is asked for again, as with any name server.
            let _sent = sendto(&self.dns, &answer.packet, SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &sender);
            self.recorder.record(NetworkEvent::Queried { name: answer.name, allowed: answer.allowed });
        }
    }

    fn accept(&mut self, index: usize, now: Instant) {
        let Some(listener) = self.listeners.get(index) else { return };
        let (host, port) = (listener.host.clone(), listener.port);
        let client = match accept_with(&listener.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(client) => client,
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return,
            Err(errno) => {
                self.accept_after = Some(now + ACCEPT_PAUSE);
                let reason = io::Error::from(errno).to_string();
                let why = Failure::Ours { action: "accept a connection", reason };
                self.recorder.record(NetworkEvent::Failed { host, port, why });
                return;
            }
        };
        let max = self.bounds.connections;
        if self.connections.len() >= max {
            // Not left waiting: a program that waits for itself would never learn why.
            reset_at_close(&client);
            let why = Refusal::TooManyConnections { max };
            self.recorder.record(NetworkEvent::Refused { host, port, why });
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let known = known(&host);
        if known.is_none() {
            self.lookups.ask(id, &host);
        }
        let mut connection = Connection::new(id, host, port, client, now + self.bounds.lookup);
        match known.and_then(|addresses| connection.found(Ok(addresses), now, &self.bounds)) {
            Some(event) => self.recorder.record(event),
            None => self.connections.push(connection),
        }
    }
}
