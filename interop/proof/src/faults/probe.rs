//! Single requests that find out what a broker answers now.

use anyhow::{Context, Result};
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::*;

use crate::batch;
use crate::connection::Connection;
use crate::load::ledger::{Ledger, Place};
use crate::load::producer::{now_ms, request};

/// Produces a little without a producer id, and says what the answer was.
///
/// # Errors
/// When there is no answer.
pub fn produce(address: &str, place: &Place) -> Result<ErrorCode> {
    let request = request(place, batch::plain(1, now_ms()));
    let answer = Connection::open(address)?.call(9, &request)?;
    let topics = answer.responses.into_iter();
    let mut partitions = topics.flat_map(|topic| topic.partition_responses);
    code(partitions.next().context("an empty answer")?.error_code)
}

/// Fetches from an offset, and says what the answer was.
///
/// # Errors
/// When there is no answer.
pub fn fetch(address: &str, place: &Place, offset: i64) -> Result<ErrorCode> {
    let request = FetchRequest {
        max_wait_ms: 0,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: place.0.as_str().into(),
            partitions: vec![FetchPartition {
                partition: place.1,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let answer = Connection::open(address)?.call(12, &request)?;
    let topics = answer.responses.into_iter();
    let mut partitions = topics.flat_map(|topic| topic.partitions);
    code(partitions.next().context("an empty answer")?.error_code)
}

/// Commits an offset, and says what the answer was; the ledger keeps it if it was taken.
///
/// # Errors
/// When there is no answer.
pub fn commit(
    address: &str,
    group: &str,
    place: &Place,
    offset: i64,
    ledger: &Ledger,
) -> Result<ErrorCode> {
    let request = OffsetCommitRequest {
        group_id: group.into(),
        topics: vec![OffsetCommitRequestTopic {
            name: place.0.as_str().into(),
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: place.1,
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let answer = Connection::open(address)?.call(8, &request)?;
    let topics = answer.topics.into_iter();
    let mut partitions = topics.flat_map(|topic| topic.partitions);
    let code = code(partitions.next().context("an empty answer")?.error_code)?;
    if code == ErrorCode::None {
        ledger.commit(group, place, offset);
    }
    Ok(code)
}

/// Sets one setting of a topic.
///
/// # Errors
/// When there is no answer.
pub fn alter(address: &str, topic: &str, name: &str, value: &str) -> Result<ErrorCode> {
    const TOPIC: i8 = 2;
    const SET: i8 = 0;
    let request = IncrementalAlterConfigsRequest {
        resources: vec![IncrementalAlterConfigsRequestAlterConfigsResource {
            resource_type: TOPIC,
            resource_name: topic.into(),
            configs: vec![IncrementalAlterConfigsRequestAlterableConfig {
                name: name.into(),
                config_operation: SET,
                value: Some(value.into()),
            }],
        }],
        validate_only: false,
    };
    let answer = Connection::open(address)?.call(1, &request)?;
    let mut responses = answer.responses.into_iter();
    code(responses.next().context("an empty answer")?.error_code)
}

fn code(code: i16) -> Result<ErrorCode> {
    ErrorCode::try_from(code)
        .ok()
        .with_context(|| format!("error code {code}"))
}
