//! `levada-backends`: the ports' conformance suites on real servers, which it starts on loopback,
//! kills in the middle, and ends. `cargo xtask backends` installs them and runs this.
#![allow(clippy::disallowed_methods)] // A tool: real clocks, files and processes are its subject.

mod figures;
mod object;
mod postgres;
mod proxy;
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
    /// The folder of PostgreSQL's programs
    #[arg(long, value_name = "FOLDER")]
    postgres: PathBuf,
    /// Run only the checks whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Measure latencies instead
    #[arg(long)]
    figures: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let weed = arguments.weed.canonicalize()?;
    let programs = arguments.postgres.canonicalize()?;
    if arguments.figures {
        let runtime = tokio::runtime::Runtime::new()?;
        return runtime.block_on(figures::print(&weed, &programs));
    }
    let mut runner = Runner::new(arguments.only);
    postgres::checks(&mut runner, &programs)?;
    object::checks(&mut runner, &weed)?;
    std::process::exit(i32::from(!runner.finish()));
}
