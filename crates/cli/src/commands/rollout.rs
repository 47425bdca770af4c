//! `rollcage rollout`.

use crate::failure::Failure;

/// Roll out a policy in environments
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args) -> Result<u8, Failure> {
    Err(Failure::infrastructure(anyhow::anyhow!("`rollcage rollout` is not built yet")))
}
