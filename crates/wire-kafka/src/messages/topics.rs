//! Creating, growing and deleting topics.

use crate::array::Array;
use crate::table::message;
use crate::types::{KStr, Uuid};

message! {
    /// Topics to create (KIP-4, KIP-464, KIP-525).
    message CreateTopicsRequest, flexible 5 {
        topics:        Vec<CreatableTopic>, 0..;
        timeout_ms:    i32,                 0.., default 60000;
        validate_only: bool,                0..;
    }

    part CreatableTopic {
        name:               KStr,                            0..;
        num_partitions:     i32,                             0..;
        replication_factor: i16,                             0..;
        assignments:        Vec<CreatableReplicaAssignment>, 0..;
        configs:            Vec<CreatableTopicConfig>,       0..;
    }

    part CreatableReplicaAssignment {
        partition_index: i32,      0..;
        broker_ids:      Vec<i32>, 0..;
    }

    part CreatableTopicConfig {
        name:  KStr,         0..;
        value: Option<KStr>, 0.., default Some(KStr::new());
    }

    /// The result and the configs of each topic.
    message CreateTopicsResponse, flexible 5 {
        throttle_time_ms: i32,                       0..;
        topics:           Vec<CreatableTopicResult>, 0..;
    }

    part CreatableTopicResult {
        name:                    KStr,                                 0..;
        topic_id:                Uuid,                                 7..;
        error_code:              i16,                                  0..;
        error_message:           Option<KStr>,                         0.., default Some(KStr::new());
        topic_config_error_code: i16,                                  5.., tag 0;
        num_partitions:          i32,                                  5.., default -1;
        replication_factor:      i16,                                  5.., default -1;
        configs:                 Option<Array<CreatableTopicConfigs>>, 5.., default Some(Array::default());
    }

    part CreatableTopicConfigs {
        name:          KStr,         5..;
        value:         Option<KStr>, 5.., default Some(KStr::new());
        read_only:     bool,         5..;
        config_source: i8,           5.., default -1;
        is_sensitive:  bool,         5..;
    }

    /// Topics to delete, by name or id (KIP-516).
    message DeleteTopicsRequest, flexible 4 {
        topics:      Vec<DeleteTopicState>, 6..;
        topic_names: Vec<KStr>,             0..=5;
        timeout_ms:  i32,                   0..;
    }

    part DeleteTopicState {
        name:     Option<KStr>, 6..;
        topic_id: Uuid,         6..;
    }

    /// The result for each topic.
    message DeleteTopicsResponse, flexible 4 {
        throttle_time_ms: i32,                       0..;
        responses:        Vec<DeletableTopicResult>, 0..;
    }

    part DeletableTopicResult {
        name:          Option<KStr>, 0.., null 6.., default Some(KStr::new());
        topic_id:      Uuid,         6..;
        error_code:    i16,          0..;
        error_message: Option<KStr>, 5..;
    }

    /// Topics to grow to a number of partitions (KIP-195).
    message CreatePartitionsRequest, flexible 2 {
        topics:        Vec<CreatePartitionsTopic>, 0..;
        timeout_ms:    i32,                        0..;
        validate_only: bool,                       0..;
    }

    part CreatePartitionsTopic {
        name:        KStr,                                    0..;
        count:       i32,                                     0..;
        assignments: Option<Vec<CreatePartitionsAssignment>>, 0.., default Some(Vec::new());
    }

    part CreatePartitionsAssignment {
        broker_ids: Vec<i32>, 0..;
    }

    /// The result for each topic.
    message CreatePartitionsResponse, flexible 2 {
        throttle_time_ms: i32,                              0..;
        results:          Vec<CreatePartitionsTopicResult>, 0..;
    }

    part CreatePartitionsTopicResult {
        name:          KStr,         0..;
        error_code:    i16,          0..;
        error_message: Option<KStr>, 0..;
    }
}
