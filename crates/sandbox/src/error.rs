//! What we can fail at. None of these says anything about the program.

use std::io;
use std::path::PathBuf;

use rollcage_guest::Stage;
use rollcage_types::{IsolationLevel, Mechanism, RelativePath};

/// Why a host could not be made ready to run cages.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Full isolation needs root.
    #[error("isolation level `full` needs root, and this process runs as uid {uid}")]
    NotRoot {
        /// The effective uid.
        uid: u32,
    },
    /// Fewer slots than one or more than the uid block holds.
    #[error("{slots} slots were asked for; a host has 1 to {max}")]
    Slots {
        /// As asked.
        slots: usize,
        /// The most.
        max: usize,
    },
    /// A file or directory of ours could not be used.
    #[error("cannot {action} `{path}`")]
    Path {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something of the kernel's could not be had.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Every block of uids is held by another living host.
    #[error("all {blocks} uid blocks below `{locks}` are in use by other processes")]
    NoFreeBlock {
        /// How many there are.
        blocks: u32,
        /// Where their locks lie.
        locks: PathBuf,
    },
    /// There is no cgroup that limits memory, processes and counts CPU time.
    #[error("this host has no cgroups to run programs in: {reason}")]
    NoCgroups {
        /// What is missing.
        reason: String,
    },
    /// The level cannot show programs another root.
    #[error("level process has no mounts, and cannot show programs `{directory}` as their root")]
    NoRootTree {
        /// As asked.
        directory: PathBuf,
    },
    /// Something that the caller requires is not in force.
    #[error("`{mechanism}` is required, and at level {level} it is {why}")]
    Lacking {
        /// What.
        mechanism: Mechanism,
        /// As asked.
        level: IsolationLevel,
        /// How far it is in force.
        why: String,
    },
    /// The launcher could not set itself up.
    #[error("the launcher could not start: {message}")]
    Launcher {
        /// Its own words.
        message: String,
    },
}

/// Why a run has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The program is not there, or cannot be executed.
    #[error("cannot execute `{program}` in the cage")]
    Exec {
        /// The first element of `argv`.
        program: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The request does not fit what a cage can be told.
    #[error("the request cannot be passed to a cage")]
    Request(#[source] rollcage_guest::protocol::RequestTooLarge),
    /// The request names no program.
    #[error("the request has an empty argument list")]
    NoProgram,
    /// A file of the request could not be placed in the workspace.
    #[error("cannot place `{path}` in the workspace")]
    Place {
        /// Which.
        path: RelativePath,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The level has no network to give.
    #[error("a network ({level}) needs a namespace, and level process has none")]
    NoNetwork {
        /// What was asked for.
        level: &'static str,
    },
    /// The files of the request do not fit the disk limit.
    #[error("the files of the request do not fit the disk limit ({path} is where it was reached)")]
    FilesTooLarge {
        /// The file that did not fit.
        path: RelativePath,
    },
    /// A step of building the cage failed.
    #[error("cannot {}", stage.as_str())]
    Cage {
        /// Which step.
        stage: Stage,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something of the kernel's could not be had.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The cage did not come up in time.
    #[error("the cage was not ready within {seconds} s")]
    NotReady {
        /// How long was waited.
        seconds: u64,
    },
    /// The cage's end could not be seen.
    #[error("the cage was still alive {seconds} s after it was killed")]
    Unkillable {
        /// How long was waited.
        seconds: u64,
    },
    /// The cage ended without saying how the program did.
    #[error("the cage's first process ended unexpectedly")]
    StubLost,
    /// The agent of a session did not come up.
    #[error("the session's agent could not be started: {message}")]
    Agent {
        /// What is known of it.
        message: String,
    },
    /// The program was refused something, or killed, by a bound that is not its own: the machine's, or that of a group
    /// above the cage's.
    #[error("the host ran out of {resource} while the program ran")]
    HostExhausted {
        /// What there was too little of.
        resource: &'static str,
    },
    /// The launcher is gone; the host must be started anew.
    #[error("the launcher process is gone")]
    LauncherGone,
}

impl SandboxError {
    /// Whether the same request may succeed if it is made again.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Request(_) | Self::NoProgram | Self::NoNetwork { .. } | Self::FilesTooLarge { .. } => false,
            // The file or its name is to blame, unless it was we who ran out of something.
            Self::Place { source, .. } | Self::Exec { source, .. } => {
                let scarce = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN, libc::EINTR];
                source.raw_os_error().is_some_and(|errno| scarce.contains(&errno))
            }
            Self::Cage { .. }
            | Self::System { .. }
            | Self::NotReady { .. }
            | Self::Unkillable { .. }
            | Self::StubLost
            | Self::Agent { .. }
            | Self::HostExhausted { .. }
            | Self::LauncherGone => true,
        }
    }
}
