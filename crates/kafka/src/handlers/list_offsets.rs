//! ListOffsets 1-10: an offset by time, or one of a log's ends.

use std::collections::BTreeSet;

use levada_engine::{FoundOffset, OffsetSpec, TopicRef};
use levada_model::Epoch;
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

use crate::call::Call;
use crate::errors::of_read;

/// Negative timestamps and the versions that know them first.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: (i64, i16) = (-3, 7);
const EARLIEST_LOCAL: (i64, i16) = (-4, 8);
const LATEST_TIERED: (i64, i16) = (-5, 9);

pub async fn handle(call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = TopicRef::Name(topic.name.to_string());
        let twice = twice(&topic.partitions);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        let mut answered = BTreeSet::new();
        for asked in topic.partitions {
            if !answered.insert(asked.partition_index) {
                continue;
            }
            let result = match twice.contains(&asked.partition_index) {
                true => Err(ErrorCode::InvalidRequest),
                false => find(call, &name, &asked).await,
            };
            partitions.push(answer(call, asked.partition_index, result));
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name,
            partitions,
        });
    }
    ListOffsetsResponse {
        topics,
        ..Default::default()
    }
}

/// Partitions that are asked for more than once, which Kafka refuses, with one answer.
fn twice(partitions: &[ListOffsetsPartition]) -> BTreeSet<i32> {
    let mut seen = BTreeSet::new();
    let indexes = partitions.iter().map(|partition| partition.partition_index);
    indexes.filter(|index| !seen.insert(*index)).collect()
}

async fn find(
    call: &Call,
    topic: &TopicRef,
    asked: &ListOffsetsPartition,
) -> Result<FoundOffset, ErrorCode> {
    let known = |(time, since): (i64, i16)| asked.timestamp == time && call.version() >= since;
    let spec = match asked.timestamp {
        LATEST => OffsetSpec::Latest,
        EARLIEST => OffsetSpec::Earliest,
        time if time >= 0 => OffsetSpec::AtTime(time),
        _ if known(MAX_TIMESTAMP) => OffsetSpec::MaxTimestamp,
        // Everything is local here: nothing is tiered.
        _ if known(EARLIEST_LOCAL) => OffsetSpec::Earliest,
        _ if known(LATEST_TIERED) => OffsetSpec::Latest,
        _ => return Err(ErrorCode::UnsupportedVersion),
    };
    let found = call
        .engine()
        .find_offset(topic, asked.partition_index, spec)
        .await;
    let found = found.map_err(|error| of_read(&error))?;
    match asked.current_leader_epoch {
        newer if newer > Epoch::ONLY.0 => Err(ErrorCode::UnknownLeaderEpoch),
        _ if asked.timestamp == LATEST_TIERED.0 => Ok(FoundOffset {
            offset: -1,
            timestamp_ms: -1,
            leader_epoch: -1,
        }),
        _ => Ok(found),
    }
}

fn answer(
    call: &Call,
    partition_index: i32,
    result: Result<FoundOffset, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    match result {
        Ok(found) => ListOffsetsPartitionResponse {
            partition_index,
            error_code: ErrorCode::None.code(),
            timestamp: found.timestamp_ms,
            offset: found.offset,
            leader_epoch: found.leader_epoch,
        },
        Err(error) => ListOffsetsPartitionResponse {
            partition_index,
            error_code: call.code(error),
            ..Default::default()
        },
    }
}
