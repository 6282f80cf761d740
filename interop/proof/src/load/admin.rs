//! The few requests about topics that the load and the checks need.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::*;

use super::ledger::Place;
use crate::connection::Connection;

/// ListOffsets' names for the log start and the end.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Creates a topic.
///
/// # Errors
/// When the broker refuses.
pub fn create_topic(
    address: &str,
    name: &str,
    num_partitions: i32,
    configs: &[(String, String)],
) -> Result<()> {
    let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: name.as_str().into(),
        value: Some(value.as_str().into()),
    });
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: name.into(),
            num_partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        }],
        timeout_ms: 10_000,
        ..CreateTopicsRequest::default()
    };
    let answer = Connection::open(address)?.call(7, &request)?;
    for topic in answer.topics {
        ensure!(
            topic.error_code == 0,
            "create {}: error {}",
            topic.name,
            topic.error_code
        );
    }
    Ok(())
}

/// Deletes a topic; that it was not there is as good, since an answer may have been lost.
///
/// # Errors
/// When the broker refuses.
pub fn delete_topic(address: &str, name: &str) -> Result<()> {
    let request = DeleteTopicsRequest {
        topic_names: vec![name.into()],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    let answer = Connection::open(address)?.call(5, &request)?;
    for topic in answer.responses {
        match ErrorCode::try_from(topic.error_code) {
            Ok(ErrorCode::None | ErrorCode::UnknownTopicOrPartition) => {}
            _ => bail!("delete {name}: error {}", topic.error_code),
        }
    }
    Ok(())
}

/// Every topic's name.
///
/// # Errors
/// When the broker does not answer.
pub fn topic_names(address: &str) -> Result<BTreeSet<String>> {
    let request = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    let answer = Connection::open(address)?.call(9, &request)?;
    let names = answer.topics.into_iter().filter_map(|topic| topic.name);
    Ok(names.map(|name| name.to_string()).collect())
}

/// The first offset that is still there.
///
/// # Errors
/// When the broker does not say.
pub fn log_start(connection: &mut Connection, place: &Place) -> Result<i64> {
    list_offsets(connection, place, EARLIEST)
}

/// One past the last readable offset.
///
/// # Errors
/// When the broker does not say.
pub fn log_end(connection: &mut Connection, place: &Place) -> Result<i64> {
    list_offsets(connection, place, LATEST)
}

fn list_offsets(connection: &mut Connection, place: &Place, timestamp: i64) -> Result<i64> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: place.0.as_str().into(),
            partitions: vec![ListOffsetsPartition {
                partition_index: place.1,
                timestamp,
                ..ListOffsetsPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let answer = connection.call(5, &request)?;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let partition = partitions.into_iter().next().context("an empty answer")?;
    ensure!(
        partition.error_code == 0,
        "ListOffsets: error {}",
        partition.error_code
    );
    Ok(partition.offset)
}

/// The live bytes of every partition.
///
/// # Errors
/// When the broker does not answer.
pub fn live_bytes(address: &str) -> Result<Vec<(Place, u64)>> {
    let request = DescribeLogDirsRequest { topics: None };
    let answer = Connection::open(address)?.call(1, &request)?;
    let mut found = Vec::new();
    for topic in answer.results.into_iter().flat_map(|dir| dir.topics) {
        for partition in topic.partitions {
            let place = (topic.name.to_string(), partition.partition_index);
            let bytes = u64::try_from(partition.partition_size).unwrap_or(0);
            found.push((place, bytes));
        }
    }
    Ok(found)
}
