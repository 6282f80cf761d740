//! The client that behaves: what it waits for its answers is what an attack does to others.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use levada_records::Producer;
use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::*;

use super::sqs;
use super::{BAD_TOPIC, COMPACTED_TOPIC, GOOD_TOPIC, WIDE_PARTITIONS, WIDE_TOPIC};
use crate::batch;
use crate::connection::Connection;

/// Between two rounds of requests.
const PAUSE: Duration = Duration::from_millis(10);
/// What a client waits for an answer before it counts as never.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
const VALUE_BYTES: usize = 8 * 1024;
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 11;

/// How long each of its rounds took: connect, produce, fetch; the same with a queue.
#[derive(Default)]
pub struct Client {
    took: Vec<Duration>,
    /// Why it had to give up.
    pub error: Option<String>,
}

/// Makes the topics of all.
///
/// # Errors
/// When the broker refuses one.
pub fn create_topics(address: &str) -> Result<()> {
    let topic = |name: &str, num_partitions, configs: &[(&str, &str)]| CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor: 1,
        configs: configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: (*name).into(),
                value: Some(KStr::from(*value)),
            })
            .collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![
            topic(GOOD_TOPIC, 1, &[]),
            topic(BAD_TOPIC, 1, &[("max.message.bytes", "20000000")]),
            topic(COMPACTED_TOPIC, 1, &[("cleanup.policy", "compact")]),
            topic(WIDE_TOPIC, WIDE_PARTITIONS, &[]),
        ],
        ..CreateTopicsRequest::default()
    };
    for topic in Connection::open(address)?.call(7, &request)?.topics {
        let (code, name) = (topic.error_code, topic.name);
        ensure!(code == 0, "create {name}: error {code}");
    }
    Ok(())
}

/// Retention takes what is older than a week.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// A produce of one batch to a topic's only partition.
pub fn produce(topic: &str, records: bytes::Bytes) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(records.into()),
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

/// A fetch of a topic's only partition.
pub fn fetch(topic: &str, offset: i64, wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 16 << 20,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                fetch_offset: offset,
                partition_max_bytes: 16 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}

impl Client {
    /// Produces and fetches, sends, receives and deletes for so long, each tenth time over new
    /// connections. An answer that does
    /// not come within [`ANSWER_WAIT`] ends it.
    pub fn measure((address, sqs): (&str, &str), length: Duration, sample: &dyn Fn()) -> Client {
        let began = Instant::now();
        let mut client = Client::default();
        let (mut connection, mut stream) = (None, None);
        while began.elapsed() < length && client.error.is_none() {
            let started = Instant::now();
            if client.took.len() % 10 == 9 {
                (connection, stream) = (None, None);
            }
            let both = round(address, &mut connection)
                .and_then(|()| sqs::round(sqs, &mut stream, ANSWER_WAIT));
            match both {
                Ok(()) => client.took.push(started.elapsed()),
                Err(error) => client.error = Some(format!("{error:#}")),
            }
            sample();
            thread::sleep(PAUSE);
        }
        client.took.sort();
        client
    }

    pub fn count(&self) -> usize {
        self.took.len()
    }

    pub fn p99_ms(&self) -> f64 {
        let at = (self.took.len() * 99).div_ceil(100).saturating_sub(1);
        self.took
            .get(at)
            .map_or(f64::INFINITY, |took| took.as_secs_f64() * 1e3)
    }

    pub fn worst_ms(&self) -> f64 {
        self.took
            .last()
            .map_or(f64::INFINITY, |took| took.as_secs_f64() * 1e3)
    }
}

/// Produces a batch and fetches it.
fn round(address: &str, connection: &mut Option<Connection>) -> Result<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let mut fresh = Connection::open(address)?;
            fresh.wait_at_most(ANSWER_WAIT)?;
            connection.insert(fresh)
        }
    };
    let value = [b'v'; VALUE_BYTES];
    let records = batch::single(&value, now_ms(), Producer::NONE);
    let answer = connection.call(PRODUCE_VERSION, &produce(GOOD_TOPIC, records))?;
    let partition = &answer.responses[0].partition_responses[0];
    ensure!(
        partition.error_code == 0,
        "produce: error {}",
        partition.error_code
    );
    let request = fetch(GOOD_TOPIC, partition.base_offset, 0);
    let answer = connection.call(FETCH_VERSION, &request)?;
    let partition = &answer.responses[0].partitions[0];
    ensure!(
        partition.error_code == 0,
        "fetch: error {}",
        partition.error_code
    );
    Ok(())
}
