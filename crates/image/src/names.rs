//! Names in layers: paths made plain, and which of them are whiteouts.
//!
//! A path that comes out of here is relative and has neither `..` nor `.`, which is not what keeps it inside the
//! root directory (see `tree`) but lets its parent be told from its last name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// What the kernel takes as a path, without the NUL.
pub(crate) const PATH_BYTES_MAX: usize = 4095;
/// What every Linux file system takes as one name.
const NAME_BYTES_MAX: usize = 255;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What a file system of earlier days kept for itself in its layers.
const FOREIGN: &[u8] = b".wh..wh.";

/// Why a name in a layer is refused.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// It has `..` in it.
    #[error("a path with .. in it")]
    Parent,
    /// It has a NUL in it.
    #[error("a name with a zero byte in it")]
    Zero,
    /// It is too long.
    #[error(
        "a path of {found} bytes or a name too long in it; at most {PATH_BYTES_MAX} and {NAME_BYTES_MAX}"
    )]
    Long {
        /// The length of the whole path.
        found: usize,
    },
    /// A whiteout of nothing, or of a directory's own entries.
    #[error("a whiteout that names nothing")]
    Whiteout,
    /// It names the root directory, where something else than a directory was meant.
    #[error("the root directory itself")]
    Root,
}

/// What a name says beside being a name.
#[derive(Debug, PartialEq)]
pub(crate) enum Marker {
    /// None: it is an entry of the tree.
    Plain,
    /// Hides this name of the layers below.
    Hides(OsString),
    /// Hides everything of the layers below in its directory.
    Opaque,
    /// Means nothing here.
    Foreign,
}

/// A path of a layer, relative to the root directory; empty for the root directory itself.
pub(crate) fn plain(path: &[u8]) -> Result<PathBuf, NameError> {
    if path.contains(&0) {
        return Err(NameError::Zero);
    }
    let mut plain = PathBuf::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => return Err(NameError::Parent),
            name if name.len() > NAME_BYTES_MAX => return Err(NameError::Long { found: path.len() }),
            name => plain.push(OsStr::from_bytes(name)),
        }
    }
    if plain.as_os_str().len() > PATH_BYTES_MAX {
        return Err(NameError::Long { found: path.len() });
    }
    Ok(plain)
}

/// What the last name of a plain path marks.
pub(crate) fn marker(path: &std::path::Path) -> Result<Marker, NameError> {
    let is_marked = |name: &OsStr| name.as_bytes().starts_with(WHITEOUT);
    let mut names = path.iter();
    let last = names.next_back().unwrap_or_default();
    if names.any(is_marked) {
        return Ok(Marker::Foreign);
    }
    let bytes = last.as_bytes();
    if bytes == OPAQUE {
        return Ok(Marker::Opaque);
    }
    if bytes.starts_with(FOREIGN) {
        return Ok(Marker::Foreign);
    }
    match bytes.strip_prefix(WHITEOUT) {
        None => Ok(Marker::Plain),
        Some(b"" | b"." | b"..") => Err(NameError::Whiteout),
        Some(hidden) => Ok(Marker::Hides(OsStr::from_bytes(hidden).to_owned())),
    }
}

/// Bytes of an image as an error shows them: without control characters, and not too many.
pub(crate) fn shown(bytes: &[u8]) -> String {
    /// Longer ones are not told apart by eye.
    const SHOWN_CHARACTERS_MAX: usize = 200;
    String::from_utf8_lossy(bytes).chars().take(SHOWN_CHARACTERS_MAX).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn paths_become_plain() {
        let cases: [(&[u8], &str); 6] = [
            (b"a/b", "a/b"),
            (b"./a//b/./", "a/b"),
            (b"/etc/passwd", "etc/passwd"),
            (b"./", ""),
            (b"", ""),
            (b"..a/b..", "..a/b.."),
        ];
        for (path, expected) in cases {
            assert_eq!(plain(path).unwrap(), Path::new(expected));
        }
        let long = [b'a'; 256];
        let deep = b"a/".repeat(2049);
        for path in [&b"../a"[..], b"a/../b", b"a/..", b"/..", b"a\0b", &long, &deep] {
            assert!(plain(path).is_err(), "{}", shown(path));
        }
    }

    #[test]
    fn markers_are_told_from_names() {
        let cases = [
            ("a/.wh", Marker::Plain),
            ("a/x.wh.b", Marker::Plain),
            ("a/.wh.b", Marker::Hides("b".into())),
            ("a/.wh..b", Marker::Hides(".b".into())),
            ("a/.wh..wh..opq", Marker::Opaque),
            (".wh..wh..opq", Marker::Opaque),
            ("a/.wh..wh..opqx", Marker::Foreign),
            (".wh..wh.plnk/1.2", Marker::Foreign),
            (".wh.a/b", Marker::Foreign),
        ];
        for (path, expected) in cases {
            assert_eq!(marker(Path::new(path)).unwrap(), expected, "{path}");
        }
        for path in [".wh.", "a/.wh..", "a/.wh..."] {
            assert!(marker(Path::new(path)).is_err(), "{path}");
        }
    }
}
