//! `rollcage eval`.

use crate::failure::Failure;

/// Evaluate solutions or a policy on a data set
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args) -> Result<u8, Failure> {
    Err(Failure::infrastructure(anyhow::anyhow!("`rollcage eval` is not built yet")))
}
