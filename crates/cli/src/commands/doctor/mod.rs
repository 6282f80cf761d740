//! `levada doctor`: this file is a place holder until the command lands in it.

use crate::context::Context;
use crate::error::{CliError, CliResult};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub broker: crate::context::BrokerArgs,
}

/// Runs the command.
///
/// # Errors
/// See `CliError`.
pub async fn run(_args: Args, _context: Context) -> CliResult {
    Err(CliError::Failed("not built yet".to_owned()))
}
