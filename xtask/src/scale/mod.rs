//! `cargo xtask scale`: one Levada with many topics, partitions, connections and groups. Writes
//! `bench/scale.json` and `bench/SCALE.md`.

mod crowd;
mod curve;
pub mod driver;
mod page;
mod pauses;

use std::fs;

use anyhow::Result;

use crate::process;
use crate::proofs::build_levada;
use crate::report::Tally;

#[derive(clap::Args)]
pub struct Options {
    /// Points of the curve with more partitions are left out
    #[arg(long, default_value_t = 1_000_000)]
    pub partitions_max: u64,
    /// How often loads that are held against each other are repeated, in turns
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Connections that are open and idle
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// Consumer groups, each with one committed offset
    #[arg(long, default_value_t = 100_000)]
    pub groups: u64,
    /// Parts to run; the others keep what the last run wrote
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    pub only: Vec<Part>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Creation, memory, Metadata and restart against the number of topics and partitions
    Curve,
    /// Batches spread over many partitions against one partition
    Spread,
    /// A producer's latency while retention and snapshots go over all partitions
    Pauses,
    /// Idle connections and consumer groups
    Crowd,
}

impl Part {
    const ALL: [Part; 4] = [Part::Curve, Part::Spread, Part::Pauses, Part::Crowd];

    fn key(self) -> &'static str {
        match self {
            Part::Curve => "curve",
            Part::Spread => "spread",
            Part::Pauses => "pauses",
            Part::Crowd => "crowd",
        }
    }
}

/// Runs the parts and writes the page.
///
/// # Errors
/// When the broker does not start or an answer was wrong.
pub fn run(options: &Options) -> Result<Tally> {
    build_levada()?;
    let folder = process::repository().join("target/scale");
    let stored = process::repository().join("bench/scale.json");
    let last = fs::read(&stored).ok();
    let mut all: serde_json::Map<String, serde_json::Value> = last
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    for part in &options.only {
        fs::remove_dir_all(&folder).ok();
        let figures = match part {
            Part::Curve => curve::run(options, &folder)?,
            Part::Spread => curve::spread(options, &folder)?,
            Part::Pauses => pauses::run(options, &folder)?,
            Part::Crowd => crowd::run(options, &folder)?,
        };
        all.insert(part.key().to_owned(), figures);
    }
    fs::remove_dir_all(&folder).ok();
    let text = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(&stored, text)?;
    let page = process::repository().join("bench/SCALE.md");
    fs::write(&page, page::render(&all))?;
    println!("wrote {}", page.display());
    Ok(Tally::of(true))
}
