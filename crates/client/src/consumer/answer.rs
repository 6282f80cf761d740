//! What a consumer does with the answer to a fetch.

use std::sync::Arc;

use levada_records::Batches;
use levada_wire_kafka::ErrorCode;
use levada_wire_kafka::messages::PartitionData;

use super::batch::{ConsumedBatch, next_offset};
use super::{Consumer, Fetched, Place, ResetTo};
use crate::error::{ClientError, ClientResult, check};
use crate::patience::Notice;

/// Largest fetch of one partition, to which it grows when a batch does not fit.
const PARTITION_BYTES_CEILING: i32 = 256 * 1024 * 1024;

impl Consumer {
    pub(super) async fn take_answer(&mut self, fetched: Fetched) -> ClientResult<()> {
        self.nodes_busy.remove(&fetched.node);
        if fetched.generation != self.generation {
            return Ok(());
        }
        for (place, _) in &fetched.asked {
            if let Some(assigned) = self.assigned.get_mut(place) {
                assigned.busy = false;
            }
        }
        let answer = match fetched.answer {
            Ok(answer) => answer,
            Err(error) => {
                self.connections.remove(&fetched.node);
                for (place, _) in &fetched.asked {
                    self.client.forget_topic(&place.0);
                    self.pause(place);
                }
                return self.tolerate(Err(error));
            }
        };
        let failed = check(answer.error_code, None, || "a fetch was refused".to_owned());
        if failed.is_err() {
            return self.tolerate(failed);
        }
        for topic in &answer.responses {
            let known = fetched.ids.iter().find(|(id, name)| {
                if topic.topic_id.is_zero() {
                    **name == *topic.topic
                } else {
                    *id == topic.topic_id
                }
            });
            let Some((_, name)) = known else {
                continue;
            };
            for data in &topic.partitions {
                let place = (name.clone(), data.partition_index);
                let asked = fetched.asked.iter().find(|(asked, _)| *asked == place);
                if let Some((place, from)) = asked {
                    self.take_partition(place, *from, data).await?;
                }
            }
        }
        Ok(())
    }

    async fn take_partition(
        &mut self,
        place: &Place,
        from: i64,
        data: &PartitionData,
    ) -> ClientResult<()> {
        let moved = |assigned: &super::Assigned| assigned.fetch_from != from;
        if self.assigned.get(place).is_none_or(moved) {
            return Ok(()); // It was sought elsewhere meanwhile.
        }
        match ErrorCode::try_from(data.error_code) {
            Ok(ErrorCode::None) => {
                self.failing = None;
                self.client.patience().works();
                self.take_batches(place, from, data)
            }
            Ok(ErrorCode::OffsetOutOfRange) => self.reset(place, from, data).await,
            _ => {
                self.client.forget_topic(&place.0);
                self.pause(place);
                let refused = check(data.error_code, None, || {
                    format!("partition {} of '{}' cannot be read", place.1, place.0)
                });
                self.tolerate(refused)
            }
        }
    }

    async fn reset(&mut self, place: &Place, from: i64, data: &PartitionData) -> ClientResult<()> {
        let (topic, partition) = place;
        if self.options.reset == ResetTo::Fail {
            return Err(ClientError::Refused {
                what: format!("offset {from} of partition {partition} of '{topic}'"),
                code: data.error_code,
                message: Some(format!(
                    "the partition holds offsets {} to {}",
                    data.log_start_offset, data.high_watermark
                )),
            });
        }
        let offset = self.reset_offset(topic, *partition).await?;
        tracing::warn!(%topic, partition, from, offset, "offset out of range, going on elsewhere");
        self.client.patience().tell(Notice::Moved {
            topic,
            partition: *partition,
            from,
            to: offset,
        });
        self.seek(topic, *partition, offset);
        Ok(())
    }

    fn take_batches(&mut self, place: &Place, from: i64, data: &PartitionData) -> ClientResult<()> {
        let Some(assigned) = self.assigned.get_mut(place) else {
            return Ok(());
        };
        assigned.high_watermark = Some(data.high_watermark);
        let run = data.records.clone().unwrap_or_default().into_bytes();
        if run.is_empty() {
            return Ok(());
        }
        let mut batches = Batches::new(run);
        for batch in batches.by_ref() {
            let (header, bytes) = batch.map_err(|error| ClientError::Records {
                what: format!("partition {} of '{}' after offset {from}", place.1, place.0),
                error: error.into(),
            })?;
            let next = next_offset(&header);
            if next <= assigned.fetch_from {
                continue;
            }
            self.ready_bytes += bytes.len();
            self.ready.push_back(ConsumedBatch {
                topic: Arc::clone(&place.0),
                partition: place.1,
                high_watermark: data.high_watermark,
                header,
                bytes,
                from_offset: assigned.fetch_from,
                batch_bytes_max: self.options.batch_bytes_max,
            });
            assigned.fetch_from = next;
        }
        let stuck = assigned.fetch_from == from && !batches.rest().is_empty();
        if stuck && assigned.partition_bytes_max >= PARTITION_BYTES_CEILING {
            return Err(ClientError::Invalid(format!(
                "the batch at offset {from} of partition {} of '{}' is larger than {} bytes",
                place.1, place.0, PARTITION_BYTES_CEILING
            )));
        }
        if stuck {
            let doubled = assigned.partition_bytes_max.saturating_mul(2);
            assigned.partition_bytes_max = doubled.min(PARTITION_BYTES_CEILING);
        }
        Ok(())
    }
}
