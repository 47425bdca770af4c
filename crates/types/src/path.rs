//! A path that stays below the directory it is joined to.

use std::fmt;
use std::sync::Arc;

/// A relative path without `..`, `.`, empty components, NUL bytes or a leading slash.
///
/// Names written into or read out of a workspace pass through this type, so that no caller has to ask again
/// whether a name escapes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(Arc<str>);

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a plain relative path: {reason}")]
pub struct RelativePathError {
    /// The name as given.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Longer names are refused; the kernel's own limit for a whole path is 4096.
const PATH_BYTES_MAX: usize = 1024;

impl RelativePath {
    /// Checks and wraps `path`.
    pub fn new(path: &str) -> Result<Self, RelativePathError> {
        let refuse = |reason| Err(RelativePathError { path: path.to_owned(), reason });
        if path.is_empty() {
            return refuse("it is empty");
        }
        if path.len() > PATH_BYTES_MAX {
            return refuse("it is longer than 1024 bytes");
        }
        if path.starts_with('/') {
            return refuse("it starts with `/`");
        }
        if path.contains('\0') {
            return refuse("it contains a NUL byte");
        }
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return refuse("it has an empty, `.` or `..` component");
        }
        Ok(Self(path.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directories above the last component, outermost first: `a/b/c` gives `a`, `a/b`.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_pass_and_know_their_parents() {
        let path = RelativePath::new("a/b/c.txt").unwrap();
        assert_eq!(path.parents().collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(RelativePath::new("x").unwrap().parents().count(), 0);
    }

    #[test]
    fn escapes_are_refused() {
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a\0b", "a/"] {
            assert!(RelativePath::new(bad).is_err(), "{bad:?}");
        }
    }
}
