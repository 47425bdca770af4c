//! Keeps the head and the tail of a stream while it is drained.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rollcage_types::{CapturePlan, Captured};
use rustix::io::Errno;

/// One pipe of the program and what was read from it.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Our end; `None` once the program's side is closed.
    pub(crate) pipe: Option<OwnedFd>,
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    tail_max: usize,
    total: u64,
}

/// Read at a time: the default capacity of a pipe.
pub(crate) const CHUNK: usize = 64 * 1024;

impl Stream {
    pub(crate) fn new(pipe: OwnedFd, plan: &CapturePlan) -> Self {
        Self {
            pipe: Some(pipe),
            head: Vec::new(),
            head_max: plan.head.as_usize(),
            tail: VecDeque::new(),
            tail_max: plan.tail.as_usize(),
            total: 0,
        }
    }

    /// Keeps what `plan` says of all that comes; nothing may have come yet.
    pub(crate) fn keep(&mut self, plan: &CapturePlan) {
        (self.head_max, self.tail_max) = (plan.head.as_usize(), plan.tail.as_usize());
    }

    /// Bytes seen so far.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// Reads one chunk without blocking; says whether anything came.
    pub(crate) fn read_some(&mut self, buffer: &mut [u8]) -> Result<bool, Errno> {
        let Some(pipe) = &self.pipe else { return Ok(false) };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => {
                self.pipe = None;
                Ok(false)
            }
            Ok(count) => {
                self.push(&buffer[..count]);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Reads what is left, up to `bound` bytes in all. The writers must be dead.
    pub(crate) fn drain(&mut self, buffer: &mut [u8], bound: u64) -> Result<(), Errno> {
        while self.total <= bound && self.read_some(buffer)? {}
        Ok(())
    }

    fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let to_head = bytes.len().min(self.head_max - self.head.len());
        let (head, rest) = bytes.split_at(to_head);
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(self.tail_max)..];
        let excess = (self.tail.len() + rest.len()).saturating_sub(self.tail_max);
        self.tail.drain(..excess);
        self.tail.extend(rest);
    }

    /// Takes what has come so far, and begins anew.
    pub(crate) fn take(&mut self) -> Captured {
        let (head, tail) = (std::mem::take(&mut self.head), std::mem::take(&mut self.tail));
        Captured { head, tail: tail.into(), bytes_total: std::mem::take(&mut self.total) }
    }

    pub(crate) fn finish(self) -> Captured {
        Captured { head: self.head, tail: self.tail.into(), bytes_total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rollcage_types::ByteSize;

    use super::*;

    proptest! {
        #[test]
        fn head_and_tail_are_those_of_the_whole(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..20),
            head_max in 0_u64..50,
            tail_max in 0_u64..50,
        ) {
            let (reader, _writer) = rustix::pipe::pipe().unwrap();
            let plan = CapturePlan { head: ByteSize::bytes(head_max), tail: ByteSize::bytes(tail_max) };
            let mut stream = Stream::new(reader, &plan);
            chunks.iter().for_each(|chunk| stream.push(chunk));
            let whole = chunks.concat();
            let captured = stream.finish();
            prop_assert_eq!(captured.bytes_total, whole.len() as u64);
            prop_assert!(whole.starts_with(&captured.head));
            prop_assert!(whole.ends_with(&captured.tail));
            let kept = (captured.head.len() + captured.tail.len()) as u64;
            prop_assert_eq!(kept, captured.bytes_total.min(head_max + tail_max));
        }
    }
}
