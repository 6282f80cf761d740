//! Reading record batches.

use crate::table::message;
use crate::types::{KStr, Records, Uuid};

message! {
    /// Offsets to read from, with a long poll and fetch sessions (KIP-227, KIP-392, KIP-516).
    message FetchRequest, flexible 12 {
        cluster_id:            Option<KStr>,        12.., tag 0;
        replica_id:            i32,                 0..=14, default -1;
        replica_state:         ReplicaState,        15.., tag 1;
        max_wait_ms:           i32,                 0..;
        min_bytes:             i32,                 0..;
        max_bytes:             i32,                 0.., default i32::MAX;
        isolation_level:       i8,                  0..;
        session_id:            i32,                 7..;
        session_epoch:         i32,                 7.., default -1;
        topics:                Vec<FetchTopic>,     0..;
        forgotten_topics_data: Vec<ForgottenTopic>, 7..;
        rack_id:               KStr,                11..;
    }

    part ReplicaState {
        replica_id:    i32, 15.., default -1;
        replica_epoch: i64, 15.., default -1;
    }

    part FetchTopic {
        topic:      KStr,                0..=12;
        topic_id:   Uuid,                13..;
        partitions: Vec<FetchPartition>, 0..;
    }

    part FetchPartition {
        partition:            i32,  0..;
        current_leader_epoch: i32,  9.., default -1;
        fetch_offset:         i64,  0..;
        last_fetched_epoch:   i32,  12.., default -1;
        log_start_offset:     i64,  5.., default -1;
        partition_max_bytes:  i32,  0..;
        replica_directory_id: Uuid, 17.., tag 0;
        high_watermark:       i64,  18.., default i64::MAX, tag 1;
    }

    part ForgottenTopic {
        topic:      KStr,     7..=12;
        topic_id:   Uuid,     13..;
        partitions: Vec<i32>, 7..;
    }

    /// Batches of each partition asked for (KIP-951).
    message FetchResponse, flexible 12 {
        throttle_time_ms: i32,                            0..;
        error_code:       i16,                            7..;
        session_id:       i32,                            7..;
        responses:        Vec<FetchableTopicResponse>,    0..;
        node_endpoints:   Vec<FetchResponseNodeEndpoint>, 16.., tag 0;
    }

    part FetchableTopicResponse {
        topic:      KStr,               0..=12;
        topic_id:   Uuid,               13..;
        partitions: Vec<PartitionData>, 0..;
    }

    part PartitionData {
        partition_index:        i32,                             0..;
        error_code:             i16,                             0..;
        high_watermark:         i64,                             0..;
        last_stable_offset:     i64,                             0.., default -1;
        log_start_offset:       i64,                             5.., default -1;
        diverging_epoch:        EpochEndOffset,                  12.., tag 0;
        current_leader:         FetchResponseLeaderIdAndEpoch,   12.., tag 1;
        snapshot_id:            SnapshotId,                      12.., tag 2;
        aborted_transactions:   Option<Vec<AbortedTransaction>>, 0.., default Some(Vec::new());
        preferred_read_replica: i32,                             11.., default -1;
        records:                Option<Records>,                 0..;
    }

    part EpochEndOffset {
        epoch:      i32, 12.., default -1;
        end_offset: i64, 12.., default -1;
    }

    part FetchResponseLeaderIdAndEpoch {
        leader_id:    i32, 12.., default -1;
        leader_epoch: i32, 12.., default -1;
    }

    part SnapshotId {
        end_offset: i64, 0.., default -1;
        epoch:      i32, 0.., default -1;
    }

    part AbortedTransaction {
        producer_id:  i64, 0..;
        first_offset: i64, 0..;
    }

    part FetchResponseNodeEndpoint {
        node_id: i32,          16..;
        host:    KStr,         16..;
        port:    i32,          16..;
        rack:    Option<KStr>, 16..;
    }
}
