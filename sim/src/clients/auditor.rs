//! The auditor: when the run is over, reads back everything that is left.

use std::sync::Arc;

use levada_model::Offset;
use levada_wire_kafka::ErrorCode;

use super::fetch::{By, fetch};
use super::link::{Link, is, is_gone};
use super::member::fetch_committed;
use super::reader::step_over;
use super::{ClientId, group_name, queues};
use crate::history::{End, ListedTopic, Retention};
use crate::world::{KnownTopic, Phase, World};

/// The auditor's number.
const AUDITOR: ClientId = ClientId(99);

/// Waits for the audit and does it.
pub async fn audit(world: Arc<World>) -> turmoil::Result {
    let mut link = Link::new(world.clone(), AUDITOR);
    while world.phase() != Phase::Audit {
        link.rest(20).await;
    }
    let topics = loop {
        match link.list_topics().await {
            Some(topics) => break topics,
            None => link.rest(100).await,
        }
    };
    for topic in &topics {
        let topic = known(topic);
        for partition in 0..topic.partitions {
            read_back(&mut link, &topic, partition).await;
            for group in 0..world.plan.crew.groups {
                let name = group_name(group);
                while fetch_committed(&mut link, &name, &topic, partition)
                    .await
                    .is_none()
                {
                    link.rest(100).await;
                }
            }
        }
    }
    queues::drain(link).await;
    Ok(())
}

fn known(topic: &ListedTopic) -> KnownTopic {
    KnownTopic {
        name: topic.name.clone(),
        id: topic.id,
        partitions: topic.partitions,
        retention: Retention::Keep,
    }
}

async fn offset(link: &mut Link, topic: &KnownTopic, partition: i32, end: End) -> Option<Offset> {
    loop {
        match link.list_offset(topic, partition, end).await {
            Some(Ok(offset)) => return Some(offset),
            Some(Err(code)) if is_gone(code) => return None,
            _ => link.rest(100).await,
        }
    }
}

async fn read_back(link: &mut Link, topic: &KnownTopic, partition: i32) {
    let Some(mut from) = offset(link, topic, partition, End::Earliest).await else {
        return;
    };
    let Some(end) = offset(link, topic, partition, End::Latest).await else {
        return;
    };
    // At least once: the answer tells the log's start and end of this topic and no other.
    loop {
        match fetch(link, topic, partition, from, 0, By::Id).await {
            Some(Ok(fetched)) => from = fetched.next,
            // Retention goes on.
            Some(Err(code)) if is(code, ErrorCode::OffsetOutOfRange) => {
                match offset(link, topic, partition, End::Earliest).await {
                    // A fetch there tells the log's start of this topic.
                    Some(earliest) => {
                        from = earliest.max(step_over(from));
                        continue;
                    }
                    None => return,
                }
            }
            Some(Err(code)) if is_gone(code) => return,
            Some(Err(code)) if is(code, ErrorCode::CorruptMessage) => from = step_over(from),
            Some(Err(_)) | None => {
                link.rest(100).await;
                continue;
            }
        }
        if from >= end {
            return;
        }
    }
}
