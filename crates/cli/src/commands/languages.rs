//! `rollcage languages`.

use crate::failure::Failure;

/// List, test and install languages
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args) -> Result<u8, Failure> {
    Err(Failure::infrastructure(anyhow::anyhow!("`rollcage languages` is not built yet")))
}
