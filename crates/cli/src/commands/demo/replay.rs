//! The producer: every event, in order, as fast as acknowledgements come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hdrhistogram::Histogram;
use levada_client::{Client, Delivery, Producer, ProducerOptions};
use levada_env::Env;
use levada_records::NewRecord;
use tokio::sync::mpsc;

use super::events::{Event, Events};
use super::{FLIGHTS, WEATHER};
use crate::error::{CliError, CliResult};

/// Bytes that may wait for their acknowledgement: enough to keep the log busy, and so few that the
/// time to an acknowledgement is the service's and not that of a queue in this process.
const BUFFER_BYTES: usize = 1 << 20;
const BATCH_BYTES: usize = 64 << 10;
/// One record in so many has its time to the acknowledgement measured.
const SAMPLE_EVERY: u64 = 16;
/// Samples that may wait to be measured.
const SAMPLES_WAITING_MAX: usize = 4096;
/// Longest time that the histogram tells apart, in microseconds.
const LATENCY_US_MAX: u64 = 60_000_000;

/// How far the replay is; read by the consumers and the progress bar.
#[derive(Debug, Default)]
pub struct Progress {
    pub sent: AtomicU64,
    pub flights: AtomicU64,
    pub bytes: AtomicU64,
}

/// What the replay found.
#[derive(Debug)]
pub struct Replayed {
    pub records: u64,
    pub bytes: u64,
    pub took: Duration,
    pub latency_us: Histogram<u64>,
}

/// Sends the first `records` events and waits until all are acknowledged.
///
/// # Errors
/// The first record that was refused or not acknowledged.
pub async fn replay(
    client: &Client,
    events: &Events,
    records: usize,
    progress: &Arc<Progress>,
) -> CliResult<Replayed> {
    let env = client.env().clone();
    let options = ProducerOptions {
        buffer_bytes_max: BUFFER_BYTES,
        batch_bytes_max: BATCH_BYTES,
        create_topics: false,
        ..ProducerOptions::default()
    };
    let producer = Producer::start(client, options).await?;
    let (samples, measured) = mpsc::channel(SAMPLES_WAITING_MAX);
    let measuring = env.spawn("demo-latency", measure(env.clone(), measured));
    let begun = env.monotonic();
    let (mut key, mut value) = (String::new(), String::new());
    let mut sent = 0;
    for (at_ms, event) in events.iter().take(records) {
        events.write(at_ms, event, &mut key, &mut value);
        let (topic, flights) = match event {
            Event::Flight(_) => (FLIGHTS, 1),
            Event::Weather(_) => (WEATHER, 0),
        };
        let record = NewRecord {
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[],
            timestamp_ms: at_ms,
        };
        let asked = env.monotonic();
        let delivery = producer.send(topic, None, &record).await?;
        if sent % SAMPLE_EVERY == 0 {
            // Full: this one is not measured.
            let _ = samples.try_send((asked, delivery));
        }
        sent += 1;
        progress.sent.fetch_add(1, Relaxed);
        progress.flights.fetch_add(flights, Relaxed);
        let bytes = (key.len() + value.len()) as u64;
        progress.bytes.fetch_add(bytes, Relaxed);
    }
    producer.flush().await;
    let took = env.monotonic() - begun;
    drop(samples);
    let latency_us = measuring
        .await
        .map_err(|error| CliError::Failed(error.to_string()))?;
    let counts = producer.counts();
    if let Some(error) = counts.first_error {
        return Err(error.into());
    }
    Ok(Replayed {
        records: sent,
        bytes: progress.bytes.load(Relaxed),
        took,
        latency_us,
    })
}

/// Waits for each sample in turn and counts how long it took.
async fn measure(env: Env, mut samples: mpsc::Receiver<(Duration, Delivery)>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3)
        .expect("these bounds are ones that the histogram takes");
    while let Some((asked, delivery)) = samples.recv().await {
        if delivery.wait().await.is_ok() {
            let took = env.monotonic().saturating_sub(asked);
            let us = u64::try_from(took.as_micros()).unwrap_or(LATENCY_US_MAX);
            histogram.saturating_record(us.max(1));
        }
    }
    histogram
}
