//! The files a cage may write: made and filled outside it, and read back without entering it.

mod directory;
mod kind;
mod mounted;
mod place;

pub(crate) use directory::{DirectoryWorkspace, is_private_to, remove_directory};
pub(crate) use kind::Workspace;
pub(crate) use mounted::{MountedWorkspace, Sharing, size};
