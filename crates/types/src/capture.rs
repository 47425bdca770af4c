//! What is kept of a stream that may be longer than anyone wants to keep.

use std::borrow::Cow;

use crate::units::ByteSize;

/// How much of each stream is kept: a head and a tail, in bytes. What lies between is counted, not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CapturePlan {
    /// Bytes kept from the front.
    pub head: ByteSize,
    /// Bytes kept from the end.
    pub tail: ByteSize,
}

impl Default for CapturePlan {
    /// A judge compares whole outputs, so the default keeps everything a test case normally holds.
    fn default() -> Self {
        Self { head: ByteSize::mib(8), tail: ByteSize::kib(64) }
    }
}

/// A stream as it was captured. Bytes, because programs owe nobody UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes, where they are not already part of `head`.
    pub tail: Vec<u8>,
    /// All bytes the program wrote.
    pub bytes_total: u64,
}

impl Captured {
    /// A stream kept whole.
    pub fn whole(bytes: impl Into<Vec<u8>>) -> Self {
        let head = bytes.into();
        Self { bytes_total: head.len() as u64, head, tail: Vec::new() }
    }

    /// Bytes that were counted but not kept.
    pub fn bytes_omitted(&self) -> u64 {
        self.bytes_total.saturating_sub(self.head.len() as u64 + self.tail.len() as u64)
    }

    /// Whether anything is missing.
    pub fn is_truncated(&self) -> bool {
        self.bytes_omitted() > 0
    }

    /// The whole stream, or `None` if part of it was not kept.
    pub fn complete(&self) -> Option<Cow<'_, [u8]>> {
        if self.is_truncated() {
            None
        } else if self.tail.is_empty() {
            Some(Cow::Borrowed(&self.head))
        } else {
            Some(Cow::Owned([self.head.as_slice(), &self.tail].concat()))
        }
    }

    /// The stream as text for people and models: invalid UTF-8 replaced, the cut stated exactly.
    pub fn to_text(&self) -> String {
        match self.complete() {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => format!(
                "{}\n[… {} of {} bytes omitted …]\n{}",
                String::from_utf8_lossy(&self.head),
                self.bytes_omitted(),
                self.bytes_total,
                String::from_utf8_lossy(&self.tail)
            ),
        }
    }

    /// The same stream cut further, to `head_max` bytes from the front and `tail_max` from the end.
    pub fn shortened(&self, head_max: usize, tail_max: usize) -> Self {
        let kept = [self.head.as_slice(), &self.tail].concat();
        if !self.is_truncated() && kept.len() <= head_max + tail_max {
            return self.clone();
        }
        let head = self.head[..self.head.len().min(head_max)].to_vec();
        // Without a hole the tail may reach back into what was stored as the head.
        let source = if self.is_truncated() { self.tail.as_slice() } else { &kept[head.len()..] };
        let tail = source[source.len().saturating_sub(tail_max)..].to_vec();
        Self { head, tail, bytes_total: self.bytes_total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_stream_is_itself() {
        let captured = Captured::whole(*b"abc");
        assert_eq!(captured.to_text(), "abc");
        assert!(!captured.is_truncated());
    }

    #[test]
    fn the_cut_is_stated_exactly() {
        let captured = Captured { head: b"ab".to_vec(), tail: b"yz".to_vec(), bytes_total: 26 };
        assert_eq!(captured.bytes_omitted(), 22);
        assert!(captured.to_text().contains("22 of 26 bytes omitted"));
        assert_eq!(captured.complete(), None);
    }

    #[test]
    fn shortening_keeps_both_ends() {
        let short = Captured::whole(*b"0123456789").shortened(2, 3);
        assert_eq!((short.head.as_slice(), short.tail.as_slice()), (&b"01"[..], &b"789"[..]));
        assert_eq!(short.bytes_omitted(), 5);
        assert_eq!(Captured::whole(*b"01234").shortened(3, 2), Captured::whole(*b"01234"));
        let holed = Captured { head: b"abc".to_vec(), tail: b"xyz".to_vec(), bytes_total: 26 };
        let short = holed.shortened(10, 1);
        assert_eq!((short.head.as_slice(), short.tail.as_slice()), (&b"abc"[..], &b"z"[..]));
    }
}
