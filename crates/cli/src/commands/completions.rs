//! `levada completions SHELL`: a script that completes commands and flags.

use std::io::Write;

use clap_complete::Shell;

use crate::context::Context;
use crate::error::CliResult;

#[derive(clap::Args)]
pub struct Args {
    /// The shell to write it for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script on stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args, _context: &Context, command: &mut clap::Command) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "levada", &mut script);
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&script)?;
    stdout.flush()?;
    Ok(())
}
