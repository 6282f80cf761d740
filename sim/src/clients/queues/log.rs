//! A reader of the queues' topics over Kafka: what was sent by SQS stands there as records.

use levada_model::Offset;
use levada_wire_kafka::messages::{
    FetchPartition, FetchRequest, FetchTopic, ListOffsetsPartition, ListOffsetsRequest,
    ListOffsetsTopic,
};
use levada_wire_kafka::{ErrorCode, KStr};

use super::actions::record;
use crate::clients::fetch::{BY_NAME_MAX, read};
use crate::clients::link::{Link, is};
use crate::history::{Answer, Op, QueueAnswer, QueueOp};
use crate::plan::Queue;

/// Reads the plan's queues until the run is calm.
pub async fn follow(mut link: Link) {
    let queues = link.world.plan.queues.clone();
    let mut next = vec![Offset::ZERO; queues.len()];
    while !link.is_ending() {
        link.rest(400).await;
        let index = link.random.below(queues.len() as u64) as usize;
        // Now and then from the start again.
        if link.random.one_in(8) {
            next[index] = Offset::ZERO;
        }
        match fetch(&mut link, &queues[index], next[index]).await {
            Some(Ok(read_to)) => next[index] = read_to,
            Some(Err(code)) if is(code, ErrorCode::OffsetOutOfRange) => {
                if let Some(start) = log_start(&mut link, &queues[index]).await {
                    next[index] = start;
                }
            }
            _ => {}
        }
    }
}

async fn fetch(link: &mut Link, queue: &Queue, from: Offset) -> Option<Result<Offset, i16>> {
    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 64 << 10,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: KStr::from_static(queue.name),
            partitions: vec![FetchPartition {
                partition: 0,
                fetch_offset: from.0,
                partition_max_bytes: 16 << 10,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let op = Op::Queue {
        queue: queue.name.to_owned(),
        op: QueueOp::Log { from },
    };
    let (call, answer) = link.call(op, &request, BY_NAME_MAX).await?;
    let data = answer.responses.first().and_then(|t| t.partitions.first());
    let code = match (answer.error_code, data) {
        (0, data) => data.map_or(-1, |data| data.error_code),
        (code, _) => code,
    };
    let run = data.and_then(|data| data.records.clone());
    let identify = |value: &[u8]| record(&String::from_utf8_lossy(value));
    let records = read(run.unwrap_or_default(), from, identify);
    let next = records.last().map_or(from, |(offset, _)| offset.plus(1));
    let ended = link.end(call, code, Answer::Queue(QueueAnswer::Log(records)));
    Some(ended.map(|()| next))
}

async fn log_start(link: &mut Link, queue: &Queue) -> Option<Offset> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: KStr::from_static(queue.name),
            partitions: vec![ListOffsetsPartition {
                partition_index: 0,
                timestamp: -2,
                ..Default::default()
            }],
        }],
        timeout_ms: 1_000,
        ..Default::default()
    };
    let answer = link.ask(&request).await?;
    let found = answer.topics.first().and_then(|t| t.partitions.first())?;
    (found.error_code == 0).then_some(Offset(found.offset))
}
