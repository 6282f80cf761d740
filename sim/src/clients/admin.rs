//! The administrator: creates topics and deletes them, moves log starts, deletes groups.

use levada_model::{Offset, TopicId};
use levada_wire_kafka::messages::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic, DeleteTopicState,
    DeleteTopicsRequest,
};
use levada_wire_kafka::{KStr, Uuid};

use super::group_name;
use super::link::{Link, by_name, is_gone, uuid};
use crate::history::{Answer, End, Op, Retention, Topic};
use crate::world::{KnownTopic, UNIQUE_NAME};

/// Topics that exist at a time.
const TOPICS_MAX: usize = 4;
/// Some names are used again, so that a deleted topic's ghost would be seen in its successor.
const REUSED_NAMES: u64 = 2;

/// Administers until the run is calm.
pub async fn work(mut link: Link) {
    while !link.is_ending() {
        let count = link.world.topics.lock().len();
        if count < 2 {
            create(&mut link).await;
            continue;
        }
        link.rest(1_500).await;
        match link.random.below(10) {
            0 | 1 if count < TOPICS_MAX => create(&mut link).await,
            2 | 3 => delete(&mut link).await,
            4 | 5 => delete_records(&mut link).await,
            6 => delete_group(&mut link).await,
            _ => {
                link.list_topics().await;
            }
        }
    }
}

async fn create(link: &mut Link) {
    let name = match link.random.below(3) {
        0 => format!("again{}", link.random.below(REUSED_NAMES)),
        _ => format!("{UNIQUE_NAME}{}", link.recorder().fresh_record()),
    };
    let partitions = 1 + link.random.below(3) as i32;
    let (retention, configs) = match link.random.below(3) {
        0 => (Retention::Trim, vec![("retention.bytes", "16384")]),
        1 => (Retention::Trim, vec![("retention.ms", "2500")]),
        _ => (Retention::Keep, vec![("retention.ms", "-1")]),
    };
    let configs = configs
        .into_iter()
        .map(|(name, value)| CreatableTopicConfig {
            name: KStr::from_static(name),
            value: Some(KStr::from_static(value)),
        });
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: KStr::from(name.as_str()),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        }],
        timeout_ms: 1_000,
        validate_only: false,
    };
    let op = Op::CreateTopic {
        name: name.clone(),
        partitions,
        retention,
    };
    let Some((call, answer)) = link.call(op, &request, i16::MAX).await else {
        return adopt(link, retention).await;
    };
    let (code, id) = answer
        .topics
        .first()
        .map_or((-1, Uuid::ZERO), |topic| (topic.error_code, topic.topic_id));
    let id = TopicId(id.0);
    if link.end(call, code, Answer::Created { id }).is_ok() {
        link.world.topics.lock().push(KnownTopic {
            name,
            id,
            partitions,
            retention,
        });
    } else {
        adopt(link, retention).await;
    }
}

/// Learns of topics whose creation was not answered. Their retention may be any that was asked for.
async fn adopt(link: &mut Link, retention: Retention) {
    link.rest(100).await;
    let Some(found) = link.list_topics().await else {
        return;
    };
    let mut topics = link.world.topics.lock();
    for topic in found {
        if !topics.iter().any(|known| known.id == topic.id) {
            topics.push(KnownTopic {
                name: topic.name,
                id: topic.id,
                partitions: topic.partitions,
                retention,
            });
        }
    }
}

async fn delete(link: &mut Link) {
    let Some(topic) = link.world.any_topic(&link.random) else {
        return;
    };
    let named = link.random.one_in(2);
    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: named.then(|| KStr::from(topic.name.as_str())),
            topic_id: if named { Uuid::ZERO } else { uuid(topic.id) },
        }],
        timeout_ms: 1_000,
        ..Default::default()
    };
    let op = Op::DeleteTopic {
        topic: Topic {
            name: topic.name.clone(),
            id: (!named).then_some(topic.id),
        },
    };
    let Some((call, answer)) = link.call(op, &request, i16::MAX).await else {
        return;
    };
    let code = answer.responses.first().map_or(-1, |done| done.error_code);
    let ended = link.end(call, code, Answer::Done);
    if ended.is_ok() || ended.is_err_and(is_gone) {
        let mut topics = link.world.topics.lock();
        topics.retain(|known| known.id != topic.id);
    }
}

async fn delete_records(link: &mut Link) {
    let Some(topic) = link.world.any_topic(&link.random) else {
        return;
    };
    if topic.is_name_reused() {
        return;
    }
    let partition = link.random.below(topic.partitions as u64) as i32;
    let Some(Ok(end)) = link.list_offset(&topic, partition, End::Latest).await else {
        return;
    };
    let before = link.random.below(end.0.max(0) as u64 + 1) as i64;
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: KStr::from(topic.name.as_str()),
            partitions: vec![DeleteRecordsPartition {
                partition_index: partition,
                offset: before,
            }],
        }],
        timeout_ms: 1_000,
    };
    let op = Op::DeleteRecords {
        at: by_name(&topic, partition),
        before: Offset(before),
    };
    let Some((call, answer)) = link.call(op, &request, i16::MAX).await else {
        return;
    };
    let found = answer.topics.first().and_then(|t| t.partitions.first());
    let (code, low) = found.map_or((-1, -1), |p| (p.error_code, p.low_watermark));
    let _ = link.end(call, code, Answer::At(Offset(low)));
}

async fn delete_group(link: &mut Link) {
    if link.world.plan.crew.groups == 0 {
        return;
    }
    let group = group_name(link.random.below(link.world.plan.crew.groups));
    let request = DeleteGroupsRequest {
        groups_names: vec![KStr::from(group.as_str())],
    };
    let Some((call, answer)) = link
        .call(Op::DeleteGroup { group }, &request, i16::MAX)
        .await
    else {
        return;
    };
    let code = answer.results.first().map_or(-1, |done| done.error_code);
    let _ = link.end(call, code, Answer::Done);
}
