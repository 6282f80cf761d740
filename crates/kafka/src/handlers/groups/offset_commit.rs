//! OffsetCommit 2-9.

use levada_engine::groups::{CommitRequest, CommitTopic, PartitionCommit};
use levada_model::Offset;
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitResponse,
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::codes::{Results, text};
use crate::call::Call;

/// The first version that may be told that the group is unknown (KIP-848).
const GROUP_ID_NOT_FOUND_FROM: i16 = 9;

pub async fn handle(call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let commit = CommitRequest {
        group: request.group_id.to_string(),
        generation: request.generation_id_or_member_epoch,
        member: request.member_id.to_string(),
        instance: text(&request.group_instance_id),
        topics: request
            .topics
            .iter()
            .map(|topic| CommitTopic {
                name: topic.name.to_string(),
                partitions: topic.partitions.iter().map(partition_commit).collect(),
            })
            .collect(),
    };
    let mut results = Results::new(call.engine().groups().commit_offsets(commit).await);
    let mut partition = |partition: &OffsetCommitRequestPartition| {
        let code = results.next(call);
        let unknown = code == ErrorCode::GroupIdNotFound.code();
        let error_code = if unknown && call.version() < GROUP_ID_NOT_FOUND_FROM {
            ErrorCode::IllegalGeneration.code()
        } else {
            code
        };
        OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code,
        }
    };
    let topics = request.topics.into_iter();
    let topics = topics.map(|topic| OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(&mut partition).collect(),
    });
    OffsetCommitResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

fn partition_commit(partition: &OffsetCommitRequestPartition) -> PartitionCommit {
    PartitionCommit {
        partition: partition.partition_index,
        offset: Offset(partition.committed_offset),
        leader_epoch: partition.committed_leader_epoch,
        metadata: text(&partition.committed_metadata).unwrap_or_default(),
    }
}
