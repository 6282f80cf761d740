//! `levada-hostile`: attacks a broker and checks that others do not feel it.
#![allow(clippy::disallowed_methods)] // a test tool

use std::path::PathBuf;

use anyhow::{Result, ensure};
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
    #[arg(long)]
    folder: PathBuf,
    /// What the broker's settings allow for requests (`memory.request_bytes`)
    #[arg(long, default_value_t = 48 << 20)]
    request_bytes: u64,
    /// ... and for answers (`memory.response_bytes`)
    #[arg(long, default_value_t = 48 << 20)]
    response_bytes: u64,
    /// Starts the broker; `{address}` and `{data}` are filled in
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let names = hostile::names();
    for name in &arguments.attack {
        let known = names.contains(&name.as_str());
        ensure!(known, "no attack {name}; there are {}", names.join(", "));
    }
    let result = arguments.folder.join("result.json");
    let reports = hostile::run(&Plan {
        command: arguments.command,
        folder: arguments.folder,
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
