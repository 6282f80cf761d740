//! OffsetForLeaderEpoch 2-4 (KIP-101, KIP-320): where an epoch ended. There is one epoch for ever.

use levada_engine::TopicRef;
use levada_wire_kafka::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderEpochResponseEpochEndOffset, OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
};

use crate::call::Call;
use crate::errors::of_read;

pub async fn handle(
    call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topic = |topic: levada_wire_kafka::messages::OffsetForLeaderTopic| {
        let name = TopicRef::Name(topic.topic.to_string());
        let partitions = topic.partitions.iter();
        OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            partitions: partitions.map(|asked| find(call, &name, asked)).collect(),
        }
    };
    OffsetForLeaderEpochResponse {
        topics: request.topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}

fn find(
    call: &Call,
    topic: &TopicRef,
    asked: &OffsetForLeaderPartition,
) -> OffsetForLeaderEpochResponseEpochEndOffset {
    let partition = asked.partition;
    let (current, wanted) = (asked.current_leader_epoch, asked.leader_epoch);
    let end = call
        .engine()
        .epoch_end_offset(topic, partition, current, wanted);
    let (error_code, (leader_epoch, end_offset)) = match end {
        Ok(end) => (0, end),
        Err(error) => (call.code(of_read(&error)), (-1, -1)),
    };
    OffsetForLeaderEpochResponseEpochEndOffset {
        error_code,
        partition,
        leader_epoch,
        end_offset,
    }
}
