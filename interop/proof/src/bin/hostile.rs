//! `levada-hostile`: attacks a broker and checks that others do not feel it.
#![allow(clippy::disallowed_methods)] // a test tool

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use levada_proof::hostile::{self, Plan};

#[derive(Parser)]
struct Arguments {
    /// How long each attack lasts
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Only this attack; may be given again
    #[arg(long)]
    attack: Vec<String>,
    /// Where the broker's data, its log and result.json go; must be empty
    #[arg(long, required_unless_present = "against")]
    folder: Option<PathBuf>,
    /// Only attack the broker at this address, until standard input is closed
    #[arg(
        long,
        value_name = "HOST:PORT",
        requires = "attack",
        conflicts_with = "command"
    )]
    against: Option<String>,
    /// What the broker's settings allow for requests (`memory.request_bytes`)
    #[arg(long, default_value_t = 48 << 20)]
    request_bytes: u64,
    /// ... and for answers (`memory.response_bytes`)
    #[arg(long, default_value_t = 48 << 20)]
    response_bytes: u64,
    /// Starts the broker; `{address}`, `{sqs}` and `{data}` are filled in
    #[arg(last = true, required_unless_present = "against")]
    command: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let names = hostile::names();
    for name in &arguments.attack {
        let known = names.contains(&name.as_str());
        ensure!(known, "no attack {name}; there are {}", names.join(", "));
    }
    if let Some(address) = &arguments.against {
        return attack_until_closed(address, &arguments.attack);
    }
    let folder = arguments.folder.context("clap asks for --folder")?;
    let result = folder.join("result.json");
    let reports = hostile::run(&Plan {
        command: arguments.command,
        folder,
        seconds: arguments.seconds,
        only: arguments.attack,
        request_bytes: arguments.request_bytes,
        response_bytes: arguments.response_bytes,
    })?;
    std::fs::write(result, serde_json::to_vec_pretty(&reports)?)?;
    let failed = reports
        .iter()
        .filter(|report| !report.broken.is_empty())
        .count();
    println!("{} passed, {failed} failed", reports.len() - failed);
    std::process::exit(i32::from(failed > 0));
}

/// Prints what the attacks did, one a line.
fn attack_until_closed(address: &str, attacks: &[String]) -> Result<()> {
    let over = AtomicBool::new(false);
    let did = thread::scope(|scope| {
        scope.spawn(|| {
            // An error is an end too.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            over.store(true, Ordering::Relaxed);
        });
        hostile::attack(address, attacks, &over)
    })?;
    did.iter().for_each(|did| println!("{did}"));
    Ok(())
}
