//! Names of content: sha256 digests, and a reader that computes one on the way.
//!
//! Other algorithms of the specification are refused: no tool writes them, and each would be one more way to name
//! the same content.

use std::fmt;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

const PREFIX: &str = "sha256:";

/// The sha256 of some content. Shown as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Why a text is no digest.
#[derive(Debug, thiserror::Error)]
#[error("{found:?} is not sha256: and 64 hexadecimal digits")]
pub struct DigestError {
    /// The text, cut to a sensible length.
    pub found: String,
}

impl Digest {
    /// Reads `sha256:…`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let parsed = text.strip_prefix(PREFIX).and_then(Self::from_hex);
        parsed.ok_or_else(|| DigestError { found: text.chars().take(100).collect() })
    }

    /// Reads 64 lower-case hexadecimal digits, the only spelling there is.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// The digits alone.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Passes bytes on, counting them and computing their digest.
pub(crate) struct Hashed<R> {
    source: R,
    hasher: Sha256,
    count: u64,
}

impl<R: Read> Hashed<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, hasher: Sha256::new(), count: 0 }
    }

    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// How many bytes have passed.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The digest of what has passed.
    pub(crate) fn digest(&self) -> Digest {
        Digest(self.hasher.clone().finalize().into())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.count += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_has_one_spelling() {
        assert_eq!(Digest::parse(&format!("sha256:{EMPTY}")).unwrap(), Digest::of(b""));
        assert_eq!(Digest::of(b"").to_string(), format!("sha256:{EMPTY}"));
        let refused = [
            EMPTY.to_owned(),
            format!("sha512:{EMPTY}"),
            format!("sha256:{}", EMPTY.to_uppercase()),
            format!("sha256:{}", &EMPTY[1..]),
            format!("sha256:{EMPTY}0"),
            format!("sha256:../{}", &EMPTY[3..]),
        ];
        for text in refused {
            assert!(Digest::parse(&text).is_err(), "{text}");
        }
    }
}
