//! Platforms, and which image of several is meant.

use std::env::consts;
use std::fmt;

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// In Go's words: `linux`.
    pub os: String,
    /// In Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// A kind of the architecture, such as `v8`.
    pub variant: Option<String>,
}

/// Why a text is no platform.
#[derive(Debug, thiserror::Error)]
#[error("{found:?} is not a platform such as linux/amd64")]
pub struct PlatformError {
    /// The text.
    pub found: String,
}

/// Which image of a collection is meant. The default is whatever runs here.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The platform. Without a variant, images without one come first, then any.
    pub platform: Platform,
    /// One of the image's names, as an archive lists them (`python:3.13`, `latest`); without, there must be one image.
    pub name: Option<String>,
}

impl Platform {
    /// Reads `os/architecture` or `os/architecture/variant`.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<_> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => ("", "", None),
        };
        if os.is_empty() || architecture.is_empty() || variant == Some("") {
            return Err(PlatformError { found: text.to_owned() });
        }
        let variant = variant.map(str::to_owned);
        Ok(Self { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }

    /// Whether an image for `self` is what someone asking for `wanted` meant.
    pub(crate) fn serves(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.variant == wanted.variant)
    }
}

impl Default for Platform {
    /// Linux on the architecture this was compiled for.
    fn default() -> Self {
        let architecture = match consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os.escape_debug(), self.architecture.escape_debug())?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{}", variant.escape_debug()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_and_shown() {
        for text in ["linux/amd64", "linux/arm64/v8"] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "linux", "linux/", "/amd64", "linux/arm/", "a/b/c/d"] {
            assert!(Platform::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variant_matters_only_to_who_asks_for_one() {
        let cases = [
            ("linux/arm64", "linux/arm64", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64", "linux/arm64/v8", false),
            ("linux/arm64/v8", "linux/arm64/v8", true),
            ("linux/amd64", "linux/arm64", false),
            ("windows/amd64", "linux/amd64", false),
        ];
        for (has, wanted, expected) in cases {
            let serves = Platform::parse(has).unwrap().serves(&Platform::parse(wanted).unwrap());
            assert_eq!(serves, expected, "{has} for {wanted}");
        }
    }
}
