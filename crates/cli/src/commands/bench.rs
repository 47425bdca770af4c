//! `rollcage bench`.

use crate::failure::Failure;

/// Measure what the cage costs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args) -> Result<u8, Failure> {
    Err(Failure::infrastructure(anyhow::anyhow!("`rollcage bench` is not built yet")))
}
