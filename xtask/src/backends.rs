//! `cargo xtask backends`: the ports' conformance suites on a real S3 server and a real PostgreSQL.

use anyhow::Result;

use crate::report::Tally;
use crate::{process, proofs, toolchain};

#[derive(clap::Args, Default)]
pub struct Options {
    /// Run only the checks whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
}

/// Installs the servers and runs `levada-backends`, which starts and kills them.
///
/// # Errors
/// In CI when a server cannot be had; elsewhere that is told and counted as skipped.
pub fn run(options: &Options) -> Result<Tally> {
    let weed = match toolchain::seaweedfs() {
        Ok(found) => found,
        Err(error) if toolchain::is_ci() => return Err(error),
        Err(error) => {
            let line = "!".repeat(72);
            println!("{line}\n!! SKIPPED the backends on real servers: {error:#}\n{line}");
            return Ok(Tally {
                skipped: 1,
                ..Tally::default()
            });
        }
    };
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "levada-backends", "--"]);
    cargo.arg("--weed").arg(weed);
    if let Some(only) = &options.only {
        cargo.args(["--only", only]);
    }
    proofs::counted(&mut cargo)
}
