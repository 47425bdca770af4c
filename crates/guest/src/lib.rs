//! What runs inside the cage, and the single-threaded process that makes cages.
//!
//! The supervisor starts the *launcher* once. It enters its own pid, mount, network and IPC namespaces, builds
//! the *template* (the read-only view of the host every cage starts from) and then clones one *stub* per cage:
//! PID 1 of new namespaces, which waits for a request, starts the program, and reports how it ended. They speak
//! the bounded messages of [`protocol`].

mod ahead;
mod base;
mod bench;
pub mod branch;
mod filter;
pub mod fork_server;
mod ground;
mod host_files;
mod inherited;
mod intake;
mod launcher;
pub mod protocol;
mod quotas;
mod rootless;
mod rules;
mod serve;
mod service;
mod small_text;
mod stub;
mod template;
mod tree;
mod wire;

/// Where programs find what was prepared for their compilers, where their host has such a directory.
pub const PREPARED_PATH: &str = "/ws/prepared";

/// Where programs that are executed ahead find the library that stops them, where their host has such programs.
pub const SPARE_LIBRARY_PATH: &str = "/ws/spare.so";

pub use launcher::{LAUNCHER_ARGUMENT, main_if_asked};
pub use quotas::BRANCHES_MAX;
pub use rollcage_sys::child::{ResourceLimit, Stage, WORKSPACE_DESCRIPTOR};
