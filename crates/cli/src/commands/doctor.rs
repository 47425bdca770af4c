//! `rollcage doctor`.

use crate::failure::Failure;

/// Show what this host enforces and which languages it can run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args) -> Result<u8, Failure> {
    Err(Failure::infrastructure(anyhow::anyhow!("`rollcage doctor` is not built yet")))
}
