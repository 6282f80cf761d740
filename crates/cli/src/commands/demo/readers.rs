//! The two consumer groups: one keeps up and computes, one lags on purpose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use levada_client::{Client, ConsumerOptions, GroupConsumer, GroupOptions, ResetTo};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::replay::Progress;
use super::{FAST_GROUP, FLIGHTS, SLOW_GROUP};
use crate::error::{CliError, CliResult};

/// How long a poll waits for records.
const POLL: Duration = Duration::from_millis(200);
/// How often positions are committed: others can see the lag.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// The slow group reads one record where so many are written.
const SLOW_PART: u64 = 4;
/// How often the slow group looks whether it may read on.
const SLOW_PAUSE: Duration = Duration::from_millis(50);
/// Once nothing more is written, the slow group reads so many records a second.
const SLOW_RECORDS_PER_S: u64 = 2_000;

/// What the fields of a flight are read for.
#[derive(Deserialize)]
struct FlightEvent<'a> {
    carrier: &'a str,
    carrier_name: &'a str,
    departure_delay_minutes: Option<i32>,
}

/// The running total of one carrier.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CarrierDelay {
    pub carrier: String,
    pub name: String,
    pub flights: u64,
    pub cancelled: u64,
    #[serde(skip)]
    minutes: i64,
    pub average_departure_delay_minutes: f64,
}

/// What a group has done so far; shared with whoever watches.
#[derive(Debug, Default)]
pub struct Reading {
    pub records: AtomicU64,
    /// Records behind the end; -1 until it is known.
    pub lag: AtomicI64,
    pub stop: AtomicBool,
    /// The slow group goes on although nothing more is written.
    pub read_on: AtomicBool,
    /// By carrier, where the group computes.
    pub delays: Mutex<BTreeMap<String, CarrierDelay>>,
}

impl Reading {
    pub fn new() -> Arc<Self> {
        let reading = Self::default();
        reading.lag.store(-1, Relaxed);
        Arc::new(reading)
    }
}

fn member(client: &Client, group: &str, read_ahead_bytes_max: usize) -> GroupConsumer {
    let options = GroupOptions {
        auto_commit_interval: Some(COMMIT_INTERVAL),
        consumer: ConsumerOptions {
            reset: ResetTo::Earliest,
            read_ahead_bytes_max,
            wait_max: POLL,
            ..ConsumerOptions::default()
        },
        ..GroupOptions::new(group, &[FLIGHTS])
    };
    GroupConsumer::new(client, options)
}

/// Reads every flight at once and adds up delays by carrier, until told to stop.
///
/// # Errors
/// The group's or a record that is not the demo's.
pub async fn keep_up(client: Client, reading: Arc<Reading>) -> CliResult {
    let mut member = member(&client, FAST_GROUP, 4 << 20);
    while !reading.stop.load(Relaxed) {
        let batch = member.poll(POLL).await?;
        if let Some(batch) = batch {
            let mut delays = reading.delays.lock();
            let mut count = 0;
            for record in batch.records()? {
                let record = record?;
                add(&mut delays, record.value.as_deref().unwrap_or_default())?;
                count += 1;
            }
            reading.records.fetch_add(count, Relaxed);
        }
        reading.lag.store(member.lag().unwrap_or(-1), Relaxed);
    }
    Ok(member.close().await?)
}

fn add(delays: &mut BTreeMap<String, CarrierDelay>, value: &[u8]) -> CliResult {
    let event: FlightEvent<'_> = serde_json::from_slice(value).map_err(|error| {
        CliError::Failed(format!("a record of {FLIGHTS} is not the demo's: {error}"))
    })?;
    if !delays.contains_key(event.carrier) {
        let new = CarrierDelay {
            carrier: event.carrier.to_owned(),
            name: event.carrier_name.to_owned(),
            ..CarrierDelay::default()
        };
        delays.insert(event.carrier.to_owned(), new);
    }
    if let Some(carrier) = delays.get_mut(event.carrier) {
        carrier.flights += 1;
        match event.departure_delay_minutes {
            Some(minutes) => carrier.minutes += i64::from(minutes),
            None => carrier.cancelled += 1,
        }
        let departed = carrier.flights - carrier.cancelled;
        carrier.average_departure_delay_minutes = match departed {
            0 => 0.0,
            departed => carrier.minutes as f64 / departed as f64,
        };
    }
    Ok(())
}

/// Reads a quarter of what is written meanwhile, then on slowly, until told to stop.
///
/// # Errors
/// The group's.
pub async fn fall_behind(
    client: Client,
    progress: Arc<Progress>,
    reading: Arc<Reading>,
) -> CliResult {
    let env = client.env().clone();
    let mut member = member(&client, SLOW_GROUP, 256 << 10);
    let mut allowed = 0;
    while !reading.stop.load(Relaxed) {
        let read = reading.records.load(Relaxed);
        if reading.read_on.load(Relaxed) {
            allowed += SLOW_RECORDS_PER_S * SLOW_PAUSE.as_millis() as u64 / 1000;
        } else {
            allowed = progress.flights.load(Relaxed) / SLOW_PART;
        }
        let joined = member.is_joined();
        if joined && read >= allowed {
            env.sleep(SLOW_PAUSE).await;
            continue;
        }
        if let Some(batch) = member.poll(POLL).await? {
            let count = batch.records()?.count() as u64;
            reading.records.fetch_add(count, Relaxed);
        }
        reading.lag.store(member.lag().unwrap_or(-1), Relaxed);
    }
    Ok(member.close().await?)
}
