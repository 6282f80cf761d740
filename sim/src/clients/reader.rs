//! Readers without a group: they follow a partition, and go elsewhere now and then.

use levada_model::Offset;
use levada_wire_kafka::ErrorCode;

use super::fetch::{By, fetch};
use super::link::{Link, is, is_gone};
use crate::history::End;
use crate::world::KnownTopic;

/// Reads until the run is calm.
pub async fn work(mut link: Link) {
    while !link.is_ending() {
        link.rest(100).await;
        let Some(topic) = link.world.any_topic(&link.random) else {
            continue;
        };
        let partition = link.random.below(topic.partitions as u64) as i32;
        let steps = 5 + link.random.below(40);
        follow(&mut link, &topic, partition, steps).await;
    }
}

async fn follow(link: &mut Link, topic: &KnownTopic, partition: i32, steps: u64) {
    let end = match link.random.below(3) {
        0 => End::Latest,
        _ => End::Earliest,
    };
    let Some(Ok(mut from)) = link.list_offset(topic, partition, end).await else {
        return;
    };
    for _ in 0..steps {
        if link.is_ending() {
            return;
        }
        let wait_ms = link.random.below(300) as i32;
        match fetch(link, topic, partition, from, wait_ms, By::Either).await {
            Some(Ok(fetched)) => from = fetched.next,
            Some(Err(code)) if is(code, ErrorCode::OffsetOutOfRange) => {
                let earliest = link.list_offset(topic, partition, End::Earliest).await;
                let Some(Ok(earliest)) = earliest else { return };
                from = earliest;
            }
            Some(Err(code)) if is_gone(code) => return,
            // A damaged frame cannot be read: the next one can.
            Some(Err(code)) if is(code, ErrorCode::CorruptMessage) => from = step_over(from),
            Some(Err(_)) | None => link.rest(200).await,
        }
    }
}

/// The offset behind one that cannot be read.
pub fn step_over(offset: Offset) -> Offset {
    offset.plus(1)
}
