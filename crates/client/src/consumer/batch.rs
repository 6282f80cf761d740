//! What a consumer hands out.

use std::sync::Arc;

use bytes::Bytes;
use levada_model::BatchHeader;
use levada_records::{Batch, Header};

use crate::error::{ClientError, ClientResult};

/// A batch as it was fetched; its CRC is checked and it is decompressed when it is read.
#[derive(Clone, Debug)]
pub struct ConsumedBatch {
    pub topic: Arc<str>,
    pub partition: i32,
    /// The partition's end when the batch was fetched: the offset after the last record.
    pub high_watermark: i64,
    pub header: BatchHeader,
    pub(super) bytes: Bytes,
    /// Records before it were not asked for.
    pub(super) from_offset: i64,
    pub(super) batch_bytes_max: usize,
}

/// A record with its place and time (milliseconds since the Unix epoch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedRecord {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

impl ConsumedBatch {
    /// The offset after the batch's last one.
    pub fn next_offset(&self) -> i64 {
        next_offset(&self.header)
    }

    /// The records that were asked for: none of a control batch, and none before the position.
    ///
    /// # Errors
    /// [`ClientError::Records`] if the batch or one of its records is damaged.
    pub fn records(&self) -> ClientResult<impl Iterator<Item = ClientResult<ConsumedRecord>>> {
        let damaged = {
            let (topic, partition) = (self.topic.clone(), self.partition);
            let base = self.header.base_offset;
            move |error| ClientError::Records {
                what: format!("the batch at offset {base} of partition {partition} of '{topic}'"),
                error,
            }
        };
        let batch = Batch::verify(&self.bytes, self.batch_bytes_max).map_err(&damaged)?;
        let wanted = if self.header.is_control() {
            i64::MAX
        } else {
            self.from_offset
        };
        Ok(batch.records().filter_map(move |record| match record {
            Ok(record) => {
                let offset = batch.offset(&record);
                (offset >= wanted).then(|| {
                    Ok(ConsumedRecord {
                        offset,
                        timestamp_ms: batch.timestamp_ms(&record),
                        key: record.key,
                        value: record.value,
                        headers: record.headers,
                    })
                })
            }
            Err(error) => Some(Err(damaged(error))),
        }))
    }

    /// Bytes as they were sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// The offset after a batch's last one.
pub(super) fn next_offset(header: &BatchHeader) -> i64 {
    header
        .base_offset
        .saturating_add(i64::from(header.last_offset_delta.max(0)))
        .saturating_add(1)
}
