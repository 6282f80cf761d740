//! The same load for long: whether memory or latency drift.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Options;
use crate::scale::driver::{Driver, median, number};

const TOPIC: &str = "steady";
/// The disk holds so much of the load, however long it lasts.
const KEPT: &str = "retention.bytes=1073741824";
/// Of the measured peak.
const SHARE: f64 = 0.7;
const PEAK_RUNS: usize = 3;
const PEAK_RECORDS: u64 = 1_000_000;
/// Batches of 64 KiB, as `levada bench produce` makes them without a rate.
const BATCH: &str = "63";
const SLICE_S: u64 = 60;
const QUICK_SLICE_S: u64 = 1;
const QUICK_SLICES: u64 = 12;
/// The first slices fill caches.
pub const WARM_SLICES: usize = 3;

/// Three runs for the peak, then slice after slice at 70 % of it, all on one broker.
///
/// # Errors
/// When the broker does not start or an answer was wrong.
pub fn run(options: &Options, folder: &Path) -> Result<Value> {
    let driver = Driver::fresh(folder, &[])?;
    driver.levada(&["topic", "create", TOPIC, "--config", KEPT])?;
    let quick_divisor = if options.quick { 10 } else { 1 };
    let count = (PEAK_RECORDS / quick_divisor).to_string();
    let mut peaks = Vec::new();
    for _ in 0..PEAK_RUNS {
        let run = driver.bench(&["produce", "--topic", TOPIC, "--count", &count])?;
        peaks.push(number(&run, "records_per_s"));
    }
    let peak = median(peaks);
    let rate = (peak * SHARE) as u64;
    let (slices, seconds) = match options.quick {
        true => (QUICK_SLICES, QUICK_SLICE_S),
        false => (options.steady_minutes, SLICE_S),
    };
    println!("{rate} records/s, 70 % of {peak:.0}, for {slices} slices of {seconds} s");
    let (count, rate_words) = ((rate * seconds).to_string(), rate.to_string());
    let mut rows = Vec::new();
    for minute in 0..slices {
        let words = [
            "produce",
            "--topic",
            TOPIC,
            "--batch",
            BATCH,
            "--in-flight",
            "64",
            "--rate",
            &rate_words,
            "--count",
            &count,
        ];
        let run = driver
            .bench(&words)
            .with_context(|| format!("slice {minute}"))?;
        let row = json!({
            "p50_us": number(&run, "p50_us"),
            "p99_us": number(&run, "p99_us"),
            "max_us": number(&run, "max_us"),
            "records_per_s": number(&run, "records_per_s"),
            "memory_mb": driver.memory_mb("VmRSS")?,
            "memory_high_mb": driver.memory_mb("VmHWM")?,
        });
        println!("slice {minute}: {row}");
        rows.push(row);
    }
    drop(driver);
    fs::remove_dir_all(folder).ok();
    let trend = |key: &str| {
        let values: Vec<f64> = rows.iter().map(|row| number(row, key)).collect();
        trend(values.get(WARM_SLICES..).unwrap_or_default())
    };
    let trends = json!({ "memory_mb": trend("memory_mb"), "p99_us": trend("p99_us") });
    Ok(json!({
        "peak_records_per_s": peak,
        "rate": rate,
        "slice_s": seconds,
        "trends": trends,
        "slices": rows,
    }))
}

/// Two-sided 95 % of the normal distribution.
const Z: f64 = 1.96;
/// Fewer values say nothing.
const VALUES_MIN: usize = 8;

/// The slope per slice of Theil and Sen, which outliers do not move, with Sen's interval of 95 %
/// confidence around it, and the median; null for too few values.
fn trend(values: &[f64]) -> Value {
    let n = values.len() as f64;
    if values.len() < VALUES_MIN {
        return Value::Null;
    }
    let mut slopes = Vec::new();
    for (early, before) in values.iter().enumerate() {
        for (late, after) in values.iter().enumerate().skip(early + 1) {
            slopes.push((after - before) / (late - early) as f64);
        }
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let pairs = slopes.len() as f64;
    let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let at = |index: f64| slopes.get(index.clamp(0.0, pairs - 1.0) as usize).copied();
    json!({
        "slope": at(pairs / 2.0),
        "low": at((pairs - spread) / 2.0),
        "high": at((pairs + spread) / 2.0),
        "median": median(values.to_vec()),
        "slices": values.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_found_beside_an_outlier_and_a_flat_line_has_none() {
        let mut rising: Vec<f64> = (0..20).map(|at| 100.0 + 2.0 * f64::from(at)).collect();
        rising[7] = 1e6;
        let found = trend(&rising);
        assert!((number(&found, "slope") - 2.0).abs() < 0.1, "{found}");
        assert!(number(&found, "low") > 0.0, "{found}");
        let flat: Vec<f64> = (0..20).map(|at| 100.0 + f64::from(at % 2)).collect();
        let found = trend(&flat);
        assert!(
            number(&found, "low") <= 0.0 && number(&found, "high") >= 0.0,
            "{found}"
        );
        assert_eq!(trend(&rising[..5]), Value::Null);
    }
}
