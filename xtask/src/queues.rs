//! `cargo xtask queues`: SQS clients against a running Levada, and kills under their load.

use std::fs;

use anyhow::Result;

use crate::broker::levada_binary;
use crate::report::Tally;
use crate::{interop, process, toolchain};

#[derive(clap::Args)]
pub struct Options {
    /// How often the service is killed
    #[arg(long, default_value_t = 100)]
    pub kills: u32,
    /// Decides when it is killed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Run only this client, and no kills
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,
}

/// Kills in every CI.
const KILLS_SHORT: u32 = 12;

/// Runs the checks of each client, then the kills; writes the clients' table of
/// `docs/compatibility.md` after a full run.
///
/// # Errors
/// When a client is named that does not exist, or the service does not start.
pub fn run(options: &Options) -> Result<Tally> {
    let (outcomes, mut tally) = interop::run_queue_clients(options.client.as_deref())?;
    if options.client.is_some() {
        return Ok(tally);
    }
    if outcomes.iter().all(|outcome| outcome.skipped.is_none()) {
        interop::write_queue_docs(&outcomes)?;
    }
    tally += kill(options.kills, options.seed)?;
    Ok(tally)
}

/// The same in short, without touching the docs.
///
/// # Errors
/// As [`run`].
pub fn run_short() -> Result<Tally> {
    let (_, mut tally) = interop::run_queue_clients(None)?;
    tally += kill(KILLS_SHORT, 1)?;
    Ok(tally)
}

fn kill(rounds: u32, seed: u64) -> Result<Tally> {
    let python = match toolchain::python_with("boto3", "interop/sqs/requirements.txt") {
        Ok(python) => python,
        Err(error) if toolchain::is_ci() => return Err(error),
        Err(error) => {
            println!("!! SKIPPED the kills: {error:#}");
            return Ok(Tally {
                skipped: 1,
                ..Tally::default()
            });
        }
    };
    let folder = process::repository().join("target/queues/kill");
    fs::remove_dir_all(&folder).ok();
    let mut kill = process::command(python);
    kill.arg("interop/sqs/kill.py");
    kill.arg(levada_binary()).arg(folder);
    kill.args([rounds.to_string(), seed.to_string()]);
    Ok(Tally::of(process::run(&mut kill)?))
}
