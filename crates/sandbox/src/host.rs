//! The host: everything that is made once and shared by all cages.

use std::path::PathBuf;
use std::sync::Arc;

use rollcage_types::{Enforcement, ExecOutcome, ExecRequest};

use crate::cancel::Cancel;
use crate::error::{HostError, SandboxError};

/// The program that becomes the launcher process.
#[derive(Clone, Debug)]
pub enum LauncherProgram {
    /// This executable, whose `main` calls `launcher_main_if_asked` first.
    CurrentExecutable,
    /// Another executable that does.
    Path(PathBuf),
}

/// How a host is set up.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Cages alive at once; further runs wait.
    pub slots: usize,
    /// Where locks and mount points live; must be on a local file system and owned by root.
    pub state_dir: PathBuf,
    /// What to start as the launcher.
    pub launcher: LauncherProgram,
}

/// A host ready to run cages. Shared by reference between threads.
#[derive(Debug)]
pub struct Host {
    enforcement: Arc<Enforcement>,
}

impl Host {
    /// Starts the launcher and makes everything cages share.
    pub fn start(_config: &HostConfig) -> Result<Self, HostError> {
        Err(HostError::NotRoot { uid: 0 })
    }

    /// Runs one program in a fresh cage and waits for it. Blocks the calling thread, first for a free slot.
    pub fn run(&self, _request: &ExecRequest, _cancel: &Cancel) -> Result<ExecOutcome, SandboxError> {
        Err(SandboxError::LauncherGone)
    }

    /// What confines every run of this host.
    pub fn enforcement(&self) -> &Arc<Enforcement> {
        &self.enforcement
    }
}
