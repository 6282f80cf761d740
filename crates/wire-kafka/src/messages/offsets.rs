//! Offsets of a partition's log.

use crate::table::message;
use crate::types::KStr;

message! {
    /// Offset by time; negative times name the log's ends (KIP-79, KIP-734).
    message ListOffsetsRequest, flexible 6 {
        replica_id:      i32,                   0..;
        isolation_level: i8,                    2..;
        topics:          Vec<ListOffsetsTopic>, 0..;
        timeout_ms:      i32,                   10..;
    }

    part ListOffsetsTopic {
        name:       KStr,                      0..;
        partitions: Vec<ListOffsetsPartition>, 0..;
    }

    part ListOffsetsPartition {
        partition_index:      i32, 0..;
        current_leader_epoch: i32, 4.., default -1;
        timestamp:            i64, 0..;
    }

    /// The offset and time that were found.
    message ListOffsetsResponse, flexible 6 {
        throttle_time_ms: i32,                           2..;
        topics:           Vec<ListOffsetsTopicResponse>, 0..;
    }

    part ListOffsetsTopicResponse {
        name:       KStr,                              0..;
        partitions: Vec<ListOffsetsPartitionResponse>, 0..;
    }

    part ListOffsetsPartitionResponse {
        partition_index: i32, 0..;
        error_code:      i16, 0..;
        timestamp:       i64, 0.., default -1;
        offset:          i64, 0.., default -1;
        leader_epoch:    i32, 4.., default -1;
    }

    /// Where an epoch of a leader ended (KIP-101, KIP-320).
    message OffsetForLeaderEpochRequest, flexible 4 {
        replica_id: i32,                       3.., default -2;
        topics:     Vec<OffsetForLeaderTopic>, 0..;
    }

    part OffsetForLeaderTopic {
        topic:      KStr,                          0..;
        partitions: Vec<OffsetForLeaderPartition>, 0..;
    }

    part OffsetForLeaderPartition {
        partition:            i32, 0..;
        current_leader_epoch: i32, 0.., default -1;
        leader_epoch:         i32, 0..;
    }

    /// The end offset of each epoch asked for.
    message OffsetForLeaderEpochResponse, flexible 4 {
        throttle_time_ms: i32,                             0..;
        topics:           Vec<OffsetForLeaderTopicResult>, 0..;
    }

    part OffsetForLeaderTopicResult {
        topic:      KStr,                                            0..;
        partitions: Vec<OffsetForLeaderEpochResponseEpochEndOffset>, 0..;
    }

    part OffsetForLeaderEpochResponseEpochEndOffset {
        error_code:   i16, 0..;
        partition:    i32, 0..;
        leader_epoch: i32, 0.., default -1;
        end_offset:   i64, 0.., default -1;
    }

    /// Moves a partition's start forward (KIP-107).
    message DeleteRecordsRequest, flexible 2 {
        topics:     Vec<DeleteRecordsTopic>, 0..;
        timeout_ms: i32,                     0..;
    }

    part DeleteRecordsTopic {
        name:       KStr,                        0..;
        partitions: Vec<DeleteRecordsPartition>, 0..;
    }

    part DeleteRecordsPartition {
        partition_index: i32, 0..;
        offset:          i64, 0..;
    }

    /// The new start of each partition.
    message DeleteRecordsResponse, flexible 2 {
        throttle_time_ms: i32,                           0..;
        topics:           Vec<DeleteRecordsTopicResult>, 0..;
    }

    part DeleteRecordsTopicResult {
        name:       KStr,                              0..;
        partitions: Vec<DeleteRecordsPartitionResult>, 0..;
    }

    part DeleteRecordsPartitionResult {
        partition_index: i32, 0..;
        low_watermark:   i64, 0..;
        error_code:      i16, 0..;
    }
}
