//! `levada-faults`: one kind of fault at a time against the real process.
#![allow(clippy::disallowed_methods)] // a test tool

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use levada_proof::faults::{self, Kind, Plan};

#[derive(Parser)]
struct Arguments {
    /// Of each kind; the quick ones do more
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this kind; may be given again
    #[arg(long = "kind", value_enum)]
    kinds: Vec<Kind>,
    /// Where data and logs go; must be empty
    #[arg(long)]
    folder: PathBuf,
    /// The program of a real client, started with `BOOTSTRAP TOPIC`; may be given again
    #[arg(long = "client")]
    clients: Vec<String>,
    /// The broker: Levada's binary
    binary: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let result = arguments.folder.join("result.json");
    let kinds = if arguments.kinds.is_empty() {
        faults::ALL.to_vec()
    } else {
        arguments.kinds
    };
    let outcomes = faults::run(&Plan {
        binary: arguments.binary,
        folder: arguments.folder,
        kinds,
        rounds: arguments.rounds,
        seed: arguments.seed,
        clients: arguments.clients,
    })?;
    std::fs::write(&result, serde_json::to_string_pretty(&outcomes)?)?;
    let rounds: u64 = outcomes
        .values()
        .map(|outcome| u64::from(outcome.rounds))
        .sum();
    let violations: usize = outcomes
        .values()
        .map(|outcome| outcome.violations.len())
        .sum();
    let failed = (violations as u64).min(rounds.max(1));
    println!("{} passed, {failed} failed", rounds.saturating_sub(failed));
    std::process::exit(i32::from(failed > 0));
}
