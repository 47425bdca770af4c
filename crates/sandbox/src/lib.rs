//! From a request to a finished, accounted process tree.
//!
//! A [`Host`] is made once: it leases a block of uids, makes a pool of cgroups and starts the launcher. Each
//! [`Host::run`] leases a slot, writes a workspace, hands the request to the cage waiting in that slot, and
//! supervises it to its end. Synchronous: a caller brings its own threads. The cage itself is built by
//! `rollcage-guest`.
#![forbid(unsafe_code)]

mod accounts;
mod cancel;
mod capture;
mod cgroup;
mod collect;
mod config;
mod enforcement;
mod error;
mod fork_server;
mod furnish;
mod host;
mod launch;
mod lease;
pub mod network;
mod outcome;
mod plan;
mod probe;
mod quarters;
mod reports;
mod seat;
mod session;
mod slot;
mod spare;
mod supervise;
mod workspace;

pub use cancel::Cancel;
pub use config::{Accounting, HostConfig, LauncherProgram, RootTree};
pub use error::{HostError, SandboxError};
pub use fork_server::{ForkPoint, ForkServer, ForkServerError, ForkServerSpec, Mismatch, Stop};
pub use host::Host;
pub use probe::{Finding, HostReport, LevelReport, probe};
pub use rollcage_guest::protocol::Refusal;
pub use rollcage_guest::{PREPARED_PATH, Stage, main_if_asked as launcher_main_if_asked};
pub use rollcage_sys::heap::limit_heaps;
pub use session::{
    AllFiles, BankError, Branches, Interrupts, ListedFile, Message, NotBranched, Origin, SessionBank,
    SessionCage, SessionFileError, Turn, TurnEnd, TurnError, TurnLimits, TurnOutcome, TurnUsage, swap_free,
};
pub use spare::{Spare, SpareError, SpareSpec};
