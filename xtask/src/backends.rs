//! `cargo xtask backends`: the ports' conformance suites on a real S3 server and a real PostgreSQL.

use std::path::PathBuf;

use anyhow::Result;

use crate::report::Tally;
use crate::{process, proofs, toolchain};

#[derive(clap::Args, Default)]
pub struct Options {
    /// Run only the checks whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Print latencies of both servers on this machine instead
    #[arg(long)]
    pub figures: bool,
}

/// Installs the servers and runs `levada-backends`, which starts and kills them.
///
/// # Errors
/// In CI when a server cannot be had; elsewhere that is told and counted as skipped.
pub fn run(options: &Options) -> Result<Tally> {
    let (weed, postgres) = match servers() {
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
    cargo.args(["run", "--quiet", "--package", "levada-backends"]);
    if options.figures {
        cargo.arg("--release");
    }
    cargo.arg("--").arg("--weed").arg(weed);
    cargo.arg("--postgres").arg(postgres);
    if let Some(only) = &options.only {
        cargo.args(["--only", only]);
    }
    if options.figures {
        cargo.arg("--figures");
        return Ok(Tally::of(process::run(&mut cargo)?));
    }
    proofs::counted(&mut cargo)
}

fn servers() -> Result<(PathBuf, PathBuf)> {
    Ok((toolchain::seaweedfs()?, toolchain::postgres()?))
}
