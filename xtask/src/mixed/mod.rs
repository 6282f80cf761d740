//! `cargo xtask mixed`: what producers feel of a backfill, of snapshots and rewriting, and of a
//! hostile flood, alone and all at once; and whether anything drifts in an hour at 70 % of the peak.
//! Writes `bench/mixed.json`, `bench/MIXED.md` and `bench/plots/mixed-*.svg`.

mod beside;
mod kinds;
mod page;
mod steady;
mod works;

use std::fs;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::bench::describe_machine;
use crate::bench::systems::build;
use crate::process;
use crate::proofs::build_levada;
use crate::report::Tally;

#[derive(clap::Args)]
pub struct Options {
    /// GB of 1 KiB records that the backfill reads; half as much again is written beside them
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    pub gigabytes: f64,
    /// Records a second of the producers that are watched
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub rate: u64,
    /// How long the steady load lasts
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub steady_minutes: u64,
    /// Little of everything, into target/mixed-quick: shows that everything runs
    #[arg(long)]
    pub quick: bool,
    /// Parts to run; the others keep what the last run wrote
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Mixed, Part::Steady])]
    pub only: Vec<Part>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Producers beside a backfill, snapshots and rewriting, a flood, and all of them
    Mixed,
    /// Memory and latency, minute by minute, at 70 % of the peak
    Steady,
}

impl Part {
    fn key(self) -> &'static str {
        match self {
            Part::Mixed => "mixed",
            Part::Steady => "steady",
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("a number above 0".to_owned()),
    }
}

const QUICK_GIGABYTES: f64 = 0.2;

impl Options {
    /// What the backfill reads.
    pub fn gigabytes(&self) -> f64 {
        match self.quick {
            true => self.gigabytes.min(QUICK_GIGABYTES),
            false => self.gigabytes,
        }
    }

    /// As a person would type it.
    fn command(&self, part: Part) -> String {
        let what = match part {
            Part::Mixed => format!("--gigabytes {} --rate {}", self.gigabytes, self.rate),
            Part::Steady => format!("--steady-minutes {}", self.steady_minutes),
        };
        let quick = if self.quick { " --quick" } else { "" };
        format!("cargo xtask mixed --only {} {what}{quick}", part.key())
    }
}

/// Runs the parts and writes the page.
///
/// # Errors
/// When the broker does not start, an answer was wrong, or the page cache cannot be dropped.
pub fn run(options: &Options) -> Result<Tally> {
    build_levada()?;
    build("levada-floor")?;
    let folder = process::repository().join("target/mixed");
    let output = match options.quick {
        true => process::repository().join("target/mixed-quick"),
        false => process::repository().join("bench"),
    };
    let stored = output.join("mixed.json");
    let last = fs::read(&stored).ok();
    let mut all: Map<String, Value> = last
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let mut tally = Tally::default();
    for part in &options.only {
        let machine: Map<String, Value> = describe_machine()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        let mut figures = match part {
            Part::Mixed => kinds::run(options, &folder)?,
            Part::Steady => steady::run(options, &folder)?,
        };
        if let Some(figures) = figures.as_object_mut() {
            figures.insert("command".to_owned(), json!(options.command(*part)));
            figures.insert("machine".to_owned(), Value::Object(machine));
        }
        all.insert(part.key().to_owned(), figures);
        tally.passed += 1;
        // Each part takes long: what is there is kept.
        page::write(&all, &output)?;
    }
    fs::remove_dir_all(&folder).ok();
    println!("wrote {}", output.join("MIXED.md").display());
    Ok(tally)
}
