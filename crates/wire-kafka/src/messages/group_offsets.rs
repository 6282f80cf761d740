//! Offsets that groups have committed.

use crate::table::message;
use crate::types::{KStr, Uuid};

message! {
    /// Offsets to commit for a group (KIP-848 for member epochs).
    message OffsetCommitRequest, flexible 8 {
        group_id:                      KStr,                          0..;
        generation_id_or_member_epoch: i32,                           0.., default -1;
        member_id:                     KStr,                          0..;
        group_instance_id:             Option<KStr>,                  7..;
        retention_time_ms:             i64,                           0..=4, default -1;
        topics:                        Vec<OffsetCommitRequestTopic>, 0..;
    }

    part OffsetCommitRequestTopic {
        name:       KStr,                              0..=9;
        topic_id:   Uuid,                              10..;
        partitions: Vec<OffsetCommitRequestPartition>, 0..;
    }

    part OffsetCommitRequestPartition {
        partition_index:        i32,          0..;
        committed_offset:       i64,          0..;
        committed_leader_epoch: i32,          6.., default -1;
        committed_metadata:     Option<KStr>, 0.., default Some(KStr::new());
    }

    /// The result for each partition.
    message OffsetCommitResponse, flexible 8 {
        throttle_time_ms: i32,                            3..;
        topics:           Vec<OffsetCommitResponseTopic>, 0..;
    }

    part OffsetCommitResponseTopic {
        name:       KStr,                               0..=9;
        topic_id:   Uuid,                               10..;
        partitions: Vec<OffsetCommitResponsePartition>, 0..;
    }

    part OffsetCommitResponsePartition {
        partition_index: i32, 0..;
        error_code:      i16, 0..;
    }

    /// Asks for committed offsets; null topics mean all (KIP-709).
    message OffsetFetchRequest, flexible 6 {
        group_id:       KStr,                                 0..=7;
        topics:         Option<Vec<OffsetFetchRequestTopic>>, 0..=7, null 2..=7, default Some(Vec::new());
        groups:         Vec<OffsetFetchRequestGroup>,         8..;
        require_stable: bool,                                 7..;
    }

    part OffsetFetchRequestTopic {
        name:              KStr,     0..=7;
        partition_indexes: Vec<i32>, 0..=7;
    }

    part OffsetFetchRequestGroup {
        group_id:     KStr,                                  8..;
        member_id:    Option<KStr>,                          9..;
        member_epoch: i32,                                   9.., default -1;
        topics:       Option<Vec<OffsetFetchRequestTopics>>, 8.., default Some(Vec::new());
    }

    part OffsetFetchRequestTopics {
        name:              KStr,     8..=9;
        topic_id:          Uuid,     10..;
        partition_indexes: Vec<i32>, 8..;
    }

    /// Committed offsets; -1 where there is none.
    message OffsetFetchResponse, flexible 6 {
        throttle_time_ms: i32,                           3..;
        topics:           Vec<OffsetFetchResponseTopic>, 0..=7;
        error_code:       i16,                           2..=7;
        groups:           Vec<OffsetFetchResponseGroup>, 8..;
    }

    part OffsetFetchResponseTopic {
        name:       KStr,                              0..=7;
        partitions: Vec<OffsetFetchResponsePartition>, 0..=7;
    }

    part OffsetFetchResponsePartition {
        partition_index:        i32,          0..=7;
        committed_offset:       i64,          0..=7;
        committed_leader_epoch: i32,          5..=7, default -1;
        metadata:               Option<KStr>, 0..=7, default Some(KStr::new());
        error_code:             i16,          0..=7;
    }

    part OffsetFetchResponseGroup {
        group_id:   KStr,                           8..;
        topics:     Vec<OffsetFetchResponseTopics>, 8..;
        error_code: i16,                            8..;
    }

    part OffsetFetchResponseTopics {
        name:       KStr,                               8..=9;
        topic_id:   Uuid,                               10..;
        partitions: Vec<OffsetFetchResponsePartitions>, 8..;
    }

    part OffsetFetchResponsePartitions {
        partition_index:        i32,          8..;
        committed_offset:       i64,          8..;
        committed_leader_epoch: i32,          8.., default -1;
        metadata:               Option<KStr>, 8.., default Some(KStr::new());
        error_code:             i16,          8..;
    }

    /// Offsets of a group to delete (KIP-496).
    message OffsetDeleteRequest, flexible NEVER {
        group_id: KStr,                          0..;
        topics:   Vec<OffsetDeleteRequestTopic>, 0..;
    }

    part OffsetDeleteRequestTopic {
        name:       KStr,                              0..;
        partitions: Vec<OffsetDeleteRequestPartition>, 0..;
    }

    part OffsetDeleteRequestPartition {
        partition_index: i32, 0..;
    }

    /// The result for each partition.
    message OffsetDeleteResponse, flexible NEVER {
        error_code:       i16,                            0..;
        throttle_time_ms: i32,                            0..;
        topics:           Vec<OffsetDeleteResponseTopic>, 0..;
    }

    part OffsetDeleteResponseTopic {
        name:       KStr,                               0..;
        partitions: Vec<OffsetDeleteResponsePartition>, 0..;
    }

    part OffsetDeleteResponsePartition {
        partition_index: i32, 0..;
        error_code:      i16, 0..;
    }
}
