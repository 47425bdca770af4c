//! The network a run asks for.

use super::allow::AllowList;

/// What a run may reach over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum NetworkAccess {
    /// Nothing: no socket family but AF_UNIX.
    #[default]
    None,
    /// Itself: a network of its own with a loopback interface and nothing else.
    Loopback,
    /// As [`Self::Loopback`], and these hosts through a relay of the supervisor's, by TCP.
    Allow(AllowList),
}

impl NetworkAccess {
    /// How much that is.
    pub const fn level(&self) -> NetworkLevel {
        match self {
            Self::None => NetworkLevel::None,
            Self::Loopback => NetworkLevel::Loopback,
            Self::Allow(_) => NetworkLevel::Allow,
        }
    }
}

/// How much of a network a run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkLevel {
    /// See [`NetworkAccess::None`].
    #[default]
    None,
    /// See [`NetworkAccess::Loopback`].
    Loopback,
    /// See [`NetworkAccess::Allow`].
    Allow,
}

impl NetworkLevel {
    /// The name used in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Loopback => "loopback",
            Self::Allow => "allow",
        }
    }
}
