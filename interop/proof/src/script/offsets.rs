//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords, DescribeLogDirs.

use levada_wire_kafka::messages::*;

use super::{FIRST_MS, TOPIC, UNKNOWN};
use crate::session::Session;

fn list(topic: &str, partition_index: i32, timestamp: i64, epoch: i32) -> ListOffsetsRequest {
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: vec![ListOffsetsPartition {
                partition_index,
                current_leader_epoch: epoch,
                timestamp,
            }],
        }],
        timeout_ms: 1000,
        ..ListOffsetsRequest::default()
    }
}

pub fn run(session: &mut Session) {
    session.every_version("latest", |_, _| list(TOPIC, 0, -1, -1));
    session.every_version("earliest", |_, _| list(TOPIC, 0, -2, -1));
    session.every_version("by time", |_, _| list(TOPIC, 0, FIRST_MS + 5001, -1));
    for (what, topic, partition, time, epoch) in [
        ("max timestamp", TOPIC, 0, -3, -1),
        ("max timestamp of an empty partition", "grows", 0, -3, -1),
        ("earliest local", TOPIC, 0, -4, -1),
        ("latest tiered", TOPIC, 0, -5, -1),
        ("an unknown special time", TOPIC, 0, -9, -1),
        ("time 0", TOPIC, 0, 0, -1),
        ("after the last", TOPIC, 0, FIRST_MS * 1000, -1),
        ("by time on append time", "stamped", 0, FIRST_MS, -1),
        ("unknown topic", UNKNOWN, 0, -1, -1),
        ("unknown partition", TOPIC, 99, -1, -1),
        ("current epoch", TOPIC, 0, -1, 0),
        ("future epoch", TOPIC, 0, -1, 99),
    ] {
        session.call(what, 8, &list(topic, partition, time, epoch));
    }
    let twice = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![
                ListOffsetsPartition {
                    timestamp: -1,
                    ..Default::default()
                };
                2
            ],
        }],
        ..list(TOPIC, 0, -1, -1)
    };
    session.call("the same partition twice", 8, &twice);
    let committed = ListOffsetsRequest {
        isolation_level: 1,
        ..list(TOPIC, 0, -1, -1)
    };
    session.call("read committed", 8, &committed);
    epochs(session);
    delete_records(session);
    log_dirs(session);
}

fn epochs(session: &mut Session) {
    let ask =
        |topic: &str, partition, current_leader_epoch, leader_epoch| OffsetForLeaderEpochRequest {
            replica_id: -1,
            topics: vec![OffsetForLeaderTopic {
                topic: topic.into(),
                partitions: vec![OffsetForLeaderPartition {
                    partition,
                    current_leader_epoch,
                    leader_epoch,
                }],
            }],
        };
    session.every_version("epoch 0", |_, _| ask(TOPIC, 0, -1, 0));
    for (what, topic, partition, current, epoch) in [
        ("epoch 5", TOPIC, 0, -1, 5),
        ("epoch -1", TOPIC, 0, -1, -1),
        ("future current epoch", TOPIC, 0, 9, 0),
        ("unknown topic", UNKNOWN, 0, -1, 0),
        ("unknown partition", TOPIC, 99, -1, 0),
    ] {
        session.call(what, 4, &ask(topic, partition, current, epoch));
    }
}

fn delete_records(session: &mut Session) {
    let delete = |topic: &str, partition_index, offset| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![DeleteRecordsPartition {
                partition_index,
                offset,
            }],
        }],
        timeout_ms: 5000,
    };
    session.every_version("up to 4", |_, _| delete(TOPIC, 0, 4));
    for (what, topic, partition, offset) in [
        ("backwards", TOPIC, 0, 1),
        ("inside a batch", TOPIC, 0, 7),
        ("beyond the end", TOPIC, 0, 1_000_000),
        ("a negative offset", TOPIC, 0, -5),
        ("unknown topic", UNKNOWN, 0, 1),
        ("unknown partition", TOPIC, 99, 1),
        ("a compacted topic", "compacted", 0, 1),
        ("everything", "small", 0, -1),
    ] {
        session.call(what, 2, &delete(topic, partition, offset));
    }
    session.call("earliest after DeleteRecords", 8, &list(TOPIC, 0, -2, -1));
    let below = super::fetch::one(session, TOPIC, 0, 2);
    session.call("below the start", 12, &below);
    let inside = super::fetch::one(session, TOPIC, 0, 7);
    session.call("at the start, inside a batch", 12, &inside);
}

fn log_dirs(session: &mut Session) {
    let ask = |topic: &str, partitions: &[i32]| DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic {
            topic: topic.into(),
            partitions: partitions.to_vec(),
        }]),
    };
    session.every_version("an empty partition", |_, _| ask("grows", &[0]));
    session.call("unknown topic", 4, &ask(UNKNOWN, &[0]));
}
