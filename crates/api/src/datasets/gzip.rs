//! Decompression with a bound.

use std::borrow::Cow;
use std::io::Read as _;

/// The largest decompressed file: well above any data set of problems, well below a machine's memory.
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// The two bytes every gzip member starts with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a file could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum GzipError {
    /// It is damaged.
    #[error("the file is not valid gzip")]
    Damaged(#[source] std::io::Error),
    /// It grows without end.
    #[error("the file holds more than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
}

/// `bytes` decompressed if they are gzip, and as they are otherwise.
pub fn gunzip(bytes: &[u8]) -> Result<Cow<'_, [u8]>, GzipError> {
    gunzip_bounded(bytes, BYTES_MAX)
}

fn gunzip_bounded(bytes: &[u8], bytes_max: u64) -> Result<Cow<'_, [u8]>, GzipError> {
    if !bytes.starts_with(&MAGIC) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut plain = Vec::new();
    let mut reader = flate2::bufread::MultiGzDecoder::new(bytes).take(bytes_max.saturating_add(1));
    reader.read_to_end(&mut plain).map_err(GzipError::Damaged)?;
    if plain.len() as u64 > bytes_max {
        return Err(GzipError::TooLarge { bytes_max });
    }
    Ok(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn gzip_is_recognised_and_bounded() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"hello").unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(gunzip(&packed).unwrap().as_ref(), b"hello");
        assert_eq!(gunzip(b"plain").unwrap().as_ref(), b"plain");
        assert!(matches!(gunzip_bounded(&packed, 4), Err(GzipError::TooLarge { bytes_max: 4 })));
        assert!(matches!(gunzip(&packed[..packed.len() - 3]), Err(GzipError::Damaged(_))));
    }
}
