//! OffsetFetch 1-9: one group, or from version 8 on many (KIP-709); null topics mean all.
//!
//! `require_stable` needs no waiting: there are no offsets of open transactions.

use levada_engine::GroupError;
use levada_engine::groups::{CommittedOffset, FetchedOffsets, TopicPartitions};
use levada_wire_kafka::KStr;
use levada_wire_kafka::messages::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};

use super::codes::code;
use crate::call::Call;

/// The first version with many groups.
const BATCHED_FROM: i16 = 8;
/// The first version with an error for the whole answer.
const ERROR_FROM: i16 = 2;

pub async fn handle(call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version() >= BATCHED_FROM {
        let groups = request
            .groups
            .into_iter()
            .map(|group| fetch_group(call, group));
        return OffsetFetchResponse {
            groups: groups.collect(),
            ..Default::default()
        };
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| TopicPartitions {
            name: topic.name.to_string(),
            partitions: topic.partition_indexes,
        });
        topics.collect::<Vec<_>>()
    });
    let asked = topics.clone().unwrap_or_default();
    match call
        .engine()
        .groups()
        .fetch_offsets(&request.group_id, topics)
    {
        Ok(fetched) => OffsetFetchResponse {
            topics: fetched.into_iter().map(answer_topic).collect(),
            ..Default::default()
        },
        Err(error) => refuse(call, asked, error),
    }
}

/// Version 1 can tell an error for each partition only.
fn refuse(call: &Call, asked: Vec<TopicPartitions>, error: GroupError) -> OffsetFetchResponse {
    let error_code = code(call, Err(error));
    if call.version() >= ERROR_FROM {
        return OffsetFetchResponse {
            error_code,
            ..Default::default()
        };
    }
    let topics = asked.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name.into(),
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition_index| OffsetFetchResponsePartition {
                partition_index,
                committed_offset: -1,
                error_code,
                ..Default::default()
            })
            .collect(),
    });
    OffsetFetchResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

fn fetch_group(call: &Call, group: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let topics = group.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| TopicPartitions {
            name: topic.name.to_string(),
            partitions: topic.partition_indexes,
        });
        topics.collect()
    });
    let (error, fetched) = match call
        .engine()
        .groups()
        .fetch_offsets(&group.group_id, topics)
    {
        Ok(fetched) => (Ok(()), fetched),
        Err(error) => (Err(error), Vec::new()),
    };
    OffsetFetchResponseGroup {
        group_id: group.group_id,
        topics: fetched.into_iter().map(answer_topics).collect(),
        error_code: code(call, error),
    }
}

/// Offset, leader epoch and metadata as Kafka says them; -1 where nothing is committed.
fn committed_parts(committed: Option<CommittedOffset>) -> (i64, i32, Option<KStr>) {
    committed.map_or((-1, -1, Some(KStr::new())), |committed| {
        let metadata = KStr::from(committed.metadata.into_string());
        (committed.offset.0, committed.leader_epoch, Some(metadata))
    })
}

fn answer_topic(fetched: FetchedOffsets) -> OffsetFetchResponseTopic {
    let partitions = fetched
        .partitions
        .into_iter()
        .map(|(partition_index, committed)| {
            let (committed_offset, committed_leader_epoch, metadata) = committed_parts(committed);
            OffsetFetchResponsePartition {
                partition_index,
                committed_offset,
                committed_leader_epoch,
                metadata,
                error_code: 0,
            }
        });
    OffsetFetchResponseTopic {
        name: fetched.name.into(),
        partitions: partitions.collect(),
    }
}

fn answer_topics(fetched: FetchedOffsets) -> OffsetFetchResponseTopics {
    let partitions = fetched
        .partitions
        .into_iter()
        .map(|(partition_index, committed)| {
            let (committed_offset, committed_leader_epoch, metadata) = committed_parts(committed);
            OffsetFetchResponsePartitions {
                partition_index,
                committed_offset,
                committed_leader_epoch,
                metadata,
                error_code: 0,
            }
        });
    OffsetFetchResponseTopics {
        name: fetched.name.into(),
        partitions: partitions.collect(),
        ..Default::default()
    }
}
