//! A producer's latency on a topic of its own while retention and snapshots go over a million
//! other partitions.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::Options;
use super::curve::load;
use super::driver::{Driver, number};

/// Records a second of the producer that is watched, and how many.
const RATE: &str = "1000";
const COUNT: &str = "10000";
/// Neither retention nor a snapshot in a run.
const QUIET: [&str; 4] = [
    "--storage-maintenance-interval-ms",
    "3600000",
    "--storage-snapshot-bytes",
    "64GiB",
];
/// A round of retention after the other, over all partitions.
const RETENTION: [&str; 4] = [
    "--storage-maintenance-interval-ms",
    "100",
    "--storage-snapshot-bytes",
    "64GiB",
];
/// A snapshot after the other: each record of the load makes the next one due.
const SNAPSHOTS: [&str; 4] = [
    "--storage-maintenance-interval-ms",
    "3600000",
    "--storage-snapshot-bytes",
    "1MiB",
];

/// Quiet first, then with each kind of work over all partitions.
///
/// # Errors
/// When the broker does not start or an answer was wrong.
pub fn run(options: &Options, folder: &Path) -> Result<Value> {
    let place = (1, options.partitions_max.min(1_000_000));
    let driver = Driver::fresh(folder, &QUIET)?;
    load(&driver, "create", place, &[])?;
    load(&driver, "produce", place, &["--connections", "64"])?;
    let quiet = watch(&driver)?;
    let (driver, _) = driver.restart(Some(&RETENTION))?;
    let retention = watch(&driver)?;
    let (driver, _) = driver.restart(Some(&SNAPSHOTS))?;
    let snapshots = watch(&driver)?;
    let (driver, _) = driver.restart(Some(&RETENTION))?;
    let watched = driver.begin(&producer())?;
    driver.levada(&["topic", "alter", "scale-0000000", "-c", "retention.ms=1"])?;
    let deleting = latencies(&watched.end()?);
    Ok(json!({
        "partitions": place.0 * place.1,
        "quiet": quiet,
        "retention walks": retention,
        "snapshots": snapshots,
        "retention deletes all": deleting,
    }))
}

fn producer() -> [&'static str; 11] {
    [
        "produce", "--topic", "watched", "--size", "1024", "--rate", RATE, "--count", COUNT,
        "--batch", "1",
    ]
}

fn watch(driver: &Driver) -> Result<Value> {
    let figures = latencies(&driver.bench(&producer())?);
    println!("{figures}");
    Ok(figures)
}

fn latencies(figures: &Value) -> Value {
    json!({
        "p50_us": number(figures, "p50_us"),
        "p99_us": number(figures, "p99_us"),
        "p999_us": number(figures, "p999_us"),
        "max_us": number(figures, "max_us"),
    })
}
