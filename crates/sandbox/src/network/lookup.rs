//! Resolving allowed names, in threads of their own: the C library's resolver blocks and cannot be interrupted.
//!
//! A relay that ends leaves its lookups behind. They hold nothing but their stack, and end when the resolver's own
//! timeouts do.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::thread;

use rollcage_types::network::Failure;
use rollcage_types::network::{HostKind, HostName};

/// Lookups of one relay at a time. More than one, so that a dead name does not hold up a living one; the others wait.
const AT_ONCE_MAX: usize = 4;

/// Lookups of this process at a time, those left behind among them: names whose servers are dead must not fill it with
/// threads.
const IN_PROCESS_MAX: usize = 256;

static IN_PROCESS: AtomicUsize = AtomicUsize::new(0);

/// How names become addresses: [`resolve`], or what a test puts in its place.
pub(super) type Resolve = Arc<dyn Fn(&HostName) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// Said to a relay's thread by others. At most one from each lookup in progress waits, and one request to stop.
#[derive(Debug)]
pub(super) enum Word {
    /// The run is over.
    Stop,
    /// The lookup made for this connection ended.
    Found { connection: u64, addresses: Result<Vec<IpAddr>, Failure> },
}

/// The addresses of a host that needs no resolver.
pub(super) fn known(host: &HostName) -> Option<Vec<IpAddr>> {
    match host.kind() {
        HostKind::Address(address) => Some(vec![address.into()]),
        HostKind::Localhost => Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        HostKind::Named => None,
    }
}

/// The addresses of a named host, from the C library's resolver.
pub(super) fn resolve(host: &HostName) -> io::Result<Vec<IpAddr>> {
    Ok((host.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Wakes the thread that waits for `bell`.
pub(super) fn ring(bell: &OwnedFd) {
    // An eventfd write fails only if its counter is full, and then it is readable anyway.
    let _rung = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

/// The lookups of one relay.
pub(super) struct Lookups {
    resolve: Resolve,
    words: Sender<Word>,
    /// Weak, so that a lookup left behind keeps no descriptor.
    bell: Weak<OwnedFd>,
    running: usize,
    /// No longer than there are connections.
    waiting: VecDeque<(u64, HostName)>,
}

impl Lookups {
    pub(super) fn new(resolve: Resolve, words: Sender<Word>, bell: &Arc<OwnedFd>) -> Self {
        Self { resolve, words, bell: Arc::downgrade(bell), running: 0, waiting: VecDeque::new() }
    }

    /// Has `host` looked up for a connection. A [`Word::Found`] will come.
    pub(super) fn ask(&mut self, connection: u64, host: &HostName) {
        self.waiting.push_back((connection, host.clone()));
        self.start();
    }

    /// A connection no longer needs an answer.
    pub(super) fn forget(&mut self, connection: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != connection);
    }

    /// A [`Word::Found`] came.
    pub(super) fn ended(&mut self) {
        self.running -= 1;
        self.start();
    }

    fn start(&mut self) {
        while self.running < AT_ONCE_MAX {
            let Some((connection, host)) = self.waiting.pop_front() else { return };
            self.running += 1;
            if let Err(error) = self.spawn(connection, host) {
                let failure = Failure::Ours { action: "look up a name", reason: error.to_string() };
                tell(&self.words, &self.bell, Word::Found { connection, addresses: Err(failure) });
            }
        }
    }

    fn spawn(&self, connection: u64, host: HostName) -> io::Result<()> {
        let place = Place::take().ok_or_else(|| io::Error::other("too many lookups are in progress"))?;
        let (resolve, words, bell) = (Arc::clone(&self.resolve), self.words.clone(), Weak::clone(&self.bell));
        thread::Builder::new().name("rollcage-lookup".to_owned()).spawn(move || {
            let addresses = resolve(&host).map_err(|error| Failure::Lookup { reason: error.to_string() });
            drop(place);
            tell(&words, &bell, Word::Found { connection, addresses });
        })?;
        Ok(())
    }
}

fn tell(words: &Sender<Word>, bell: &Weak<OwnedFd>, word: Word) {
    // Neither arrives if the relay is over, and then nobody waits for them.
    let _told = words.send(word);
    if let Some(bell) = bell.upgrade() {
        ring(&bell);
    }
}

/// One of the process's lookups.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let more = |count| (count < IN_PROCESS_MAX).then_some(count + 1);
        IN_PROCESS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_before| Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        IN_PROCESS.fetch_sub(1, Ordering::Relaxed);
    }
}
