//! Commits growing offsets for a group without members, as fast as they are acknowledged.

use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use levada_wire_kafka::messages::*;

use super::RAW_TOPIC;
use super::ledger::Ledger;
use crate::connection::Connection;

/// Its group.
pub const GROUP: &str = "raw-committer";
const RECONNECT_WAIT: Duration = Duration::from_millis(5);

const PACE: Duration = Duration::from_millis(1);

/// Commits until the ledger says stop.
pub fn run(address: &str, ledger: &Ledger) {
    let mut offset = 0;
    while !ledger.is_stopped() {
        let connection = Connection::open(address);
        if connection
            .and_then(|mut connection| talk(&mut connection, &mut offset, ledger))
            .is_err()
        {
            thread::sleep(RECONNECT_WAIT);
        }
    }
}

fn talk(connection: &mut Connection, offset: &mut i64, ledger: &Ledger) -> Result<()> {
    while !ledger.is_stopped() {
        *offset += 1;
        let request = OffsetCommitRequest {
            group_id: GROUP.into(),
            topics: vec![OffsetCommitRequestTopic {
                name: RAW_TOPIC.into(),
                partitions: vec![OffsetCommitRequestPartition {
                    committed_offset: *offset,
                    ..OffsetCommitRequestPartition::default()
                }],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let answer = connection.call(8, &request)?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if partitions
            .map(|partition| partition.error_code)
            .any(|code| code != 0)
        {
            bail!("OffsetCommit: {answer:?}");
        }
        thread::sleep(PACE);
        ledger.commit(GROUP, &(RAW_TOPIC.to_owned(), 0), *offset);
    }
    Ok(())
}
