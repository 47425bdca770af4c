//! `rollcage judge`.

use crate::failure::Failure;

/// Judge solutions against problems
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args) -> Result<u8, Failure> {
    Err(Failure::infrastructure(anyhow::anyhow!("`rollcage judge` is not built yet")))
}
