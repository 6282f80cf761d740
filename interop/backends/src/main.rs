//! `levada-backends`: the ports' conformance suites on real servers, which it starts on loopback,
//! kills in the middle, and ends. `cargo xtask backends` installs them and runs this.
#![allow(clippy::disallowed_methods)] // A tool: real clocks, files and processes are its subject.

mod object;
mod runner;
mod servers;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use runner::Runner;

#[derive(Parser)]
#[command(about = "The ports' conformance suites on real servers")]
struct Arguments {
    /// SeaweedFS's program, `weed`
    #[arg(long, value_name = "PATH")]
    weed: PathBuf,
    /// Run only the checks whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut runner = Runner::new(arguments.only);
    object::checks(&mut runner, &arguments.weed)?;
    std::process::exit(i32::from(!runner.finish()));
}
