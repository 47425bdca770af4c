//! Bytes and durations as people write them: `512MiB`, `250ms`, `5s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// Exactly `bytes` bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// `n` × 1024 bytes.
    pub const fn kib(n: u64) -> Self {
        Self(n * 1024)
    }

    /// `n` × 1024² bytes.
    pub const fn mib(n: u64) -> Self {
        Self(n * 1024 * 1024)
    }

    /// `n` × 1024³ bytes.
    pub const fn gib(n: u64) -> Self {
        Self(n * 1024 * 1024 * 1024)
    }

    /// The count in bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The count in bytes, for buffers that live in memory; saturates where `usize` is narrower.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Why a quantity could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// No number stands at the front.
    #[error("`{text}` does not start with a number")]
    NoNumber {
        /// What was written.
        text: String,
    },
    /// The unit is not one we know.
    #[error("`{unit}` is not a unit of {quantity}; use one of {known}")]
    UnknownUnit {
        /// What was written after the number.
        unit: String,
        /// `size` or `time`.
        quantity: &'static str,
        /// The accepted spellings.
        known: &'static str,
    },
    /// The value does not fit.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

fn split_number(text: &str) -> Result<(f64, &str), UnitError> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(trimmed.len());
    let number: f64 = trimmed[..end]
        .replace('_', "")
        .parse()
        .map_err(|_error| UnitError::NoNumber { text: text.to_owned() })?;
    Ok((number, trimmed[end..].trim()))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn scaled(text: &str, number: f64, scale: f64) -> Result<u64, UnitError> {
    let value = number * scale;
    // Below 2^63 the conversion is exact to the precision of an f64 and cannot saturate.
    if value >= 2_f64.powi(63) {
        return Err(UnitError::TooLarge { text: text.to_owned() });
    }
    Ok(value.round() as u64)
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split_number(text)?;
        let scale = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kib" => 1024.0,
            "kb" => 1000.0,
            "m" | "mib" => 1024.0 * 1024.0,
            "mb" => 1e6,
            "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
            "gb" => 1e9,
            _ => {
                return Err(UnitError::UnknownUnit {
                    unit: unit.to_owned(),
                    quantity: "size",
                    known: "B, KiB, MiB, GiB, kB, MB, GB",
                });
            }
        };
        scaled(text, number, scale).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scale, unit) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= scale && self.0.is_multiple_of(scale) {
                return write!(f, "{}{unit}", self.0 / scale);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// Reads `250ms`, `5s`, `2m`, `1h`; a bare number is seconds.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split_number(text)?;
    let nanos_per_unit = match unit {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "" | "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        _ => {
            return Err(UnitError::UnknownUnit {
                unit: unit.to_owned(),
                quantity: "time",
                known: "ms, s, m, h",
            });
        }
    };
    scaled(text, number, nanos_per_unit).map(Duration::from_nanos)
}

/// Writes a duration so that [`parse_duration`] reads the same value back, to the millisecond.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes) in
            [("0", 0), ("1KiB", 1024), ("1.5k", 1536), ("512MiB", 512 << 20), ("2 GB", 2_000_000_000)]
        {
            assert_eq!(text.parse::<ByteSize>().unwrap().as_u64(), bytes, "{text}");
        }
        assert_eq!(ByteSize::mib(512).to_string(), "512MiB");
        assert_eq!(ByteSize::bytes(1025).to_string(), "1025B");
    }

    #[test]
    fn durations_read_and_print() {
        for (text, millis) in
            [("250ms", 250), ("5s", 5000), ("2m", 120_000), ("1.5", 1500), ("1h", 3_600_000)]
        {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        assert_eq!(format_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(format_duration(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn mistakes_name_the_unit() {
        assert!(parse_duration("5 parsecs").unwrap_err().to_string().contains("parsecs"));
        assert!("many".parse::<ByteSize>().unwrap_err().to_string().contains("number"));
        assert!("99999999999GiB".parse::<ByteSize>().unwrap_err().to_string().contains("too large"));
    }
}
