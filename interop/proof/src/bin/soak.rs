//! `levada-soak`: a long mixed load with a fault every few seconds.
#![allow(clippy::disallowed_methods)] // a test tool

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use levada_proof::soak::{self, Outcome, Plan};
use levada_proof::trend::Trend;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 60.0)]
    minutes: f64,
    /// Decides which faults, when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where its disk and the logs go; must be empty
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
    let outcome = soak::run(&Plan {
        binary: arguments.binary,
        folder: arguments.folder,
        time: Duration::from_secs_f64(arguments.minutes * 60.0),
        seed: arguments.seed,
        clients: arguments.clients,
    })?;
    std::fs::write(&result, serde_json::to_string_pretty(&outcome)?)?;
    print(&outcome);
    let failed = outcome.violations.len();
    let passed = outcome.faults.values().sum::<u64>();
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}

fn print(outcome: &Outcome) {
    println!("\nfault                            times");
    for (name, count) in &outcome.faults {
        println!("{name:<32} {count:>5}");
    }
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let growth = &outcome.growth;
    println!("\nfigure                 median        max   slope an hour (95 % interval)");
    let trend = |trend: &Option<Trend>, unit: f64| {
        trend.as_ref().map_or("too short a run".into(), |trend| {
            format!(
                "{:+.2} ({:+.2} … {:+.2}), {} points",
                trend.slope / unit,
                trend.low / unit,
                trend.high / unit,
                trend.points
            )
        })
    };
    let middle = |trend: &Option<Trend>| trend.as_ref().map_or(0.0, |trend| trend.median);
    println!(
        "memory, MiB          {:>8.1} {:>10.1}   {}",
        mib(growth.rss_median_bytes),
        mib(growth.rss_max_bytes as f64),
        trend(&growth.rss, f64::from(1 << 20))
    );
    println!(
        "  from life to life  {:>8.1} {:>10}   {}",
        mib(middle(&growth.rss_by_life)),
        "",
        trend(&growth.rss_by_life, f64::from(1 << 20))
    );
    println!(
        "open files           {:>8.0} {:>10}   {}",
        middle(&growth.files_open),
        growth.files_open_max,
        trend(&growth.files_open, 1.0)
    );
    println!(
        "threads              {:>8.0} {:>10}   {}",
        middle(&growth.threads),
        growth.threads_max,
        trend(&growth.threads, 1.0)
    );
    println!(
        "disk, MiB            {:>8} {:>10.1}   live at most {:.1}; beyond 1.5 times the live bytes at most {:.1} of {:.1}",
        "",
        mib(growth.disk_max_bytes as f64),
        mib(growth.live_max_bytes as f64),
        mib(growth.slack_used_max_bytes as f64),
        mib(growth.slack_allowed_bytes as f64)
    );
    println!(
        "  beyond 1.5 x live  {:>8.1} {:>10}   {}",
        mib(middle(&growth.disk_slack)),
        "",
        trend(&growth.disk_slack, f64::from(1 << 20))
    );
    println!(
        "\n{:.1} minutes (seed {}), {} lives, {} records and {} commits acknowledged, {} given to consumers, {} read back,\n\
         {} topics made and {} deleted, {} connections, {} violations",
        outcome.minutes,
        outcome.seed,
        outcome.lives,
        outcome.acknowledged,
        outcome.commits,
        outcome.seen,
        outcome.checked,
        outcome.topics_created,
        outcome.topics_deleted,
        outcome.connections,
        outcome.violations.len()
    );
}
