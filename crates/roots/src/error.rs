//! Why a root was not made.

use std::io;
use std::path::{Path, PathBuf};

/// Why a root was not made. What was unpacked is gone; what was fetched is kept for the next attempt.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Debian has no packages for this machine that we know of.
    #[error("there are no packages for machines of the kind `{}`", std::env::consts::ARCH)]
    Machine,
    /// The host's package sources name no Debian mirror.
    #[error("this host's package sources name no Debian mirror")]
    NoMirror,
    /// What was given as a mirror is not one.
    #[error("`{mirror}` is not the address of a mirror")]
    BadMirror {
        /// What was given.
        mirror: String,
    },
    /// A program or a file of the host that is needed is not there.
    #[error("this host has no `{what}`")]
    HostLacks {
        /// The program, or the file.
        what: String,
        /// The package that has it.
        package: &'static str,
    },
    /// The index of the suite could not be had.
    #[error("cannot fetch the package index of `{suite}` from {mirror}: {why}")]
    Index {
        /// The suite.
        suite: String,
        /// The mirror.
        mirror: String,
        /// What apt said.
        why: String,
    },
    /// The suite does not have the packages, or not all that they need.
    #[error("cannot resolve the packages of `{suite}`: {why}")]
    Resolve {
        /// The suite.
        suite: String,
        /// What apt said.
        why: String,
    },
    /// Packages could not be had.
    #[error("cannot fetch packages from {mirror}: {why}")]
    Fetch {
        /// The mirror.
        mirror: String,
        /// What apt said.
        why: String,
    },
    /// A package could not be unpacked.
    #[error("cannot unpack `{archive}`: {why}")]
    Unpack {
        /// The package's archive.
        archive: String,
        /// What was said.
        why: String,
    },
    /// A fixup does not fit what was unpacked.
    #[error("cannot fix `{path}` of the new root: {why}")]
    Fixup {
        /// The file, from the root.
        path: String,
        /// Why not.
        why: String,
    },
    /// Others may change what is in the directory of roots.
    #[error("`{}` belongs to somebody else, or others may write to it", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
    /// The caller wants no more.
    #[error("cancelled")]
    Cancelled,
    /// A program of the host could not be run.
    #[error("cannot run `{program}`")]
    Run {
        /// The program.
        program: &'static str,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A file of ours could not be used.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

impl BuildError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoMirror | Self::BadMirror { .. } => {
                Some("name one with --mirror, as in `--mirror http://HOST/debian`".to_owned())
            }
            Self::HostLacks { package, .. } => Some(format!(
                "the package `{package}` of Debian and of systems made from it has it"
            )),
            Self::Index { .. } => Some(
                "see whether this host reaches the mirror and whether it still has the suite; --mirror names another, \
                 and old suites move to the distribution's archive"
                    .to_owned(),
            ),
            Self::Fetch { .. } => {
                Some("try again: what was fetched is kept, and --mirror names another mirror".to_owned())
            }
            Self::NotPrivate { .. } => {
                Some("make it your own, or name another directory with ROLLCAGE_ROOTS".to_owned())
            }
            Self::Machine
            | Self::Resolve { .. }
            | Self::Unpack { .. }
            | Self::Fixup { .. }
            | Self::Cancelled
            | Self::Run { .. }
            | Self::File { .. } => None,
        }
    }
}

/// Names the file that a failure is about.
pub(crate) fn file(action: &'static str, path: &Path) -> impl Fn(io::Error) -> BuildError {
    move |source| BuildError::File { action, path: path.to_owned(), source }
}
