//! Offsets of partitions: by time, the ends, moving the start.

use std::collections::BTreeMap;

use levada_wire_kafka::messages::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic, ListOffsetsPartition,
    ListOffsetsRequest, ListOffsetsTopic,
};
use levada_wire_kafka::{ErrorCode, KStr};

use super::OPERATION_TIMEOUT_MS;
use crate::cluster::{Client, Lane};
use crate::error::{ClientError, ClientResult, check};

/// Which offset of a partition is asked for (ListOffsets' special timestamps).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    Earliest,
    /// The one after the last.
    Latest,
    /// Of the record with the greatest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record that is not older than this, milliseconds since the Unix epoch.
    Time(i64),
}

impl OffsetAt {
    fn timestamp(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::Time(ms) => ms.max(0),
        }
    }
}

/// An offset with its record's time; `None` if the partition has no such record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: i64,
    /// -1 where the server does not tell.
    pub timestamp_ms: i64,
}

impl Client {
    /// Looks up one offset for each of several partitions, in the order asked.
    ///
    /// # Errors
    /// The first partition's that fails.
    pub async fn list_offsets(
        &self,
        topic: &str,
        wanted: &[(i32, OffsetAt)],
    ) -> ClientResult<Vec<Option<FoundOffset>>> {
        let mut retries = self.retries();
        loop {
            match self.list_offsets_once(topic, wanted).await {
                Err(error) if retries.again(&error).await => self.forget_topic(topic),
                done => return done,
            }
        }
    }

    async fn list_offsets_once(
        &self,
        topic: &str,
        wanted: &[(i32, OffsetAt)],
    ) -> ClientResult<Vec<Option<FoundOffset>>> {
        let known = self.topic(topic, false).await?;
        let mut by_leader: BTreeMap<i32, Vec<(i32, OffsetAt)>> = BTreeMap::new();
        for &(partition, at) in wanted {
            let leader = known.partition(partition)?.leader;
            by_leader.entry(leader).or_default().push((partition, at));
        }
        let mut found = BTreeMap::new();
        for (leader, wanted) in by_leader {
            self.list_offsets_at(leader, topic, &wanted, &mut found)
                .await?;
        }
        // A partition may be asked for twice, by different times.
        wanted
            .iter()
            .map(|(partition, at)| {
                found
                    .get(&(*partition, at.timestamp()))
                    .copied()
                    .ok_or_else(|| {
                        ClientError::refused(
                            format!("no offset was given for partition {partition} of '{topic}'"),
                            ErrorCode::UnknownServerError,
                        )
                    })
            })
            .collect()
    }

    async fn list_offsets_at(
        &self,
        leader: i32,
        topic: &str,
        wanted: &[(i32, OffsetAt)],
        found: &mut BTreeMap<(i32, i64), Option<FoundOffset>>,
    ) -> ClientResult<()> {
        let connection = self.node(leader, Lane::Control).await?;
        // The protocol refuses a partition that stands twice in a request: one request per kind.
        let mut kinds: BTreeMap<i64, Vec<i32>> = BTreeMap::new();
        for (partition, at) in wanted {
            kinds.entry(at.timestamp()).or_default().push(*partition);
        }
        for (timestamp, partitions) in kinds {
            let request = ListOffsetsRequest {
                replica_id: -1,
                isolation_level: 0,
                topics: vec![ListOffsetsTopic {
                    name: KStr::from(topic),
                    partitions: partitions
                        .iter()
                        .map(|&partition_index| ListOffsetsPartition {
                            partition_index,
                            current_leader_epoch: -1,
                            timestamp,
                        })
                        .collect(),
                }],
                timeout_ms: OPERATION_TIMEOUT_MS,
            };
            let answer = connection.call(&request).await?;
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                let index = partition.partition_index;
                check(partition.error_code, None, || {
                    format!("the offsets of partition {index} of '{topic}'")
                })?;
                let offset = (partition.offset >= 0).then_some(FoundOffset {
                    offset: partition.offset,
                    timestamp_ms: partition.timestamp,
                });
                found.insert((index, timestamp), offset);
            }
        }
        Ok(())
    }

    /// Deletes a partition's records below `before` (-1: all); gives its new start.
    ///
    /// # Errors
    /// The server's refusal, such as OFFSET_OUT_OF_RANGE.
    pub async fn delete_records(
        &self,
        topic: &str,
        partition: i32,
        before: i64,
    ) -> ClientResult<i64> {
        let leader = self.topic(topic, false).await?.partition(partition)?.leader;
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: KStr::from(topic),
                partitions: vec![DeleteRecordsPartition {
                    partition_index: partition,
                    offset: before,
                }],
            }],
            timeout_ms: OPERATION_TIMEOUT_MS,
        };
        let answer = self
            .node(leader, Lane::Control)
            .await?
            .call(&request)
            .await?;
        let mut start = before;
        for result in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            check(result.error_code, None, || {
                format!("records of partition {partition} of '{topic}' were not deleted")
            })?;
            start = result.low_watermark;
        }
        Ok(start)
    }
}
