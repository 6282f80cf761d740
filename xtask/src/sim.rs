//! `cargo xtask sim`: the whole service under simulated time, network and disk, seed by seed.

use anyhow::{Context, Result, ensure};

use crate::process;
use crate::report::Tally;

/// Seeds of the short form, which every CI run takes.
const SEEDS: &str = "0..200";

#[derive(clap::Args)]
pub struct Options {
    /// Replays one seed
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Runs the seeds A, A+1, … B-1; without it and without --seed: 0..200
    #[arg(long, value_name = "A..B")]
    seeds: Option<String>,
    /// Writes what clients did and saw to this file
    #[arg(long, requires = "seed")]
    trace: Option<String>,
    /// What the broker logs on the way, such as `debug` or `levada_wal=trace`
    #[arg(long, requires = "seed")]
    log: Option<String>,
    /// Runs at a time; by default one for each core
    #[arg(long)]
    threads: Option<usize>,
}

impl Options {
    /// The short form.
    pub fn short() -> Self {
        Self {
            seed: None,
            seeds: None,
            trace: None,
            log: None,
            threads: None,
        }
    }
}

/// Builds the simulation and runs it; the result of many seeds goes to `target/sim/result.json`.
pub fn run(options: &Options) -> Result<Tally> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--quiet", "--package", "levada-sim"]);
    let built = process::run(cargo.args(["--profile", "sim"]))?;
    ensure!(built, "the simulation does not compile");
    let target = process::repository().join("target/sim");
    let mut sim = process::command(target.join("levada-sim"));
    match options.seed {
        Some(seed) => {
            sim.args(["--seed", &seed.to_string()]);
        }
        None => {
            let result = target.join("result.json");
            sim.args(["--seeds", options.seeds.as_deref().unwrap_or(SEEDS)]);
            sim.arg("--result").arg(result);
        }
    }
    let optional = [
        ("--trace", options.trace.clone()),
        ("--log", options.log.clone()),
        ("--threads", options.threads.map(|count| count.to_string())),
    ];
    for (flag, value) in optional {
        if let Some(value) = value {
            sim.args([flag, &value]);
        }
    }
    let ok = process::run(&mut sim).context("start the simulation")?;
    Ok(Tally::of(ok))
}
