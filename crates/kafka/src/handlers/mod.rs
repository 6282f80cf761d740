//! One file for each API: its message in, a call of the engine, its message out.

mod api_versions;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_log_dirs;
mod describe_topic_partitions;
mod fetch;
pub mod groups;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod offset_for_leader_epoch;
mod produce;

use levada_wire_kafka::ApiKey;

use crate::dispatch::{Api, later, now};

const APIS: &[Api] = &[
    Api {
        key: ApiKey::Produce,
        handle: produce::handle,
    },
    later!(Fetch => fetch::handle),
    now!(ListOffsets => list_offsets::handle),
    now!(Metadata => metadata::handle),
    Api {
        key: ApiKey::ApiVersions,
        handle: api_versions::handle,
    },
    now!(CreateTopics => create_topics::handle),
    now!(DeleteTopics => delete_topics::handle),
    now!(DeleteRecords => delete_records::handle),
    now!(InitProducerId => init_producer_id::handle),
    now!(OffsetForLeaderEpoch => offset_for_leader_epoch::handle),
    now!(DescribeConfigs => configs::describe::handle),
    now!(AlterConfigs => configs::alter::replace),
    now!(DescribeLogDirs => describe_log_dirs::handle),
    now!(CreatePartitions => create_partitions::handle),
    now!(IncrementalAlterConfigs => configs::alter::change),
    now!(DescribeCluster => describe_cluster::handle),
    now!(DescribeTopicPartitions => describe_topic_partitions::handle),
];

/// Every API that is served.
pub fn apis() -> impl Iterator<Item = &'static Api> {
    APIS.iter().chain(groups::APIS)
}
