//! `levada demo`: this file is a place holder until the command lands in it.

use crate::context::Context;
use crate::error::{CliError, CliResult};

#[derive(clap::Args)]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// See `CliError`.
pub async fn run(_args: Args, _context: Context) -> CliResult {
    Err(CliError::Failed(
        "`levada demo` is not built yet".to_owned(),
    ))
}
