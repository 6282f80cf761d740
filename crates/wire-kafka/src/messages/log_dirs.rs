//! Disk use by partition.

use crate::table::message;
use crate::types::KStr;

message! {
    /// Asks for log folders; null topics mean all (KIP-113, KIP-827).
    message DescribeLogDirsRequest, flexible 2 {
        topics: Option<Vec<DescribableLogDirTopic>>, 0.., default Some(Vec::new());
    }

    part DescribableLogDirTopic {
        topic:      KStr,     0..;
        partitions: Vec<i32>, 0..;
    }

    /// Each folder with its partitions and sizes.
    message DescribeLogDirsResponse, flexible 2 {
        throttle_time_ms: i32,                        0..;
        error_code:       i16,                        3..;
        results:          Vec<DescribeLogDirsResult>, 0..;
    }

    part DescribeLogDirsResult {
        error_code:   i16,                       0..;
        log_dir:      KStr,                      0..;
        topics:       Vec<DescribeLogDirsTopic>, 0..;
        total_bytes:  i64,                       4.., default -1;
        usable_bytes: i64,                       4.., default -1;
    }

    part DescribeLogDirsTopic {
        name:       KStr,                          0..;
        partitions: Vec<DescribeLogDirsPartition>, 0..;
    }

    part DescribeLogDirsPartition {
        partition_index: i32,  0..;
        partition_size:  i64,  0..;
        offset_lag:      i64,  0..;
        is_future_key:   bool, 0..;
    }
}
