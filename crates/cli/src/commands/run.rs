//! `rollcage run`.

use crate::failure::Failure;

/// Run one program in a cage
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Runs the command.
pub(crate) fn run(_args: &Args) -> Result<u8, Failure> {
    Err(Failure::infrastructure(anyhow::anyhow!("`rollcage run` is not built yet")))
}
