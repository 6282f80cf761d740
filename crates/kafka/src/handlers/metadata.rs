//! Metadata 0-13: where everything is. There is one node, so every partition is there.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use levada_engine::{AdminError, NewTopic, TopicInfo, TopicRef};
use levada_model::Epoch;
use levada_wire_kafka::messages::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use levada_wire_kafka::{Array, ErrorCode, KStr, Uuid};

use crate::NODE_ID;
use crate::call::Call;
use crate::errors::{model_id, of_admin, wire_id};

/// The value of "authorized operations" that nobody asked for.
pub const NOT_ASKED: i32 = i32::MIN;
/// Bits of Kafka's `AclOperation` that make sense for a topic: read, write, create, delete, alter,
/// describe, describe configs, alter configs.
pub const TOPIC_OPERATIONS: i32 =
    1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// And for the cluster: create, alter, describe, cluster action, describe configs, alter configs,
/// idempotent write.
pub const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;
/// Most topics that one request creates at a time.
const CREATED_AT_ONCE_MAX: usize = 64;

pub async fn handle(call: &Call, request: MetadataRequest) -> MetadataResponse {
    let operations = match request.include_topic_authorized_operations {
        true => TOPIC_OPERATIONS,
        false => NOT_ASKED,
    };
    let wanted = match request.topics {
        // In version 0 an empty list means all, later null does.
        Some(topics) if call.version() > 0 || !topics.is_empty() => Some(topics),
        _ => None,
    };
    let topics = match wanted {
        None => {
            let all = call.engine().topics();
            all.into_iter()
                .map(|topic| found(topic, operations))
                .collect()
        }
        Some(topics) => {
            let create = request.allow_auto_topic_creation && call.settings().auto_create_topics;
            describe(call, topics, create, operations).await
        }
    };
    let (host, port) = call.endpoint();
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: NODE_ID,
            host,
            port,
            rack: None,
        }],
        cluster_id: Some(KStr::from(call.engine().cluster_id())),
        controller_id: NODE_ID,
        topics,
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => NOT_ASKED,
        },
        ..Default::default()
    }
}

async fn describe(
    call: &Call,
    topics: Vec<MetadataRequestTopic>,
    create: bool,
    operations: i32,
) -> Vec<MetadataResponseTopic> {
    let mut seen = BTreeSet::new();
    let asked: Vec<_> = topics
        .into_iter()
        .filter(|topic| seen.insert((topic.topic_id, topic.name.clone())))
        .collect();
    let mut answers = Vec::with_capacity(asked.len());
    for some in asked.chunks(CREATED_AT_ONCE_MAX) {
        answers.extend(join_all(some.iter().map(|topic| one(call, topic, create))).await);
    }
    let answer = |(topic, result)| match result {
        Ok(info) => found(info, operations),
        Err(error) => missing(call, topic, error),
    };
    asked.into_iter().zip(answers).map(answer).collect()
}

async fn one(
    call: &Call,
    asked: &MetadataRequestTopic,
    create: bool,
) -> Result<TopicInfo, ErrorCode> {
    if !asked.topic_id.is_zero() {
        let topic = TopicRef::Id(model_id(asked.topic_id));
        return call.engine().topic(&topic).ok_or(ErrorCode::UnknownTopicId);
    }
    let name = asked.name.as_deref().unwrap_or_default();
    find_or_create(call, name, create).await
}

/// The topic of this name, made now if `create` says so.
pub async fn find_or_create(call: &Call, name: &str, create: bool) -> Result<TopicInfo, ErrorCode> {
    let topic = TopicRef::Name(name.to_owned());
    if let Some(info) = call.engine().topic(&topic) {
        return Ok(info);
    }
    let new = NewTopic {
        name: name.to_owned(),
        validate_only: !create,
        ..Default::default()
    };
    match call.engine().create_topic(new).await {
        Ok(info) if create => {
            tracing::info!(
                topic = name,
                client_id = call.client_id(),
                "topic created on demand"
            );
            Ok(info)
        }
        Ok(_) => Err(ErrorCode::UnknownTopicOrPartition),
        // Another request was faster.
        Err(AdminError::TopicExists(_)) => {
            let info = call.engine().topic(&topic);
            info.ok_or(ErrorCode::UnknownTopicOrPartition)
        }
        // The client asks again by itself.
        Err(AdminError::Storage(_)) => Err(ErrorCode::LeaderNotAvailable),
        Err(error) => Err(of_admin(&error)),
    }
}

fn missing(call: &Call, asked: MetadataRequestTopic, error: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code: call.code(error),
        name: match asked.topic_id.is_zero() {
            true => asked.name,
            false => None,
        },
        topic_id: asked.topic_id,
        topic_authorized_operations: NOT_ASKED,
        ..Default::default()
    }
}

fn found(topic: TopicInfo, operations: i32) -> MetadataResponseTopic {
    let topic_id: Uuid = wire_id(topic.id);
    // All partitions are alike: a million of them are not to lie in memory beside their answer.
    let partition = MetadataResponsePartition {
        error_code: ErrorCode::None.code(),
        partition_index: 0,
        leader_id: NODE_ID,
        leader_epoch: Epoch::ONLY.0,
        replica_nodes: vec![NODE_ID],
        isr_nodes: vec![NODE_ID],
        offline_replicas: Vec::new(),
    };
    MetadataResponseTopic {
        error_code: ErrorCode::None.code(),
        name: Some(KStr::from(topic.name)),
        topic_id,
        is_internal: false,
        partitions: Array::Numbered {
            row: Box::new(partition),
            count: topic.partitions,
            number: |partition, index| partition.partition_index = index as i32,
        },
        topic_authorized_operations: operations,
    }
}
