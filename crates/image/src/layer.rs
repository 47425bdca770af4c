//! One layer as a stream: decompressed, bounded, and checked against both of its digests.
//!
//! The digests are known only at the stream's end, when its entries have been applied; [`Layer::finish`] must be
//! called, and what was applied is worth nothing if it fails.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::blobs::{Blob, Promise};
use crate::digest::{Digest, Hashed};

/// Content for each stored byte. Layers of programs have 2 to 5, of text up to 20; gzip cannot exceed 1032.
const RATIO_MAX: u64 = 200;
/// Content that no ratio is asked of: a layer of one large empty file is strange and harmless.
const RATIO_FREE_BYTES: u64 = 256 << 20;
/// The largest window that zstd writes unless told otherwise, as a power of two; it is memory of ours.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Stored bytes read at once.
const BUFFER_BYTES: usize = 128 << 10;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// A frame for others to use begins with this after one byte of sixteen; zstd files may begin with one.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];

/// Why the bytes of a layer are refused.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// They cannot be read or decompressed, or end early.
    #[error("reading it")]
    Read(#[source] io::Error),
    /// They are more than the image may have.
    #[error("more than {allowed} bytes of content up to this layer")]
    Bytes {
        /// How many the image may have.
        allowed: u64,
    },
    /// They grow too much when decompressed.
    #[error("{stored} bytes grow by a factor of more than {RATIO_MAX}")]
    Ratio {
        /// How many there are before.
        stored: u64,
    },
    /// They are not the bytes that the manifest means.
    #[error("stored bytes with the digest {found} instead of {expected}")]
    Stored {
        /// The digest of the blob.
        found: Digest,
        /// The digest it should have.
        expected: Digest,
    },
    /// They are not the bytes that the configuration means.
    #[error("content with the digest {found} instead of {expected}")]
    Content {
        /// The digest of the content.
        found: Digest,
        /// The digest it should have.
        expected: Digest,
    },
}

/// How much content an image may still have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) allowed: u64,
    pub(crate) used: u64,
}

/// Reads as the content of one layer.
pub(crate) struct Layer {
    content: Hashed<Decoder>,
    budget: Budget,
    stored: u64,
}

type Stored = BufReader<Hashed<Blob>>;

enum Decoder {
    Plain(Stored),
    Gzip(Box<MultiGzDecoder<Stored>>),
    Zstd(zstd::Decoder<'static, Stored>),
}

impl Layer {
    /// The kind of compression is what the first bytes say: archives of docker do not say it anywhere else.
    pub(crate) fn new(blob: Blob, budget: Budget) -> Result<Self, ContentError> {
        let stored = blob.size();
        let mut source = BufReader::with_capacity(BUFFER_BYTES, Hashed::new(blob));
        let first = source.fill_buf().map_err(ContentError::Read)?;
        let is_skippable =
            first.get(1..4) == Some(ZSTD_SKIPPABLE) && first.first().is_some_and(|byte| byte >> 4 == 5);
        let decoder = if first.starts_with(GZIP) {
            Decoder::Gzip(Box::new(MultiGzDecoder::new(source)))
        } else if first.starts_with(ZSTD) || is_skippable {
            let mut decoder = zstd::Decoder::with_buffer(source).map_err(ContentError::Read)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(ContentError::Read)?;
            Decoder::Zstd(decoder)
        } else {
            Decoder::Plain(source)
        };
        Ok(Self { content: Hashed::new(decoder), budget, stored })
    }

    /// Reads what is left, and holds both digests against what was promised. Says how much content there was.
    pub(crate) fn finish(mut self, promise: Option<Promise>, diff_id: Digest) -> Result<u64, ContentError> {
        io::copy(&mut self, &mut io::sink()).map_err(content_error)?;
        let used = self.content.count();
        let found = self.content.digest();
        let mut stored = self.content.into_source().into_stored();
        io::copy(&mut stored, &mut io::sink()).map_err(ContentError::Read)?;
        let stored = stored.digest();
        match promise {
            Some(Promise { digest: expected, .. }) if expected != stored => {
                return Err(ContentError::Stored { found: stored, expected });
            }
            Some(_) | None => {}
        }
        if found != diff_id {
            return Err(ContentError::Content { found, expected: diff_id });
        }
        Ok(used)
    }
}

impl Read for Layer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        let count = self.content.count();
        let Budget { allowed, used } = self.budget;
        if count > allowed.saturating_sub(used) {
            return Err(io::Error::other(ContentError::Bytes { allowed }));
        }
        if count.saturating_sub(RATIO_FREE_BYTES) > self.stored.saturating_mul(RATIO_MAX) {
            return Err(io::Error::other(ContentError::Ratio { stored: self.stored }));
        }
        Ok(read)
    }
}

impl Decoder {
    fn into_stored(self) -> Hashed<Blob> {
        match self {
            Self::Plain(source) => source.into_inner(),
            Self::Gzip(decoder) => decoder.into_inner().into_inner(),
            Self::Zstd(decoder) => decoder.finish().into_inner(),
        }
    }
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source) => source.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// The bound that was hit, if `Layer` itself refused to go on.
fn content_error(error: io::Error) -> ContentError {
    error.downcast::<ContentError>().unwrap_or_else(ContentError::Read)
}
