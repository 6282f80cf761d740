//! What the listener counts. Relaxed atomics: read one by one, they steer nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use levada_wire_kafka::{ApiKey, ErrorCode};

/// Upper bounds of the latency buckets in microseconds; one more bucket has no bound.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

#[derive(Debug, Default)]
struct ApiCounters {
    requests: AtomicU64,
    errors: AtomicU64,
    latency_us_sum: AtomicU64,
    latency: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
}

/// Totals since the start.
#[derive(Debug)]
pub struct KafkaMetrics {
    apis: Vec<ApiCounters>,
    connections: AtomicU64,
    connections_refused: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// One API at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiSnapshot {
    pub api: &'static str,
    /// Requests answered.
    pub requests: u64,
    /// Error codes in their answers.
    pub errors: u64,
    /// From the whole request to its answer, long polls included.
    pub latency_us_sum: u64,
    /// Requests in each bucket of [`LATENCY_BOUNDS_US`] and above, not cumulative.
    pub latency: [u64; LATENCY_BOUNDS_US.len() + 1],
}

/// All counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct MetricsSnapshot {
    /// Those that were called.
    pub apis: Vec<ApiSnapshot>,
    pub connections: u64,
    /// Closed by us for what they sent.
    pub connections_refused: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Default for KafkaMetrics {
    fn default() -> Self {
        Self {
            apis: ApiKey::ALL.iter().map(|_| ApiCounters::default()).collect(),
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }
    }
}

impl KafkaMetrics {
    fn api(&self, key: ApiKey) -> Option<&ApiCounters> {
        usize::try_from(key.code())
            .ok()
            .and_then(|index| self.apis.get(index))
    }

    pub(crate) fn answered(&self, key: ApiKey, took: Duration) {
        let Some(api) = self.api(key) else { return };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        api.requests.fetch_add(1, Relaxed);
        api.latency_us_sum.fetch_add(us, Relaxed);
        if let Some(bucket) = api.latency.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn error(&self, key: ApiKey, error: ErrorCode) {
        if error != ErrorCode::None
            && let Some(api) = self.api(key)
        {
            api.errors.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.connections_refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    /// What was counted until now.
    pub fn snapshot(&self) -> MetricsSnapshot {
        let called = ApiKey::ALL.iter().zip(&self.apis);
        let apis = called
            .filter(|(_, api)| api.requests.load(Relaxed) > 0 || api.errors.load(Relaxed) > 0)
            .map(|(key, api)| ApiSnapshot {
                api: key.name(),
                requests: api.requests.load(Relaxed),
                errors: api.errors.load(Relaxed),
                latency_us_sum: api.latency_us_sum.load(Relaxed),
                latency: std::array::from_fn(|bucket| api.latency[bucket].load(Relaxed)),
            })
            .collect();
        MetricsSnapshot {
            apis,
            connections: self.connections.load(Relaxed),
            connections_refused: self.connections_refused.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
        }
    }
}
