//! Bytes between two connected sockets, in both directions, without blocking.
//!
//! Nothing is read that could not be passed on before, so a slow reader slows its writer and no more than one chunk
//! waits here for each direction. The end of one direction is passed on as such while the other goes on.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

/// Read at a time. Large enough that system calls cost little beside copying, small enough that what may wait in all
/// connections of a cage stays below 10 MB.
pub(super) const CHUNK: usize = 64 * 1024;

/// Chunks of one direction before others have their turn.
const CHUNKS_PER_TURN: usize = 4;

/// Both directions of one connection: up from the program, down to it.
#[derive(Debug, Default)]
pub(super) struct Flows {
    up: Flow,
    down: Flow,
    /// One side broke off, so that an orderly end would be a lie to the other.
    broken: bool,
}

#[derive(Debug, Default)]
struct Flow {
    /// The end was passed on, or there is nobody left to pass anything on to.
    is_done: bool,
    /// Read and not passed on; the part before `passed` is.
    pending: Vec<u8>,
    passed: usize,
    total: u64,
}

/// What one turn of a direction came to.
struct Turn {
    moved: bool,
    trouble: Option<Trouble>,
}

enum Trouble {
    Reading,
    Writing,
}

impl Flows {
    /// Moves what can be moved now; says whether anything was.
    pub(super) fn advance(&mut self, client: &OwnedFd, remote: &OwnedFd, scratch: &mut [u8]) -> bool {
        let up = self.up.advance(client.as_fd(), remote.as_fd(), scratch);
        let down = self.down.advance(remote.as_fd(), client.as_fd(), scratch);
        for turn in [&up, &down] {
            match turn.trouble {
                None => {}
                // What cannot be read from is gone, and cannot be written to either.
                Some(Trouble::Reading) => {
                    self.broken = true;
                    self.up.is_done = true;
                    self.down.is_done = true;
                }
                // Its last words may still be there to be read; the end of file behind them ends the other direction.
                Some(Trouble::Writing) => self.broken = true,
            }
        }
        up.moved || down.moved
    }

    /// What to wait for on the program's socket and on the host's. A socket with nothing to wait for must not be
    /// watched at all: its end would be reported without pause.
    pub(super) fn interest(&self) -> (PollFlags, PollFlags) {
        let flag = |wanted: bool, flag: PollFlags| if wanted { flag } else { PollFlags::empty() };
        let (up, down) = (&self.up, &self.down);
        (
            flag(up.is_reading(), PollFlags::IN) | flag(down.is_waiting(), PollFlags::OUT),
            flag(down.is_reading(), PollFlags::IN) | flag(up.is_waiting(), PollFlags::OUT),
        )
    }

    /// Whether nothing will move any more.
    pub(super) fn is_over(&self) -> bool {
        self.up.is_done && self.down.is_done
    }

    /// Whether a side broke off.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Bytes passed up and down.
    pub(super) const fn totals(&self) -> (u64, u64) {
        (self.up.total, self.down.total)
    }

    /// Which sockets, the program's and the host's, must be closed by a reset because they were not told the end of
    /// what was sent to them.
    pub(super) fn unfinished(&self) -> (bool, bool) {
        (self.broken || !self.down.is_done, self.broken || !self.up.is_done)
    }
}

impl Flow {
    fn advance(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, scratch: &mut [u8]) -> Turn {
        let before = self.total;
        let trouble = if self.is_done { None } else { self.turn(from, to, scratch).err() };
        if trouble.is_some() {
            *self = Self { is_done: true, total: self.total, ..Self::default() };
        }
        Turn { moved: self.total > before, trouble }
    }

    fn turn(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, scratch: &mut [u8]) -> Result<(), Trouble> {
        for _ in 0..CHUNKS_PER_TURN {
            if self.is_waiting() {
                let count = pass(to, &self.pending[self.passed..])?;
                self.passed += count;
                self.total += count as u64;
                if self.is_waiting() {
                    return Ok(());
                }
                // Freed, so that connections at rest hold no memory.
                (self.pending, self.passed) = (Vec::new(), 0);
            }
            match recv(from, &mut *scratch, RecvFlags::DONTWAIT) {
                Ok((0, _)) => {
                    // Nothing is read before all else is passed on, so this comes last.
                    self.is_done = true;
                    return shutdown(to, Shutdown::Write).map_err(|_gone| Trouble::Writing);
                }
                Ok((read, _)) => {
                    let count = pass(to, &scratch[..read])?;
                    self.total += count as u64;
                    self.pending = scratch[count..read].to_vec();
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(_) => return Err(Trouble::Reading),
            }
        }
        Ok(())
    }

    fn is_reading(&self) -> bool {
        !self.is_done && !self.is_waiting()
    }

    fn is_waiting(&self) -> bool {
        self.passed < self.pending.len()
    }
}

/// Writes what fits.
fn pass(to: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Trouble> {
    match send(to, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(count) => Ok(count),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(_) => Err(Trouble::Writing),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    /// A relayed connection, and the ends a program and a host hold.
    struct Rig {
        program: OwnedFd,
        client: OwnedFd,
        remote: OwnedFd,
        host: OwnedFd,
        flows: Flows,
    }

    impl Rig {
        fn new() -> Self {
            let pair = || {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
            };
            let ((program, client), (remote, host)) = (pair(), pair());
            Self { program, client, remote, host, flows: Flows::default() }
        }

        fn advance(&mut self) -> bool {
            self.flows.advance(&self.client, &self.remote, &mut [0; CHUNK])
        }
    }

    /// Writes until nothing fits; says how much did.
    fn fill(socket: &OwnedFd, byte: u8) -> usize {
        let mut count = 0;
        while let Ok(more) = send(socket, &[byte; 4096], SendFlags::DONTWAIT) {
            count += more;
        }
        count
    }

    /// Reads what is there; says how much, and whether the end was behind it.
    fn empty(socket: &OwnedFd) -> (usize, bool) {
        let (mut count, mut buffer) = (0, [0; 4096]);
        loop {
            match recv(socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return (count, true),
                Ok((more, _)) => count += more,
                Err(_) => return (count, false),
            }
        }
    }

    #[test]
    fn a_host_that_does_not_read_stops_the_program_after_a_chunk() {
        let mut rig = Rig::new();
        let mut written = 0;
        loop {
            written += fill(&rig.program, b'u');
            if !rig.advance() {
                break;
            }
        }
        assert!((1..=CHUNK).contains(&rig.flows.up.pending.len()));
        assert_eq!(rig.flows.interest(), (PollFlags::empty(), PollFlags::IN | PollFlags::OUT));
        // The other direction goes on meanwhile.
        fill(&rig.host, b'd');
        assert!(rig.advance());
        assert_ne!(empty(&rig.program).0, 0);
        // And everything arrives once the host reads.
        let mut read = 0;
        while read < written {
            read += empty(&rig.host).0;
            rig.advance();
        }
        assert_eq!((read, rig.flows.totals().0), (written, written as u64));
        assert_eq!(rig.flows.up.pending.capacity(), 0);
        assert_eq!(rig.flows.interest().1, PollFlags::IN);
    }

    #[test]
    fn the_end_of_one_direction_follows_its_last_byte() {
        let mut rig = Rig::new();
        let written = fill(&rig.program, b'u');
        shutdown(&rig.program, Shutdown::Write).unwrap();
        let (mut read, mut ended) = (0, false);
        while !ended {
            rig.advance();
            let (count, end) = empty(&rig.host);
            (read, ended) = (read + count, end);
        }
        assert_eq!(read, written);
        // The host may still answer.
        assert!(!rig.flows.is_over());
        assert_eq!(rig.flows.unfinished(), (true, false));
        send(&rig.host, b"answer", SendFlags::empty()).unwrap();
        shutdown(&rig.host, Shutdown::Write).unwrap();
        while !rig.flows.is_over() {
            rig.advance();
        }
        assert_eq!(empty(&rig.program), (6, true));
        assert_eq!((rig.flows.unfinished(), rig.flows.is_broken()), ((false, false), false));
    }

    #[test]
    fn the_last_words_of_a_host_that_is_gone_arrive() {
        let mut rig = Rig::new();
        send(&rig.program, b"question", SendFlags::empty()).unwrap();
        send(&rig.host, b"go away", SendFlags::empty()).unwrap();
        shutdown(&rig.host, Shutdown::Both).unwrap();
        while !rig.flows.is_over() {
            rig.advance();
        }
        assert_eq!(empty(&rig.program).0, 7);
        assert_eq!((rig.flows.unfinished(), rig.flows.is_broken()), ((true, true), true));
    }

    /// What one end of a connection does.
    #[derive(Clone, Copy, Debug)]
    enum Act {
        Write(usize),
        Read,
        End,
    }

    fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
        let sizes = prop_oneof![1..100_usize, Just(CHUNK), Just(CHUNK * CHUNKS_PER_TURN), 1..400_000_usize];
        let act = prop_oneof![4 => sizes.prop_map(Act::Write), 4 => Just(Act::Read), 1 => Just(Act::End)];
        proptest::collection::vec((any::<bool>(), act), 0..24)
    }

    proptest! {
        #[test]
        fn whatever_the_ends_do_everything_arrives_and_something_is_waited_for(acts in acts()) {
            let mut rig = Rig::new();
            // For the program and the host: bytes written, bytes read, whether it has ended, whether it saw the end.
            let mut ends = [(0, 0, false, false); 2];
            let reads = [(false, Act::Read), (true, Act::Read)].repeat(40);
            let finally = [(false, Act::End), (true, Act::End)].into_iter().chain(reads);
            for (is_host, act) in acts.into_iter().chain(finally) {
                let (socket, end) = (if is_host { &rig.host } else { &rig.program }, &mut ends[usize::from(is_host)]);
                match act {
                    Act::Write(count) if !end.2 => {
                        end.0 += send(socket, &vec![b'x'; count], SendFlags::DONTWAIT).unwrap_or(0);
                    }
                    Act::Write(_) => {}
                    Act::Read => {
                        let (count, ended) = empty(socket);
                        *end = (end.0, end.1 + count, end.2, ended);
                    }
                    Act::End => {
                        shutdown(socket, Shutdown::Write).unwrap();
                        end.2 = true;
                    }
                }
                rig.advance();
                let waits_for_nothing = rig.flows.interest() == (PollFlags::empty(), PollFlags::empty());
                prop_assert_eq!(rig.flows.is_over(), waits_for_nothing);
            }
            let [program, host] = ends;
            prop_assert_eq!((host.1, program.1), (program.0, host.0));
            prop_assert!(program.3 && host.3 && rig.flows.is_over() && !rig.flows.is_broken());
        }
    }
}
