//! `levada-kill`: kills a broker under load and checks that it kept its word.
#![allow(clippy::disallowed_methods)] // a test tool

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use levada_proof::kill::{self, Plan};
use levada_proof::load::Shape;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 200)]
    rounds: u32,
    /// Decides when it is killed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where its data and the logs go; must be empty
    #[arg(long)]
    folder: PathBuf,
    /// Keep the data on a filesystem that drops every unsynced byte at each kill
    #[arg(long)]
    power: bool,
    /// The program of a real client, started with `BOOTSTRAP TOPIC`; may be given again
    #[arg(long = "client")]
    clients: Vec<String>,
    /// The run is meant to find violations, and fails if it finds none
    #[arg(long)]
    expect_loss: bool,
    /// Starts the broker; `{address}` and `{data}` are filled in
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let result = arguments.folder.join("result.json");
    let outcome = kill::run(&Plan {
        command: arguments.command,
        folder: arguments.folder,
        rounds: arguments.rounds,
        shape: Shape {
            seed: arguments.seed,
            clients: arguments.clients,
            ..Shape::default()
        },
        power: arguments.power,
        stop_at_violation: arguments.expect_loss,
    })?;
    std::fs::write(result, serde_json::to_string_pretty(&outcome)?)?;
    let violations = outcome.violations.len();
    println!(
        "{} rounds (seed {}), {} records and {} commits acknowledged, {} records given to consumers, \
         {} read back, {violations} violations",
        outcome.rounds,
        arguments.seed,
        outcome.acknowledged,
        outcome.commits,
        outcome.seen,
        outcome.checked
    );
    let failed = if arguments.expect_loss {
        println!("violations were expected: the load must lose data when nothing is synced");
        u32::from(violations == 0)
    } else {
        // Each round is one check; more than one promise can break in one.
        u32::try_from(violations)
            .unwrap_or(u32::MAX)
            .min(outcome.rounds.max(1))
    };
    println!(
        "{} passed, {failed} failed",
        outcome.rounds.saturating_sub(failed)
    );
    std::process::exit(i32::from(failed > 0));
}
