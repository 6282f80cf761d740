//! DescribeTopicPartitions 0 (KIP-966): partitions page by page, in the order of topic names.

use std::collections::BTreeSet;

use levada_engine::TopicInfo;
use levada_model::Epoch;
use levada_wire_kafka::messages::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponseCursor, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use levada_wire_kafka::{ErrorCode, KStr};

use super::metadata::{TOPIC_OPERATIONS, find_or_create};
use crate::NODE_ID;
use crate::call::Call;
use crate::errors::wire_id;

/// Most partitions in an answer (Kafka: `max.request.partition.size.limit`).
const PARTITIONS_MAX: i32 = 2000;

pub async fn handle(
    call: &Call,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    if request
        .cursor
        .as_ref()
        .is_some_and(|cursor| cursor.partition_index < 0)
    {
        let topics = request.topics.into_iter();
        return DescribeTopicPartitionsResponse {
            topics: topics
                .map(|t| missing(call, t.name, ErrorCode::InvalidRequest))
                .collect(),
            ..Default::default()
        };
    }
    let all = request.topics.is_empty();
    let mut names: BTreeSet<KStr> = match all {
        true => {
            let topics = call.engine().topics().into_iter();
            topics.map(|topic| KStr::from(topic.name)).collect()
        }
        false => request.topics.into_iter().map(|topic| topic.name).collect(),
    };
    let (first, mut skip) = match request.cursor {
        Some(cursor) => (cursor.topic_name, cursor.partition_index),
        None => (KStr::new(), 0),
    };
    names.retain(|name| *name >= first);
    // The cursor counts for its own topic only, which may be gone.
    if names.first() != Some(&first) {
        skip = 0;
    }
    let mut left = request.response_partition_limit.clamp(1, PARTITIONS_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        if left == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let info = match find_or_create(call, &name, false).await {
            Ok(info) => info,
            // A topic that went while all were listed was not asked for.
            Err(_) if all => continue,
            Err(error) => {
                response.topics.push(DescribeTopicPartitionsResponseTopic {
                    topic_authorized_operations: TOPIC_OPERATIONS,
                    ..missing(call, name, error)
                });
                continue;
            }
        };
        let count = i32::try_from(info.partitions).unwrap_or(i32::MAX);
        let end = count.min(skip.saturating_add(left));
        response.topics.push(page(&info, skip.min(count)..end));
        left -= (end - skip).max(0);
        if end < count {
            response.next_cursor = Some(cursor(name, end));
            break;
        }
        skip = 0;
    }
    response
}

fn cursor(topic_name: KStr, partition_index: i32) -> DescribeTopicPartitionsResponseCursor {
    DescribeTopicPartitionsResponseCursor {
        topic_name,
        partition_index,
    }
}

fn missing(call: &Call, name: KStr, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: call.code(error),
        name: Some(name),
        ..Default::default()
    }
}

fn page(topic: &TopicInfo, range: std::ops::Range<i32>) -> DescribeTopicPartitionsResponseTopic {
    let partition = |index| DescribeTopicPartitionsResponsePartition {
        partition_index: index,
        leader_id: NODE_ID,
        leader_epoch: Epoch::ONLY.0,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..Default::default()
    };
    DescribeTopicPartitionsResponseTopic {
        name: Some(KStr::from(&*topic.name)),
        topic_id: wire_id(topic.id),
        partitions: range.map(partition).collect(),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}
