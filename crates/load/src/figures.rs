//! What a run has measured.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies in nanoseconds, up to an hour, to three digits.
pub type Latencies = Histogram<u64>;

const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// An empty histogram.
pub fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are in order")
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

impl Default for Tally {
    fn default() -> Self {
        Self {
            records: 0,
            bytes: 0,
            requests: 0,
            errors: 0,
            first_error: None,
            latencies: latencies(),
        }
    }
}

impl Tally {
    /// Notes how long one request, or one record, took.
    pub fn note(&mut self, span: Duration) {
        let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.latencies
            .saturating_record(ns.clamp(1, LATENCY_NS_MAX));
    }

    /// Notes that something was wrong; the first time with its words.
    pub fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.errors += 1;
        self.first_error.get_or_insert_with(what);
    }

    /// Adds what another thread has done.
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

/// What a load was asked to do, as its figures tell it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub topic: String,
    pub batch: u32,
    pub partitions: u32,
    pub connections: u32,
    pub in_flight: u32,
    pub rate: Option<u64>,
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

    /// Adds what was asked for.
    pub fn describe(&mut self, asked: Asked) {
        self.topic = asked.topic;
        self.batch = asked.batch;
        self.partitions = asked.partitions;
        self.connections = asked.connections;
        self.in_flight = asked.in_flight;
        self.rate = asked.rate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_two_threads_are_those_of_one_that_did_both() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        for us in 1..=50 {
            one.note(Duration::from_micros(us));
            other.note(Duration::from_micros(us + 50));
        }
        (one.records, other.records) = (30, 70);
        other.wrong(|| "a wrong answer".to_owned());
        one.add(&other);
        let figures = Figures::new("produce", &one, Duration::from_secs(2), 1000);
        assert_eq!((figures.records_per_s, figures.mb_per_s), (50.0, 0.05));
        assert!((figures.p50_us - 50.0).abs() < 0.2, "{}", figures.p50_us);
        assert!((figures.max_us - 100.0).abs() < 0.2, "{}", figures.max_us);
        assert_eq!(figures.first_error.as_deref(), Some("a wrong answer"));
    }

    #[test]
    fn a_latency_beyond_every_bound_is_noted_at_the_bound() {
        let mut tally = Tally::default();
        tally.note(Duration::MAX);
        tally.note(Duration::ZERO);
        assert_eq!(tally.latencies.len(), 2);
    }
}
