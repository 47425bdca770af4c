//! The tar format, read as a stream: ustar, PAX and GNU, with bounds.
//!
//! A reader of our own because this is where hostile bytes arrive: extension headers are read no further than their
//! bound, a size given twice is taken as Go's reader takes it (which is what wrote and reads nearly every image),
//! and what would be guessed at is an error. It knows nothing of files; see `apply`.

use std::io::{self, Read, Seek};

const BLOCK: usize = 512;

/// Bytes of one extension header: Go's reader has the same bound, so no image in use exceeds it.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Why bytes are no tar, or none that is read here.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The bytes could not be read, or end early.
    #[error("reading the archive at byte {offset}")]
    Read {
        /// How far it was read.
        offset: u64,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A header does not match its checksum.
    #[error("no tar header at byte {offset}")]
    Checksum {
        /// Where the header should be.
        offset: u64,
    },
    /// A field of a header holds no number, or one that makes no sense.
    #[error("the header at byte {offset} has a bad {field}")]
    Field {
        /// Where the header is.
        offset: u64,
        /// Which field.
        field: &'static str,
    },
    /// An extension header is too long.
    #[error("an extension header of {found} bytes at byte {offset}, at most {EXTENSION_BYTES_MAX}")]
    Extension {
        /// Where the header is.
        offset: u64,
        /// Its length.
        found: u64,
    },
    /// It has too many members to be a collection of images.
    #[error("more than {allowed} members")]
    Many {
        /// How many there may be.
        allowed: usize,
    },
    /// Something that no builder of images writes.
    #[error("the entry at byte {offset} is of kind {kind:?}, which is not supported")]
    Kind {
        /// Where the header is.
        offset: u64,
        /// The type flag.
        kind: char,
    },
    /// A sparse file.
    #[error("the entry at byte {offset} is a sparse file, which is not supported")]
    Sparse {
        /// Where the header is.
        offset: u64,
    },
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Device,
    Fifo,
}

/// One entry, as its headers say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// The target of a link.
    pub(crate) link: Vec<u8>,
    /// Bytes of content that follow. Nothing but a file has any.
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds and nanoseconds; what lies before 1970 is taken as 1970.
    pub(crate) mtime: (u64, u32),
}

/// The entries of an archive, in order. It reads as the content of the current entry.
pub(crate) struct Entries<R> {
    source: R,
    offset: u64,
    /// Content of the current entry that was not read yet.
    content: u64,
    /// What follows the content up to the next header.
    padding: u64,
    ended: bool,
}

/// What extension headers said of the entry to come.
#[derive(Default)]
struct Extensions {
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(u64, u32)>,
}

impl<R: Read> Entries<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, offset: 0, content: 0, padding: 0, ended: false }
    }

    /// The next entry, or `None` at the archive's end. What was not read of the one before is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let at = self.offset - BLOCK as u64;
            let size = number_field(&header, 124..136, at, "size")?;
            match header[156] {
                b'L' => extensions.long_path = Some(until_zero(&self.extension(size, at)?)),
                b'K' => extensions.long_link = Some(until_zero(&self.extension(size, at)?)),
                b'x' => extensions.records(&self.extension(size, at)?, at)?,
                // What holds for all that follows: comments of version control, in practice.
                b'g' => drop(self.extension(size, at)?),
                flag => return self.entry(&header, flag, size, extensions, at).map(Some),
            }
        }
    }

    /// The bytes behind the archive's end, if it has ended.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    fn entry(
        &mut self,
        header: &[u8; BLOCK],
        flag: u8,
        size: u64,
        extensions: Extensions,
        at: u64,
    ) -> Result<Entry, TarError> {
        let path = extensions.long_path.or(extensions.path).unwrap_or_else(|| short_path(header));
        let kind = match flag {
            // Before there was a flag for directories, a slash at the end told.
            0 if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => return Err(TarError::Sparse { offset: at }),
            other => return Err(TarError::Kind { offset: at, kind: char::from(other) }),
        };
        let size = if kind == Kind::File { extensions.size.unwrap_or(size) } else { 0 };
        self.follow(size, at)?;
        let mode = number_field(header, 100..108, at, "mode")?;
        let mtime = signed_field(header, 136..148, at, "mtime")?.max(0);
        Ok(Entry {
            path,
            kind,
            link: extensions.long_link.or(extensions.link).unwrap_or_else(|| until_zero(&header[157..257])),
            size,
            mode: u32::try_from(mode & 0o7777).expect("twelve bits fit"),
            uid: or_field(extensions.uid, header, 108..116, at, "uid")?,
            gid: or_field(extensions.gid, header, 116..124, at, "gid")?,
            mtime: extensions.mtime.unwrap_or((u64::try_from(mtime).unwrap_or(u64::MAX), 0)),
        })
    }

    /// Says that `size` bytes of content follow.
    fn follow(&mut self, size: u64, at: u64) -> Result<(), TarError> {
        // Far above any bound on content, and far below where sums overflow.
        const SIZE_MAX: u64 = 1 << 62;
        if size > SIZE_MAX {
            return Err(TarError::Field { offset: at, field: "size" });
        }
        self.content = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    /// A whole extension header.
    fn extension(&mut self, size: u64, at: u64) -> Result<Vec<u8>, TarError> {
        if size > EXTENSION_BYTES_MAX {
            return Err(TarError::Extension { offset: at, found: size });
        }
        self.follow(size, at)?;
        let mut content = Vec::new();
        let offset = self.offset;
        self.read_to_end(&mut content).map_err(|source| TarError::Read { offset, source })?;
        Ok(content)
    }

    /// Reads past the rest of the current entry.
    fn skip(&mut self) -> Result<(), TarError> {
        let offset = self.offset;
        let failed = |source| TarError::Read { offset, source };
        io::copy(self, &mut io::sink()).map_err(failed)?;
        let padding = std::mem::take(&mut self.padding);
        let skipped = io::copy(&mut self.source.by_ref().take(padding), &mut io::sink()).map_err(failed)?;
        self.offset += skipped;
        if skipped < padding {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// The next header. Two zero blocks end an archive, as does the end of its bytes where a header would begin.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        if self.ended {
            return Ok(None);
        }
        let mut zero_blocks = 0;
        while zero_blocks < 2 {
            let Some(block) = self.block()? else { break };
            if block != [0; BLOCK] {
                let offset = self.offset - BLOCK as u64;
                let sum = block.iter().enumerate();
                let sum: u64 =
                    sum.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
                let stated = number_field(&block, 148..156, offset, "checksum")?;
                if zero_blocks > 0 || stated != sum {
                    return Err(TarError::Checksum { offset });
                }
                return Ok(Some(block));
            }
            zero_blocks += 1;
        }
        self.ended = true;
        Ok(None)
    }

    /// The next block, or `None` where the bytes end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let read = self.source.read(&mut block[filled..]);
            match read {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => {
                    let source = io::ErrorKind::UnexpectedEof.into();
                    return Err(TarError::Read { offset: self.offset, source });
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { offset: self.offset, source }),
            }
        }
        self.offset += BLOCK as u64;
        Ok(Some(block))
    }
}

impl<R: Read + Seek> Entries<R> {
    /// Goes past the content of the current entry without reading it, and says where it begins.
    pub(crate) fn pass_over(&mut self) -> Result<u64, TarError> {
        let begin = self.offset;
        let failed = |source| TarError::Read { offset: begin, source };
        let past = std::mem::take(&mut self.content);
        let seek = i64::try_from(past).expect("sizes are bounded far below");
        self.source.seek_relative(seek).map_err(failed)?;
        self.offset += past;
        Ok(begin)
    }
}

impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.by_ref().take(self.content).read(buffer)?;
        if read == 0 && self.content > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.content -= read as u64;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Extensions {
    /// Takes in the records of one PAX header: `length key=value\n`, the length counting itself.
    fn records(&mut self, mut rest: &[u8], at: u64) -> Result<(), TarError> {
        let bad = |field| TarError::Field { offset: at, field };
        while !rest.is_empty() {
            let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(|| bad("record"))?;
            let length = decimal(&rest[..space]).and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|length| *length > space + 1 && *length <= rest.len());
            let (record, following) = rest.split_at(length.ok_or_else(|| bad("record"))?);
            let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(|| bad("record"))?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(|| bad("record"))?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_owned()),
                b"linkpath" => self.link = Some(value.to_owned()),
                b"size" => self.size = Some(decimal(value).ok_or_else(|| bad("size"))?),
                b"uid" => self.uid = Some(decimal(value).ok_or_else(|| bad("uid"))?),
                b"gid" => self.gid = Some(decimal(value).ok_or_else(|| bad("gid"))?),
                b"mtime" => self.mtime = Some(decimal_time(value).ok_or_else(|| bad("mtime"))?),
                key if key.starts_with(b"GNU.sparse.") => return Err(TarError::Sparse { offset: at }),
                // Other times, names of owners, extended attributes: not kept.
                _ => {}
            }
            rest = following;
        }
        Ok(())
    }
}

fn until_zero(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().take_while(|byte| *byte != 0).collect()
}

/// The name in a header. Only POSIX's own magic says that a prefix goes before it; GNU keeps times there.
fn short_path(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_zero(&header[..100]);
    let prefix = until_zero(&header[345..500]);
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() {
        [&prefix[..], b"/", &name].concat()
    } else {
        name
    }
}

fn or_field(
    known: Option<u64>,
    header: &[u8; BLOCK],
    range: std::ops::Range<usize>,
    at: u64,
    field: &'static str,
) -> Result<u64, TarError> {
    known.map_or_else(|| number_field(header, range, at, field), Ok)
}

fn number_field(
    header: &[u8; BLOCK],
    range: std::ops::Range<usize>,
    at: u64,
    field: &'static str,
) -> Result<u64, TarError> {
    let number = signed_field(header, range, at, field)?;
    u64::try_from(number).ok().ok_or(TarError::Field { offset: at, field })
}

/// A number: octal digits between spaces and zeros (none mean 0), or big-endian two's complement whose first byte
/// has its highest bit set as a mark.
fn signed_field(
    header: &[u8; BLOCK],
    range: std::ops::Range<usize>,
    at: u64,
    field: &'static str,
) -> Result<i128, TarError> {
    let bytes = &header[range];
    if bytes[0] & 0x80 != 0 {
        // The mark is above the number's sign, which is the bit below it.
        let first = i128::from(bytes[0] & 0x7f) - if bytes[0] & 0x40 == 0 { 0 } else { 0x80 };
        return Ok(bytes[1..].iter().fold(first, |number, byte| number << 8 | i128::from(*byte)));
    }
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == b' ').collect();
    let end = digits.iter().position(|byte| matches!(byte, b' ' | 0)).unwrap_or(digits.len());
    let octal = |number: i128, byte: &u8| match byte {
        b'0'..=b'7' => Some(number << 3 | i128::from(byte - b'0')),
        _ => None,
    };
    digits[..end].iter().try_fold(0, octal).ok_or(TarError::Field { offset: at, field })
}

fn decimal(bytes: &[u8]) -> Option<u64> {
    // `parse` takes a plus sign; a length with one has a second spelling.
    let digits = bytes.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(bytes).ok().filter(|_| digits)?.parse().ok()
}

/// Seconds with an optional fraction, of which nine digits count.
fn decimal_time(bytes: &[u8]) -> Option<(u64, u32)> {
    if let Some(early) = bytes.strip_prefix(b"-") {
        return decimal_time(early).map(|_| (0, 0));
    }
    let mut parts = bytes.splitn(2, |byte| *byte == b'.');
    let seconds = decimal(parts.next()?)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some((seconds, digits.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'))))
}
