//! What a run has measured.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::{CliError, CliResult};
use crate::output::{Report, Table};
use crate::units::{show_bytes, show_count};

/// Latencies in nanoseconds, up to an hour, to three digits.
pub type Latencies = Histogram<u64>;

const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// An empty histogram.
pub fn latencies() -> CliResult<Latencies> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)
        .map_err(|error| CliError::Failed(format!("no histogram: {error}")))
}

/// Notes one latency.
pub fn note(latencies: &mut Latencies, span: Duration) {
    let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    latencies.saturating_record(ns.clamp(1, LATENCY_NS_MAX));
}

/// What one connection's thread, or all of them, have done.
pub struct Tally {
    pub records: u64,
    /// Bytes of batches, as on the wire.
    pub bytes: u64,
    pub requests: u64,
    /// Answers with an error code, a wrong offset, a wrong CRC, a gap.
    pub errors: u64,
    pub first_error: Option<String>,
    pub latencies: Latencies,
}

impl Tally {
    pub fn new() -> CliResult<Self> {
        Ok(Self {
            records: 0,
            bytes: 0,
            requests: 0,
            errors: 0,
            first_error: None,
            latencies: latencies()?,
        })
    }

    /// Notes that something was wrong; the first time with its words.
    pub fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(what);
    }

    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes += other.bytes;
        self.requests += other.requests;
        self.errors += other.errors;
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
        // Both have the same bounds, so that this cannot fail.
        let _ = self.latencies.add(&other.latencies);
    }
}

/// The result, with the keys of the contract first.
#[derive(Serialize)]
pub struct Figures {
    pub records_per_s: f64,
    /// Millions of bytes of values a second.
    pub mb_per_s: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub errors: u64,
    /// Every answer was right, and every record lies where it should.
    pub verified: bool,
    pub kind: &'static str,
    pub records: u64,
    pub requests: u64,
    /// Bytes of batches on the wire.
    pub wire_bytes: u64,
    pub seconds: f64,
    pub min_us: f64,
    pub mean_us: f64,
    pub max_us: f64,
    pub topic: String,
    pub size: u32,
    pub batch: u32,
    pub partitions: u32,
    pub connections: u32,
    pub in_flight: u32,
    /// Null in a closed loop.
    pub rate: Option<u64>,
    pub first_error: Option<String>,
}

/// Rounds to a tenth, so that JSON stays readable.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

impl Figures {
    /// Puts the numbers of a run together; `value_bytes` is the size of one record's value.
    pub fn new(kind: &'static str, tally: &Tally, span: Duration, value_bytes: u32) -> Self {
        let seconds = span.as_secs_f64().max(1e-9);
        let us = |ns: u64| tenths(ns as f64 / 1000.0);
        let at = |quantile: f64| us(tally.latencies.value_at_quantile(quantile));
        let empty = tally.latencies.is_empty();
        Self {
            records_per_s: tenths(tally.records as f64 / seconds),
            mb_per_s: (tally.records as f64 * f64::from(value_bytes) / seconds / 1e4).round() / 1e2,
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            errors: tally.errors,
            verified: false,
            kind,
            records: tally.records,
            requests: tally.requests,
            wire_bytes: tally.bytes,
            seconds: (seconds * 1000.0).round() / 1000.0,
            min_us: if empty {
                0.0
            } else {
                us(tally.latencies.min())
            },
            mean_us: tenths(tally.latencies.mean() / 1000.0),
            max_us: if empty {
                0.0
            } else {
                us(tally.latencies.max())
            },
            topic: String::new(),
            size: value_bytes,
            batch: 0,
            partitions: 0,
            connections: 0,
            in_flight: 0,
            rate: None,
            first_error: tally.first_error.clone(),
        }
    }
}

impl Report for Figures {
    fn table(&self) -> Table {
        let mut table = Table::new(&["figure", ">value"]);
        let us = |value: f64| format!("{value:.1} µs");
        table.row(["records", &show_count(self.records)]);
        table.row(["records/s", &show_count(self.records_per_s as u64)]);
        table.row(["MB/s", &format!("{:.2}", self.mb_per_s)]);
        table.row(["on the wire", &show_bytes(self.wire_bytes)]);
        table.row(["seconds", &format!("{:.3}", self.seconds)]);
        table.row(["p50", &us(self.p50_us)]);
        table.row(["p99", &us(self.p99_us)]);
        table.row(["p99.9", &us(self.p999_us)]);
        table.row(["max", &us(self.max_us)]);
        table.row(["errors", &self.errors.to_string()]);
        table.row(["verified", if self.verified { "yes" } else { "NO" }]);
        table
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
