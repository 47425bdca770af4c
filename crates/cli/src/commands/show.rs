//! `rollcage show`.

use crate::failure::Failure;

/// Show stored runs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args) -> Result<u8, Failure> {
    Err(Failure::infrastructure(anyhow::anyhow!("`rollcage show` is not built yet")))
}
