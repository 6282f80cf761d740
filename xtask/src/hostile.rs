//! `cargo xtask hostile`: attacks on a running broker; others must not feel them.

use std::fs;

use anyhow::Result;

use crate::broker::levada_binary;
use crate::process;
use crate::proofs;
use crate::report::Tally;

#[derive(clap::Args)]
pub struct Options {
    /// How long each attack lasts
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// Only these attacks: flood, garbage, idle, slow, claims, unread, polls, bombs; on the SQS port
    /// sqs-flood, sqs-idle, sqs-heads, sqs-bodies, sqs-large, sqs-claims, sqs-deep, sqs-polls
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub attack: Vec<String>,
}

/// The attacks of the short form: those with connections and bytes that are no requests.
pub const SHORT: [&str; 8] = [
    "flood",
    "garbage",
    "idle",
    "slow",
    "claims",
    "sqs-heads",
    "sqs-bodies",
    "sqs-polls",
];

/// Floods, slow senders, false sizes, silent and unreading clients, decompression bombs: memory,
/// descriptors, the log and another client's latency are measured (Linux).
///
/// # Errors
/// When the broker or the tool cannot be built.
pub fn run(options: &Options) -> Result<Tally> {
    let folder = process::repository().join("target/hostile");
    fs::remove_dir_all(&folder).ok();
    proofs::build_levada()?;
    let mut cargo = process::cargo();
    cargo.args([
        "run",
        // Bombs of millions of records are built first.
        "--release",
        "--quiet",
        "--package",
        "levada-proof",
        "--bin",
        "levada-hostile",
        "--",
    ]);
    cargo.args(["--seconds", &options.seconds.to_string()]);
    for attack in &options.attack {
        cargo.args(["--attack", attack]);
    }
    cargo.arg("--folder").arg(&folder);
    cargo.arg("--").arg(levada_binary());
    cargo.args(["serve", "--kafka", "{address}", "--sqs", "{sqs}"]);
    proofs::counted(cargo.args(["--data", "{data}", "--http", "off"]))
}
