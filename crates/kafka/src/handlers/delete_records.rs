//! DeleteRecords 0-2 (KIP-107): moves the start of partitions forward.

use levada_engine::{AdminError, TopicRef};
use levada_model::Offset;
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use crate::call::Call;
use crate::deadline::Deadline;
use crate::errors::of_admin;

/// "Everything up to the high watermark".
const HIGH_WATERMARK: i64 = -1;

pub async fn handle(call: &Call, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let deadline = Deadline::after(call.env(), request.timeout_ms);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = TopicRef::Name(topic.name.to_string());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let deleted = match keeps_all(call, &name) {
                true => Err(ErrorCode::PolicyViolation),
                false => match deadline.wait(call.env(), delete(call, &name, &asked)).await {
                    Ok(deleted) => deleted.map_err(|error| of_admin(&error)),
                    Err(late) => Err(late.code),
                },
            };
            let (error_code, low_watermark) = match deleted {
                Ok(start) => (0, start.0),
                Err(error) => (call.code(error), -1),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark,
                error_code,
            });
        }
        topics.push(DeleteRecordsTopicResult {
            name: topic.name,
            partitions,
        });
    }
    DeleteRecordsResponse {
        topics,
        ..Default::default()
    }
}

/// Whether the topic is compacted only: then records go by their keys, not by their age.
fn keeps_all(call: &Call, topic: &TopicRef) -> bool {
    let info = call.engine().topic(topic);
    info.is_some_and(|info| {
        let mut configs = info.configs.iter();
        configs.any(|(name, value)| name == "cleanup.policy" && !value.contains("delete"))
    })
}

async fn delete(
    call: &Call,
    topic: &TopicRef,
    asked: &DeleteRecordsPartition,
) -> Result<Offset, AdminError> {
    let before = (asked.offset != HIGH_WATERMARK).then_some(Offset(asked.offset));
    call.engine()
        .delete_records(topic, asked.partition_index, before)
        .await
}
