//! The socket to the agent of a session.
//!
//! What goes in is the caller's. What comes out are messages: a line `KIND LENGTH`, and as many bytes. The program can write
//! there too, so nothing here trusts a length.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
    recv, recvmsg, send, socketpair, sockopt,
};

/// Bytes of one message's content.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;
/// Bytes of its first line.
const LINE_MAX: usize = 64;
/// Read at a time.
const CHUNK: usize = 16 * 1024;

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Lower-case letters.
    pub kind: String,
    /// Its content.
    pub content: Vec<u8>,
}

impl Message {
    /// Its content, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// Our end.
#[derive(Debug)]
pub(super) struct Channel {
    socket: OwnedFd,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    written: usize,
    is_open: bool,
    /// The process that spoke first, as this process numbers it.
    speaker: Option<u32>,
}

/// What the program wrote is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

impl Channel {
    /// Our end, and the agent's.
    pub(super) fn pair() -> Result<(Self, OwnedFd), Errno> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_passcred(&ours, true)?;
        let (inbox, outbox) = (Vec::new(), Vec::new());
        Ok((Self { socket: ours, inbox, outbox, written: 0, is_open: true, speaker: None }, theirs))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether the agent can still be heard.
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether something waits to be written.
    pub(super) const fn has_more(&self) -> bool {
        self.written < self.outbox.len()
    }

    /// Bytes that wait to be written.
    pub(super) const fn waiting(&self) -> usize {
        self.outbox.len() - self.written
    }

    /// See the field.
    pub(super) const fn speaker(&self) -> Option<u32> {
        self.speaker
    }

    /// Has these bytes written.
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
    }

    /// Writes as much as can be. An agent that is gone is noticed when it is listened to.
    pub(super) fn flush(&mut self) -> Result<(), Errno> {
        while self.has_more() {
            match send(&self.socket, &self.outbox[self.written..], SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
            {
                Ok(count) => self.written += count,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => break,
                Err(errno) => return Err(errno),
            }
        }
        self.outbox.clear();
        self.written = 0;
        // Cells are short; one that was not must not be paid for while the session waits.
        self.outbox.shrink_to(CHUNK);
        Ok(())
    }

    /// Reads what has come.
    pub(super) fn read_some(&mut self) -> Result<(), Errno> {
        let mut chunk = [0; CHUNK];
        let received = if self.speaker.is_none() {
            self.receive_first(&mut chunk)
        } else {
            recv(&self.socket, &mut chunk, RecvFlags::DONTWAIT).map(|(length, _)| length)
        };
        match received {
            Ok(0) | Err(Errno::CONNRESET) => self.is_open = false,
            Ok(count) => self.inbox.extend_from_slice(&chunk[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    fn receive_first(&mut self, chunk: &mut [u8]) -> Result<usize, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1), ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.socket, &mut [IoSliceMut::new(chunk)], &mut ancillary, flags)?;
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmCredentials(sender) = part {
                self.speaker = u32::try_from(sender.pid.as_raw_nonzero().get()).ok();
            }
        }
        if self.speaker.is_some() {
            sockopt::set_socket_passcred(&self.socket, false)?;
        }
        Ok(received.bytes)
    }

    /// Reads one byte from somebody who speaks before the agent does, and says who; who speaks next speaks first.
    pub(super) fn hear_stranger(&mut self) -> Result<Option<u32>, Errno> {
        let received = self.receive_first(&mut [0; 1])?;
        let stranger = self.speaker.take();
        sockopt::set_socket_passcred(&self.socket, true)?;
        Ok(stranger.filter(|_| received == 1))
    }

    /// The next message, if all of it has come.
    pub(super) fn next_message(&mut self) -> Result<Option<Message>, Nonsense> {
        let Some(end) = self.inbox.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
            return if self.inbox.len() < LINE_MAX { Ok(None) } else { Err(Nonsense) };
        };
        let (kind, length) = first_line(&self.inbox[..end]).ok_or(Nonsense)?;
        let from = end + 1;
        let Some(content) = self.inbox.get(from..from + length) else { return Ok(None) };
        let message = Message { kind: kind.to_owned(), content: content.to_vec() };
        self.inbox.drain(..from + length);
        self.inbox.shrink_to(CHUNK);
        Ok(Some(message))
    }

    /// Forgets what has come and was not a whole message.
    pub(super) fn forget(&mut self) {
        self.inbox.clear();
    }
}

fn first_line(line: &[u8]) -> Option<(&str, usize)> {
    let (kind, length) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let is_word = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase());
    let length: usize = length.parse().ok()?;
    (is_word && length <= MESSAGE_MAX).then_some((kind, length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard(bytes: &[u8]) -> (Vec<Message>, bool) {
        let (mut channel, _theirs) = Channel::pair().unwrap();
        channel.inbox = bytes.to_vec();
        let mut messages = Vec::new();
        loop {
            match channel.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, true),
                Err(Nonsense) => return (messages, false),
            }
        }
    }

    fn message(kind: &str, content: &[u8]) -> Message {
        Message { kind: kind.to_owned(), content: content.to_vec() }
    }

    #[test]
    fn messages_are_told_apart_by_their_lengths() {
        let (messages, sound) = heard(b"display 3\na\nbdone 0\ninput 5\nab");
        assert_eq!(messages, [message("display", b"a\nb"), message("done", b"")]);
        assert!(sound, "what has not come yet may come");
    }

    #[test]
    fn what_is_no_message_is_nonsense() {
        let long = [b'a'; LINE_MAX];
        let bytes: [&[u8]; 6] =
            [b"\n", b"done\n", b"Done 1\na", b"done -1\n", b"done 99999999999999\n", &long];
        for bytes in bytes {
            assert_eq!(heard(bytes), (Vec::new(), false), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_heard(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (messages, _sound) = heard(&bytes);
            let told: usize = messages.iter().map(|message| message.content.len()).sum();
            prop_assert!(told <= bytes.len());
        }
    }
}
