//! The requests, encoded once.

use anyhow::Result;
use levada_env::Env;
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};
use levada_wire_kafka::header::RequestHeader;
use levada_wire_kafka::messages::{
    FetchPartition, FetchRequest, FetchTopic, PartitionProduceData, ProduceRequest,
    TopicProduceData,
};
use levada_wire_kafka::{KStr, Records, Request, Uuid, Writer};

/// Versions as today's clients send them.
pub const PRODUCE_VERSION: i16 = 13;
pub const FETCH_VERSION: i16 = 17;

pub const RECORD_BYTES: usize = 1024;
pub const BATCH_RECORDS: usize = 62;
pub const SMALL_BYTES: usize = 100;
/// What a fetch asks for at most.
const FETCH_BYTES: i32 = 1 << 20;
const WAIT_MS: i32 = 30_000;

/// Requests to the one partition of a topic.
pub struct Frames {
    pub topic: Uuid,
}

impl Frames {
    /// One batch of `records` records of `bytes` random bytes each, acknowledged when durable.
    pub fn produce(&self, env: &Env, records: usize, bytes: usize) -> Result<Vec<u8>> {
        let mut builder = BatchBuilder::new(Compression::None);
        let mut value = vec![0; bytes];
        for _ in 0..records {
            env.random_bytes(&mut value);
            builder.push(&NewRecord {
                timestamp_ms: env.now_ms(),
                value: Some(&value),
                ..NewRecord::default()
            });
        }
        let batch = builder.finish(Producer::NONE)?;
        let request = ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: WAIT_MS,
            topic_data: vec![TopicProduceData {
                name: KStr::default(),
                topic_id: self.topic,
                partition_data: vec![PartitionProduceData {
                    index: 0,
                    records: Some(Records::from(batch)),
                }],
            }],
        };
        Ok(frame(&request, PRODUCE_VERSION))
    }

    /// From `offset` on, waiting for the first byte.
    pub fn fetch(&self, offset: i64) -> Vec<u8> {
        let partition = FetchPartition {
            fetch_offset: offset,
            partition_max_bytes: FETCH_BYTES,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: FETCH_BYTES,
            topics: vec![FetchTopic {
                topic: KStr::default(),
                topic_id: self.topic,
                partitions: vec![partition],
            }],
            ..FetchRequest::default()
        };
        frame(&request, FETCH_VERSION)
    }
}

fn frame<R: Request>(request: &R, version: i16) -> Vec<u8> {
    let mut writer = Writer::framed();
    RequestHeader {
        api_key: R::KEY.code(),
        api_version: version,
        correlation_id: 1,
        client_id: Some(KStr::from("levada-count")),
    }
    .encode(&mut writer);
    request.encode(&mut writer, version);
    writer.finish().into_bytes().to_vec()
}
