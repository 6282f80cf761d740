//! `cargo xtask queues`: SQS clients against a running Levada, and kills under their load.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::broker::{Broker, levada_binary};
use crate::report::Tally;
use crate::{process, proofs, toolchain};

#[derive(clap::Args)]
pub struct Options {
    /// How often the service is killed
    #[arg(long, default_value_t = 100)]
    pub kills: u32,
    /// Decides when it is killed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    /// What runs in every CI.
    pub fn short() -> Self {
        Self { kills: 12, seed: 1 }
    }
}

/// A client: its name, and the file that says which version of it.
const CLIENTS: [(&str, &str); 2] = [
    ("boto3", "interop/sqs/requirements.txt"),
    ("boto3-query", "interop/sqs/requirements-query.txt"),
];

/// Runs the checks of each client, then the kills.
///
/// # Errors
/// When a client cannot be had in CI, or the service does not start.
pub fn run(options: &Options) -> Result<Tally> {
    proofs::build_levada()?;
    let folder = process::repository().join("target/queues");
    fs::remove_dir_all(&folder).ok();
    let mut tally = Tally::default();
    let mut pythons = Vec::new();
    for (name, requirements) in CLIENTS {
        match toolchain::python_with(name, requirements) {
            Ok(python) => pythons.push((name, python)),
            Err(error) if toolchain::is_ci() => return Err(error),
            Err(error) => {
                println!("!! SKIPPED {name}: {error:#}");
                tally.skipped += 1;
            }
        }
    }
    let broker = Broker::start_levada_with(&folder, &["--sqs", "127.0.0.1:0"])?;
    let address = sqs_address(&folder)?;
    let endpoint = format!("http://{address}");
    for (name, python) in &pythons {
        let mut client = process::command(python);
        client.arg(script("client.py"));
        client.args([endpoint.as_str(), &broker.address, name]);
        tally += checks(&mut client, name)?;
    }
    tally += page(&address)?;
    drop(broker);
    if let Some((_, python)) = pythons.first() {
        let mut kill = process::command(python);
        kill.arg(script("kill.py")).arg(levada_binary());
        kill.arg(folder.join("kill"));
        kill.args([options.kills.to_string(), options.seed.to_string()]);
        tally += Tally::of(process::run(&mut kill)?);
    }
    Ok(tally)
}

/// Runs the commands that docs/sqs.md begins with, as they stand there, against the service.
fn page(address: &str) -> Result<Tally> {
    let python = match toolchain::python_with("aws", "interop/sqs/requirements-aws.txt") {
        Ok(python) => python,
        Err(error) if toolchain::is_ci() => return Err(error),
        Err(error) => {
            println!("!! SKIPPED the commands of docs/sqs.md: {error:#}");
            return Ok(Tally {
                skipped: 1,
                ..Tally::default()
            });
        }
    };
    let page = fs::read_to_string(process::repository().join("docs/sqs.md"))?;
    let commands = page
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let commands = commands.context("docs/sqs.md shows no commands")?;
    let commands = commands.replace("127.0.0.1:9324", address);
    let programs = python.parent().context("a Python has a folder")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = process::command("bash");
    shell.env("PATH", format!("{}:{path}", programs.display()));
    shell.args(["-e", "-c", &format!("shopt -s expand_aliases\n{commands}")]);
    let mut has_received = false;
    let ended_well = process::run_lines(&mut shell, |line| {
        has_received |= line.contains("\"Body\": \"hello\"");
    })?;
    if !has_received {
        println!("the commands of docs/sqs.md received no message");
    }
    Ok(Tally::of(ended_well && has_received))
}

fn script(name: &str) -> PathBuf {
    process::repository().join("interop/sqs").join(name)
}

/// Counts the lines `CHECK name ok|FAIL detail` of a client.
fn checks(client: &mut std::process::Command, name: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    let ended_well = process::run_lines(client, |line| {
        let Some(check) = line.strip_prefix("CHECK ") else {
            return;
        };
        match check.split(' ').nth(1) {
            Some("ok") => tally.passed += 1,
            _ => tally.failed += 1,
        }
    })?;
    if !ended_well || tally.passed + tally.failed == 0 {
        bail!("{name} did not run its checks to the end");
    }
    Ok(tally)
}

fn sqs_address(folder: &Path) -> Result<String> {
    let ready = fs::read_to_string(folder.join("data/ready.json"))?;
    let ready: serde_json::Value = serde_json::from_str(&ready)?;
    let address = ready.get("sqs").and_then(|address| address.as_str());
    Ok(address
        .context("ready.json names no address for SQS")?
        .to_owned())
}
