//! Which works go on beside the producers, one kind after the other, on one broker.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Options;
use super::beside::{Work, watch};
use super::works::{BIG_TOPIC, Backfill, CHURN_TOPIC, Churn, Flood, KEPT_TOPIC};
use crate::bench::systems::build;
use crate::scale::driver::{Driver, median, number};

/// Work in the background comes in small pieces and often, so that each slice has its part of it.
/// The bound on dead bytes, 1.5 times what lives and the slack, is reached by writing half as much
/// again as the backfill reads.
pub const FLAGS: [&str; 10] = [
    "--http",
    "127.0.0.1:0",
    "--storage-file-bytes-max",
    "16MiB",
    "--storage-snapshot-bytes",
    "16MiB",
    "--storage-disk-slack-bytes",
    "16MiB",
    "--storage-maintenance-interval-ms",
    "1000",
];
/// Retention keeps so much of the churn.
const CHURN_KEPT: &str = "retention.bytes=16777216";
/// Dead bytes beyond half of the live ones, so that rewriting is due from its first slice.
const DEAD_SHARE: f64 = 0.6;
const DEAD_BYTES_MORE: f64 = 128e6;
const RECORD_BYTES: f64 = 1024.0;
const ROUNDS_ALONE: usize = 2;

/// Quiet, then each kind of work with quiet slices between, then all at once.
///
/// # Errors
/// When the broker does not start, an answer was wrong, or the page cache cannot be dropped.
pub fn run(options: &Options, folder: &Path) -> Result<Value> {
    build("levada-proof")?;
    let driver = Driver::fresh(folder, &FLAGS)?;
    let bytes = options.gigabytes() * 1e9;
    let count = ((bytes / RECORD_BYTES).ceil() as u64).to_string();
    println!("writing {} GB for the backfill", options.gigabytes());
    driver.bench(&["produce", "--topic", BIG_TOPIC, "--count", &count])?;
    let (churn, flood) = (Churn::new(&driver), Flood { driver: &driver });
    let quietly = || told("quiet", watch(&driver, options, &[]));
    let beside = |name: &str, works: &[&dyn Work]| told(name, watch(&driver, options, works));
    let (mut quiet, mut kinds, mut alone) = (vec![quietly()?], Vec::new(), Vec::new());
    for _ in 0..ROUNDS_ALONE {
        let pass = Backfill::new(&driver).pass(&AtomicBool::new(false))?;
        alone.extend(pass.map(|(speed, _)| speed));
    }
    println!("a backfill alone: {alone:?} MB/s");
    kinds.push(beside("a backfill", &[&Backfill::new(&driver)])?);
    quiet.push(quietly()?);
    kinds.push(beside("a flood", &[&flood])?);
    quiet.push(quietly()?);
    // From here on retention and rewriting are at work: nothing is quiet any more.
    driver.levada(&["topic", "create", CHURN_TOPIC, "--config", CHURN_KEPT])?;
    driver.levada(&["topic", "create", KEPT_TOPIC])?;
    churn.fill(bytes * DEAD_SHARE + DEAD_BYTES_MORE)?;
    kinds.push(beside("snapshots and rewriting", &[&churn])?);
    let (backfill, churn) = (Backfill::new(&driver), Churn::new(&driver));
    kinds.push(beside("all at once", &[&backfill, &churn, &flood])?);
    let p99 = median(
        quiet
            .iter()
            .map(|slices| number(slices, "p99_us"))
            .collect(),
    );
    drop(driver);
    fs::remove_dir_all(folder).ok();
    Ok(json!({
        "gigabytes": options.gigabytes(),
        "rate": options.rate,
        "flags": FLAGS.join(" "),
        "quiet_p99_us": p99,
        "alone_mb_per_s": median(alone.clone()),
        "alone_mb_per_s_of_passes": alone,
        "quiet": quiet,
        "kinds": kinds,
    }))
}

/// Says on the way what was measured, and gives it its name.
fn told(name: &str, figures: Result<Value>) -> Result<Value> {
    let mut figures = figures.with_context(|| format!("beside {name}"))?;
    println!("{name}: {figures}");
    if let Some(figures) = figures.as_object_mut() {
        figures.insert("kind".to_owned(), json!(name));
    }
    Ok(figures)
}
