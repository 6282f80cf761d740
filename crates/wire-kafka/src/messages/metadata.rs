//! Where topics and brokers are.

use crate::array::Array;
use crate::table::message;
use crate::types::{KStr, Uuid};

message! {
    /// Topics to describe; null means all of them (KIP-4, KIP-516).
    message MetadataRequest, flexible 9 {
        topics:                                Option<Vec<MetadataRequestTopic>>, 0.., null 1.., default Some(Vec::new());
        allow_auto_topic_creation:             bool,                              4.., default true;
        include_cluster_authorized_operations: bool,                              8..=10;
        include_topic_authorized_operations:   bool,                              8..;
    }

    part MetadataRequestTopic {
        topic_id: Uuid,         10..;
        name:     Option<KStr>, 0.., null 10.., default Some(KStr::new());
    }

    /// Brokers, topics and partitions as clients see them.
    message MetadataResponse, flexible 9 {
        throttle_time_ms:              i32,                         3..;
        brokers:                       Vec<MetadataResponseBroker>, 0..;
        cluster_id:                    Option<KStr>,                2..;
        controller_id:                 i32,                         1.., default -1;
        topics:                        Vec<MetadataResponseTopic>,  0..;
        cluster_authorized_operations: i32,                         8..=10, default -2147483648;
        error_code:                    i16,                         13..;
    }

    part MetadataResponseBroker {
        node_id: i32,          0..;
        host:    KStr,         0..;
        port:    i32,          0..;
        rack:    Option<KStr>, 1..;
    }

    part MetadataResponseTopic {
        error_code:                  i16,                              0..;
        name:                        Option<KStr>,                     0.., null 12.., default Some(KStr::new());
        topic_id:                    Uuid,                             10..;
        is_internal:                 bool,                             1..;
        partitions:                  Array<MetadataResponsePartition>, 0..;
        topic_authorized_operations: i32,                              8.., default -2147483648;
    }

    part MetadataResponsePartition {
        error_code:       i16,      0..;
        partition_index:  i32,      0..;
        leader_id:        i32,      0..;
        leader_epoch:     i32,      7.., default -1;
        replica_nodes:    Vec<i32>, 0..;
        isr_nodes:        Vec<i32>, 0..;
        offline_replicas: Vec<i32>, 5..;
    }

    /// Asks for the cluster's brokers (KIP-700, KIP-919).
    message DescribeClusterRequest, flexible 0 {
        include_cluster_authorized_operations: bool, 0..;
        endpoint_type:                         i8,   1.., default 1;
        include_fenced_brokers:                bool, 2..;
    }

    /// The cluster's brokers.
    message DescribeClusterResponse, flexible 0 {
        throttle_time_ms:              i32,                        0..;
        error_code:                    i16,                        0..;
        error_message:                 Option<KStr>,               0..;
        endpoint_type:                 i8,                         1.., default 1;
        cluster_id:                    KStr,                       0..;
        controller_id:                 i32,                        0.., default -1;
        brokers:                       Vec<DescribeClusterBroker>, 0..;
        cluster_authorized_operations: i32,                        0.., default -2147483648;
    }

    part DescribeClusterBroker {
        broker_id: i32,          0..;
        host:      KStr,         0..;
        port:      i32,          0..;
        rack:      Option<KStr>, 0..;
        is_fenced: bool,         2..;
    }

    /// Asks for partitions page by page (KIP-966).
    message DescribeTopicPartitionsRequest, flexible 0 {
        topics:                   Vec<DescribeTopicPartitionsRequestTopicRequest>, 0..;
        response_partition_limit: i32,                                             0.., default 2000;
        cursor:                   Option<Cursor>,                                  0..;
    }

    part DescribeTopicPartitionsRequestTopicRequest {
        name: KStr, 0..;
    }

    part Cursor {
        topic_name:      KStr, 0..;
        partition_index: i32,  0..;
    }

    /// One page of partitions; a null cursor ends it.
    message DescribeTopicPartitionsResponse, flexible 0 {
        throttle_time_ms: i32,                                           0..;
        topics:           Vec<DescribeTopicPartitionsResponseTopic>,     0..;
        next_cursor:      Option<DescribeTopicPartitionsResponseCursor>, 0..;
    }

    part DescribeTopicPartitionsResponseTopic {
        error_code:                  i16,                                           0..;
        name:                        Option<KStr>,                                  0.., default Some(KStr::new());
        topic_id:                    Uuid,                                          0..;
        is_internal:                 bool,                                          0..;
        partitions:                  Vec<DescribeTopicPartitionsResponsePartition>, 0..;
        topic_authorized_operations: i32,                                           0.., default -2147483648;
    }

    part DescribeTopicPartitionsResponsePartition {
        error_code:               i16,              0..;
        partition_index:          i32,              0..;
        leader_id:                i32,              0..;
        leader_epoch:             i32,              0.., default -1;
        replica_nodes:            Vec<i32>,         0..;
        isr_nodes:                Vec<i32>,         0..;
        eligible_leader_replicas: Option<Vec<i32>>, 0..;
        last_known_elr:           Option<Vec<i32>>, 0..;
        offline_replicas:         Vec<i32>,         0..;
    }

    part DescribeTopicPartitionsResponseCursor {
        topic_name:      KStr, 0..;
        partition_index: i32,  0..;
    }
}
