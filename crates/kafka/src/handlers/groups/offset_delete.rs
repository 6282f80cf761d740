//! OffsetDelete 0 (KIP-496).

use levada_engine::groups::TopicPartitions;
use levada_wire_kafka::messages::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::codes::{Results, code};
use crate::call::Call;

pub async fn handle(call: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter();
        TopicPartitions {
            name: topic.name.to_string(),
            partitions: partitions
                .map(|partition| partition.partition_index)
                .collect(),
        }
    });
    let groups = call.engine().groups();
    let results = match groups
        .delete_offsets(&request.group_id, topics.collect())
        .await
    {
        Ok(results) => results,
        Err(error) => {
            return OffsetDeleteResponse {
                error_code: code(call, Err(error)),
                ..Default::default()
            };
        }
    };
    let mut results = Results::new(results);
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter();
        OffsetDeleteResponseTopic {
            name: topic.name,
            partitions: partitions
                .map(|partition| OffsetDeleteResponsePartition {
                    partition_index: partition.partition_index,
                    error_code: results.next(call),
                })
                .collect(),
        }
    });
    OffsetDeleteResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}
