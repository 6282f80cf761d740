//! Writing record batches.

use crate::table::message;
use crate::types::{KStr, Records, Uuid};

message! {
    /// Record batches to append (KIP-98, KIP-516). `acks`: 0 none, 1 or -1 when durable.
    message ProduceRequest, flexible 9 {
        transactional_id: Option<KStr>,          0..;
        acks:             i16,                   0..;
        timeout_ms:       i32,                   0..;
        topic_data:       Vec<TopicProduceData>, 0..;
    }

    part TopicProduceData {
        name:           KStr,                      0..=12;
        topic_id:       Uuid,                      13..;
        partition_data: Vec<PartitionProduceData>, 0..;
    }

    part PartitionProduceData {
        index:   i32,             0..;
        records: Option<Records>, 0..;
    }

    /// Where each batch was appended, or why it was not (KIP-467, KIP-951).
    message ProduceResponse, flexible 9 {
        responses:        Vec<TopicProduceResponse>, 0..;
        throttle_time_ms: i32,                       0..;
        node_endpoints:   Vec<NodeEndpoint>,         10.., tag 0;
    }

    part TopicProduceResponse {
        name:                KStr,                          0..=12;
        topic_id:            Uuid,                          13..;
        partition_responses: Vec<PartitionProduceResponse>, 0..;
    }

    part PartitionProduceResponse {
        index:              i32,                            0..;
        error_code:         i16,                            0..;
        base_offset:        i64,                            0..;
        log_append_time_ms: i64,                            0.., default -1;
        log_start_offset:   i64,                            5.., default -1;
        record_errors:      Vec<BatchIndexAndErrorMessage>, 8..;
        error_message:      Option<KStr>,                   8..;
        current_leader:     LeaderIdAndEpoch,               10.., tag 0;
    }

    part BatchIndexAndErrorMessage {
        batch_index:               i32,          8..;
        batch_index_error_message: Option<KStr>, 8..;
    }

    part LeaderIdAndEpoch {
        leader_id:    i32, 10.., default -1;
        leader_epoch: i32, 10.., default -1;
    }

    part NodeEndpoint {
        node_id: i32,          10..;
        host:    KStr,         10..;
        port:    i32,          10..;
        rack:    Option<KStr>, 10..;
    }
}
