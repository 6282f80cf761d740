//! CreateTopics 2-7 (KIP-4, KIP-464, KIP-525). There is one node: the replication factor is 1 or
//! "the default", and a manual assignment can only name that node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use futures_util::future::join_all;
use levada_engine::{NewTopic, TopicInfo, TopicSetting};
use levada_wire_kafka::messages::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use levada_wire_kafka::{Array, ErrorCode, KStr};

use super::configs::{self, Source};
use crate::NODE_ID;
use crate::call::Call;
use crate::deadline::Deadline;
use crate::errors::{Refusal, text, wire_id};

/// "The broker's default" for the number of partitions and the replication factor.
const DEFAULT: i32 = -1;
/// Most topics that one request creates at a time.
const CREATED_AT_ONCE_MAX: usize = 64;
/// The first version whose answer tells the topic's settings.
const CONFIGS_FROM: i16 = 5;

pub async fn handle(call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let deadline = Deadline::after(call.env(), request.timeout_ms);
    let mut named: BTreeMap<KStr, usize> = BTreeMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_default() += 1;
    }
    // As Kafka does: a name that comes twice is refused once.
    let mut seen = BTreeSet::new();
    let mut topics = Vec::with_capacity(named.len());
    let distinct = request
        .topics
        .into_iter()
        .filter(|topic| seen.insert(topic.name.clone()));
    let distinct: Vec<_> = distinct.collect();
    for some in distinct.chunks(CREATED_AT_ONCE_MAX) {
        let made = some.iter().map(|topic| async {
            let result = match named.get(&topic.name) {
                Some(1) => create(call, topic, request.validate_only, deadline).await,
                _ => {
                    let message = "the request names this topic more than once";
                    Err(Refusal::new(ErrorCode::InvalidRequest, message))
                }
            };
            answer(call, topic.name.clone(), result)
        });
        topics.extend(join_all(made).await);
    }
    CreateTopicsResponse {
        topics,
        ..Default::default()
    }
}

async fn create(
    call: &Call,
    topic: &CreatableTopic,
    validate_only: bool,
    deadline: Deadline,
) -> Result<TopicInfo, Refusal> {
    let partitions = match topic.assignments.is_empty() {
        true => check_numbers(topic)?,
        false => Some(check_assignments(topic)?),
    };
    let mut configs = Vec::with_capacity(topic.configs.len());
    for config in &topic.configs {
        let Some(value) = &config.value else {
            let message = format!("{} has no value", config.name);
            return Err(Refusal::new(ErrorCode::InvalidConfig, message));
        };
        configs.push((config.name.to_string(), value.to_string()));
    }
    let new = NewTopic {
        name: topic.name.to_string(),
        partitions,
        configs,
        validate_only,
    };
    let created = call.engine().create_topic(new);
    let info = deadline.wait(call.env(), created).await??;
    if !validate_only {
        let partitions = info.partitions;
        tracing::info!(topic = %info.name, partitions, client_id = call.client_id(), "topic created");
    }
    Ok(info)
}

fn check_numbers(topic: &CreatableTopic) -> Result<Option<u32>, Refusal> {
    let factor = topic.replication_factor;
    if i32::from(factor) != DEFAULT && i32::from(factor) != NODE_ID {
        let message = match factor {
            ..=0 => "the replication factor must be above 0, or -1 for the default".to_owned(),
            _ => format!(
                "the replication factor is {factor}, but there is one node: use 1 or -1 (how \
                 durable records are does not depend on it)"
            ),
        };
        return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    }
    match topic.num_partitions {
        DEFAULT => Ok(None),
        count if count > 0 => Ok(Some(count.unsigned_abs())),
        _ => {
            let message = "the number of partitions must be above 0, or -1 for the default";
            Err(Refusal::new(ErrorCode::InvalidPartitions, message))
        }
    }
}

fn check_assignments(topic: &CreatableTopic) -> Result<u32, Refusal> {
    if topic.num_partitions != DEFAULT || i32::from(topic.replication_factor) != DEFAULT {
        let message =
            "with a manual assignment, number of partitions and replication factor must be -1";
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    let invalid = |message: &str| Refusal::new(ErrorCode::InvalidReplicaAssignment, message);
    let mut indexes = BTreeSet::new();
    for assignment in &topic.assignments {
        if assignment.broker_ids != [NODE_ID] {
            return Err(invalid("each partition can only be assigned to node 1"));
        }
        if !indexes.insert(assignment.partition_index) {
            return Err(invalid("a partition is assigned more than once"));
        }
    }
    let count = i32::try_from(indexes.len()).unwrap_or(i32::MAX);
    match indexes.first() == Some(&0) && indexes.last() == Some(&(count - 1)) {
        true => Ok(count.unsigned_abs()),
        false => Err(invalid("partitions must be numbered from 0 without a gap")),
    }
}

fn answer(call: &Call, name: KStr, result: Result<TopicInfo, Refusal>) -> CreatableTopicResult {
    match result {
        Ok(info) => CreatableTopicResult {
            name,
            topic_id: wire_id(info.id),
            error_message: None,
            num_partitions: i32::try_from(info.partitions).unwrap_or(i32::MAX),
            replication_factor: NODE_ID as i16,
            configs: (call.version() >= CONFIGS_FROM).then(|| settings(&info)),
            ..Default::default()
        },
        Err(refusal) => CreatableTopicResult {
            name,
            error_code: call.code(refusal.code),
            error_message: text(refusal.message),
            ..Default::default()
        },
    }
}

/// Those of every topic that has none of its own: one list for all of them.
static DEFAULTS: LazyLock<Arc<[CreatableTopicConfigs]>> =
    LazyLock::new(|| configs::would_be(&[]).into_iter().map(field).collect());

/// The settings as they act; of a topic that was only checked, what they would be.
fn settings(info: &TopicInfo) -> Array<CreatableTopicConfigs> {
    if info.configs.is_empty() {
        return Array::Shared(Arc::clone(&DEFAULTS));
    }
    let settings = configs::would_be(&info.configs);
    Array::Rows(settings.into_iter().map(field).collect())
}

fn field(setting: TopicSetting) -> CreatableTopicConfigs {
    CreatableTopicConfigs {
        name: KStr::from_static(setting.definition.name),
        config_source: Source::of(setting.source).code(),
        value: Some(KStr::from(setting.value)),
        read_only: false,
        is_sensitive: false,
    }
}
