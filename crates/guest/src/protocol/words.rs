//! Numbers on the wire.

/// Numbers are sent as native 64-bit words: both ends are the same executable on the same machine.
pub(super) const WORD: usize = size_of::<u64>();

pub(super) fn word_at(bytes: &[u8], index: usize) -> Option<u64> {
    let at = index.checked_mul(WORD)?;
    let word = bytes.get(at..at.checked_add(WORD)?)?;
    Some(u64::from_ne_bytes(word.try_into().ok()?))
}

pub(super) fn put_words<const N: usize>(words: [u64; N], out: &mut [u8]) {
    for (chunk, word) in out.chunks_exact_mut(WORD).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
}
