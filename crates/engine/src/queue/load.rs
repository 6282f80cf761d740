//! From offsets to messages: reads the records that were chosen.

use std::time::Duration;

use bytes::Bytes;
use levada_model::{BatchHeader, Offset};
use levada_records::{Compression, Record, Records, decompress};

use super::live::Lease;
use super::send::{MESSAGE_ID_HEADER, SOURCE_HEADER};
use super::{Found, Message, MessageId, QueueError};
use crate::engine::Inner;
use crate::{ReadError, ReadPartition, ReadRequest, TopicRef};

/// What one read of the log gives, about: enough for ten messages of common sizes.
const READ_BYTES: usize = 256 * 1024;
/// What the records of one compressed batch may take when it is opened.
const OPENED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A record at its place.
pub(super) struct Placed {
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub record: Record,
}

impl Inner {
    /// Records of one partition from `from` on, as far as one read goes; empty at the end. What
    /// lies below the log start is stepped over.
    pub(super) async fn records_from(
        &self,
        found: &Found,
        number: i32,
        from: Offset,
    ) -> Result<Vec<Placed>, ReadError> {
        let request = |offset| ReadRequest {
            max_wait: Duration::ZERO,
            min_bytes: 0,
            max_bytes: READ_BYTES,
            partitions: vec![ReadPartition {
                topic: TopicRef::Id(found.topic),
                partition: number,
                offset,
                max_bytes: READ_BYTES,
                leader_epoch: -1,
            }],
        };
        let mut read = self.read_one(request(from)).await;
        if let Err(ReadError::OffsetOutOfRange { log_start, .. }) = read
            && from < log_start
        {
            read = self.read_one(request(log_start)).await;
        }
        let mut records = Vec::new();
        // Two pieces a batch: its header as readers see it, and the rest.
        let pieces = read?;
        for batch in pieces.chunks_exact(2) {
            self.open_batch(&batch[0], &batch[1], &mut records).await?;
        }
        records.retain(|placed| placed.offset >= from);
        Ok(records)
    }

    async fn read_one(&self, request: ReadRequest) -> Result<Vec<Bytes>, ReadError> {
        let slices = self.read(request).await;
        let first = slices.into_iter().next();
        first
            .unwrap_or(Err(ReadError::UnknownPartition))
            .map(|slice| slice.pieces)
    }

    async fn open_batch(
        &self,
        header: &Bytes,
        body: &Bytes,
        out: &mut Vec<Placed>,
    ) -> Result<(), ReadError> {
        let corrupt = |error: &dyn std::fmt::Display| ReadError::Corrupt(error.to_string());
        let header = BatchHeader::parse(header).map_err(|error| corrupt(&error))?;
        if header.is_control() {
            return Ok(());
        }
        let compression = Compression::from_id(header.compression())
            .ok_or_else(|| corrupt(&"unknown compression"))?;
        let opened = match compression {
            Compression::None => body.clone(),
            packed => {
                let body = body.clone();
                let work = move || decompress(packed, &body, OPENED_BYTES_MAX);
                self.opening(work).await.map_err(|error| corrupt(&error))?
            }
        };
        for record in Records::new(&header, opened).iter() {
            let record = record.map_err(|error| corrupt(&error))?;
            let delta = i64::from(record.offset_delta);
            let time = header
                .base_timestamp
                .saturating_add(record.timestamp_delta_ms);
            out.push(Placed {
                offset: Offset(header.base_offset.saturating_add(delta)),
                timestamp_ms: match header.has_log_append_time() {
                    true => header.max_timestamp,
                    false => time,
                },
                record,
            });
        }
        Ok(())
    }

    /// The records at these offsets, which ascend; `None` for one that is not there (any more).
    pub(super) async fn records_at(
        &self,
        found: &Found,
        number: i32,
        offsets: &[Offset],
    ) -> Result<Vec<Option<Placed>>, QueueError> {
        let mut records = Vec::with_capacity(offsets.len());
        while let Some(next) = offsets.get(records.len()) {
            let read = match self.records_from(found, number, *next).await {
                Err(ReadError::OffsetOutOfRange { .. }) => Vec::new(),
                read => read?,
            };
            let Some(last) = read.last().map(|placed| placed.offset) else {
                // Nothing from here on.
                records.resize_with(offsets.len(), || None);
                break;
            };
            let mut read = read.into_iter().peekable();
            while let Some(next) = offsets.get(records.len()).filter(|next| **next <= last) {
                while read.next_if(|placed| placed.offset < *next).is_some() {}
                records.push(read.next_if(|placed| placed.offset == *next));
            }
        }
        Ok(records)
    }
}

impl Placed {
    /// The message that the record is, as a receiver gets it.
    pub fn into_message(
        self,
        found: &Found,
        number: i32,
        receipt: String,
        lease: &Lease,
    ) -> Message {
        let Placed {
            offset,
            timestamp_ms,
            record,
        } = self;
        let mut id = MessageId::of(found.topic, number, offset);
        let mut source = None;
        let mut headers = Vec::with_capacity(record.headers.len());
        for header in record.headers {
            let name = String::from_utf8_lossy(&header.key).into_owned();
            let value = header.value.unwrap_or_default();
            match name.as_str() {
                MESSAGE_ID_HEADER => {
                    if let Ok(old) = <[u8; 16]>::try_from(&value[..]) {
                        id = MessageId(old);
                    }
                }
                SOURCE_HEADER => source = Some(String::from_utf8_lossy(&value).into_owned()),
                _ => headers.push((name, Some(value))),
            }
        }
        Message {
            id,
            receipt,
            partition: number,
            offset,
            body: record.value.unwrap_or_default(),
            group: record.key,
            headers,
            sent_ms: timestamp_ms,
            first_received_ms: lease.first_received_ms,
            receive_count: lease.attempts,
            dead_letter_source: source,
        }
    }
}
