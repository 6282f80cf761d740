//! What grows with the number of topics and partitions.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Options;
use super::driver::{Driver, median, number};

/// Topics, and partitions of each.
const POINTS: [(u64, u64); 11] = [
    (1, 1000),
    (1000, 1),
    (1, 10_000),
    (1000, 10),
    (10_000, 1),
    (1, 100_000),
    (1000, 100),
    (100_000, 1),
    (1, 1_000_000),
    (1000, 1000),
    (100_000, 10),
];
/// Partitions over which batches are spread, against one.
const SPREAD: (u64, u64) = (1, 100_000);
const SPREAD_BATCHES: u64 = 200_000;
/// Freed memory is given back to the system by and by.
const SETTLE: Duration = Duration::from_secs(2);

/// Every point up to the largest that is asked for.
///
/// # Errors
/// When the broker does not start or an answer was wrong.
pub fn run(options: &Options, folder: &Path) -> Result<Value> {
    let mut rows = Vec::new();
    for (topics, partitions) in POINTS {
        if topics * partitions <= options.partitions_max {
            let row = point(folder, topics, partitions)?;
            println!("{row}");
            rows.push(row);
        }
    }
    Ok(json!(rows))
}

/// The arguments of a scale load.
pub fn scale(what: &str, topics: u64, partitions: u64, more: &[&str]) -> Vec<String> {
    let (topics, partitions) = (topics.to_string(), partitions.to_string());
    let named = ["--topics", &topics, "--partitions", &partitions];
    let words = ["scale", what].into_iter().chain(named);
    let words = words.chain(more.iter().copied());
    words.map(str::to_owned).collect()
}

/// One scale load on a broker.
pub fn load(
    driver: &Driver,
    what: &str,
    (topics, partitions): (u64, u64),
    more: &[&str],
) -> Result<Value> {
    let words = scale(what, topics, partitions, more);
    driver.bench(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

fn point(folder: &Path, topics: u64, partitions: u64) -> Result<Value> {
    let place = (topics, partitions);
    println!("{topics} topics of {partitions} partitions");
    let driver = Driver::fresh(folder, &[])?;
    let empty_mb = driver.memory_mb("VmRSS")?;
    let created = load(
        &driver,
        "create",
        place,
        &["--connections", "2", "--in-flight", "2"],
    )?;
    let created_mb = driver.memory_mb("VmRSS")?;
    std::thread::sleep(SETTLE);
    let settled_mb = driver.memory_mb("VmRSS")?;
    let (driver, idle) = driver.restart(None)?;
    let idle_mb = driver.memory_mb("VmRSS")?;
    let many = ["--connections", "64"];
    let written = load(&driver, "produce", place, &many)?;
    std::thread::sleep(SETTLE);
    let written_mb = driver.memory_mb("VmRSS")?;
    let written_max_mb = driver.memory_mb("VmHWM")?;
    let metadata = load(&driver, "metadata", place, &[])?;
    let metadata_max_mb = driver.memory_mb("VmHWM")?;
    let (driver, full) = driver.restart(None)?;
    let restarted_mb = driver.memory_mb("VmRSS")?;
    Ok(json!({
        "topics": topics,
        "partitions": topics * partitions,
        "empty_mb": empty_mb,
        "topics_created_per_s": number(&created, "records_per_s"),
        "partitions_created_per_s": number(&created, "records_per_s") * partitions as f64,
        "created_mb": created_mb,
        "created_settled_mb": settled_mb,
        "idle_restart_ready_ms": idle.ready_ms,
        "idle_restart_ack_ms": idle.first_ack_ms,
        "idle_restarted_mb": idle_mb,
        "batches_per_s": number(&written, "records_per_s"),
        "produce_p99_us": number(&written, "p99_us"),
        "written_mb": written_mb,
        "written_max_mb": written_max_mb,
        "metadata_all_ms": number(&metadata, "all_ms"),
        "metadata_all_bytes": number(&metadata, "all_bytes"),
        "metadata_one_p50_us": number(&metadata, "one_p50_us"),
        "metadata_one_p99_us": number(&metadata, "one_p99_us"),
        "metadata_max_mb": metadata_max_mb,
        "restart_ready_ms": full.ready_ms,
        "restart_ack_ms": full.first_ack_ms,
        "restarted_mb": restarted_mb,
        "restarted_max_mb": driver.memory_mb("VmHWM")?,
    }))
}

/// Batches of 1 KiB over many partitions and into one, in turns, by the same load.
///
/// # Errors
/// When the broker does not start or an answer was wrong.
pub fn spread(options: &Options, folder: &Path) -> Result<Value> {
    let driver = Driver::fresh(folder, &[])?;
    load(&driver, "create", SPREAD, &[])?;
    let count = SPREAD_BATCHES.to_string();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds {
        for (rate, place) in rates.iter_mut().zip([SPREAD, (1, 1)]) {
            let more = ["--connections", "64", "--count", &count];
            rate.push(number(
                &load(&driver, "produce", place, &more)?,
                "records_per_s",
            ));
        }
    }
    let [over_all, into_one] = rates;
    Ok(json!({
        "partitions": SPREAD.0 * SPREAD.1,
        "batches": SPREAD_BATCHES,
        "spread_batches_per_s": median(over_all.clone()),
        "one_batches_per_s": median(into_one.clone()),
        "spread_samples": over_all,
        "one_samples": into_one,
    }))
}
