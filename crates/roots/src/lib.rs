//! Root file systems of languages: from a recipe of a distribution's packages to a directory on disk, and finding it
//! again.
//!
//! Owns the directory they lie in ([`Roots`]) and their making ([`build`]). The host's package manager resolves,
//! fetches and verifies with a state of its own below that directory, so that the host's packages, sources and caches
//! stay as they are; nothing that comes in a package runs. Leaves what a recipe says to `rollcage-language`, and what
//! runs on a root to the sandbox.
#![forbid(unsafe_code)]

mod apt;
mod build;
mod child;
mod error;
mod machine;
mod mirror;
mod roots;
mod tree;

pub use build::{BuildOptions, Built, Progress, build};
pub use error::BuildError;
pub use roots::Roots;
