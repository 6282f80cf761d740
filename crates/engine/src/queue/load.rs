//! From offsets to messages: reads the records that were chosen.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use levada_model::{BatchHeader, Offset};
use levada_records::{Compression, Record, Records, decompress};

use super::ahead::Known;
use super::live::Lease;
use super::send::{MESSAGE_ID_HEADER, SOURCE_HEADER};
use super::{Found, Message, MessageId, QueueError};
use crate::engine::Inner;
use crate::{ReadError, ReadPartition, ReadRequest, ReadSlice, TopicRef};

/// What one read of the log gives when a queue looks ahead, about.
const READ_BYTES: usize = 256 * 1024;
/// What the first read for chosen messages gives, about: ten of common sizes. Each further one gives
/// twice as much.
const CHOSEN_READ_BYTES: usize = 16 * 1024;
/// What the records of one compressed batch may take when it is opened.
const OPENED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A record at its place.
pub(super) struct Placed {
    pub offset: Offset,
    pub timestamp_ms: i64,
    pub record: Record,
}

/// Records from an offset on, as far as one read goes.
#[derive(Default)]
pub(super) struct Stretch {
    pub records: Vec<Placed>,
    /// Offsets between whose records cannot be read.
    pub damaged: Vec<Range<i64>>,
    /// One past the last offset that was looked at.
    pub end: Offset,
}

impl Stretch {
    pub fn up_to(end: Offset) -> Self {
        Self {
            end,
            ..Self::default()
        }
    }

    /// Nothing of it can be read.
    pub fn lost(range: Range<i64>) -> Self {
        let end = Offset(range.end);
        Self {
            damaged: vec![range],
            ..Self::up_to(end)
        }
    }
}

/// What stands at an offset that was asked for.
pub(super) enum Slot {
    Record(Placed),
    /// Nothing (any more).
    Gone,
    /// What cannot be read: it was told, and receivers pass over it.
    Damaged,
}

impl Inner {
    /// Records of one partition from `from` on, as far as one read goes; its end is `from` where
    /// there is nothing. What lies below the log start is stepped over, damage is told.
    pub(super) async fn records_from(
        &self,
        found: &Found,
        number: i32,
        from: Offset,
    ) -> Result<Stretch, ReadError> {
        let mut stretch = self
            .read_stretch((found, number), from, READ_BYTES, None)
            .await?;
        stretch.records.retain(|placed| placed.offset >= from);
        Ok(stretch)
    }

    /// The `chosen` records, which ascend, as far as one read goes. Where a queue's messages lie in
    /// storage, what is read holds those of the receives to come.
    async fn read_chosen(
        &self,
        (found, number): (&Found, i32),
        chosen: &[Offset],
        bytes_max: usize,
    ) -> Result<Stretch, ReadError> {
        let id = found.partition(number).ok_or(ReadError::UnknownPartition)?;
        let from = *chosen.first().ok_or(ReadError::UnknownPartition)?;
        let ahead = &self.queues.ahead;
        let place = (found, number);
        let kept = match ahead.find(id, from) {
            Known::Here(kept) => kept,
            Known::Nothing => {
                return self
                    .read_stretch(place, from, bytes_max, Some(chosen))
                    .await;
            }
            Known::Next => {
                // The others wait for the one that reads, and find what it read.
                let desk = self.queues.desk(id);
                let _turn = desk.reading.lock().await;
                match ahead.find(id, from) {
                    Known::Here(kept) => kept,
                    _ => {
                        return self
                            .read_stretch(place, from, READ_BYTES, Some(chosen))
                            .await;
                    }
                }
            }
        };
        let mut stretch = Stretch::up_to(from);
        for batch in kept.batches_from(from) {
            if chosen.last().is_some_and(|last| *last < stretch.end) {
                break;
            }
            self.open_into(&batch.header, &batch.body, Some(chosen), &mut stretch)
                .await?;
        }
        if !stretch.damaged.is_empty() {
            self.step_over(found, number, &stretch.damaged);
        }
        Ok(stretch)
    }

    /// One read of about so many bytes, as [`Inner::records_from`]; opens only batches with some of
    /// the `chosen` offsets, which ascend, and gives only those.
    async fn read_stretch(
        &self,
        (found, number): (&Found, i32),
        from: Offset,
        bytes_max: usize,
        chosen: Option<&[Offset]>,
    ) -> Result<Stretch, ReadError> {
        let request = |offset| ReadRequest {
            max_wait: Duration::ZERO,
            min_bytes: 0,
            max_bytes: bytes_max,
            partitions: vec![ReadPartition {
                topic: TopicRef::Id(found.topic),
                partition: number,
                offset,
                max_bytes: bytes_max,
                leader_epoch: -1,
            }],
        };
        let mut at = from;
        let mut read = self.read_one(request(at)).await;
        if let Err(ReadError::OffsetOutOfRange { log_start, .. }) = read
            && from < log_start
        {
            at = log_start;
            read = self.read_one(request(at)).await;
        }
        let mut stretch = Stretch::up_to(at);
        match read {
            // Two pieces a batch: its header as readers see it, and the rest.
            Ok(ReadSlice {
                pieces, is_stored, ..
            }) => {
                if let (Some(_), Some(id)) = (chosen, found.partition(number)) {
                    match is_stored {
                        true => self.queues.ahead.keep(id, &pieces),
                        false => self.queues.ahead.forget(id),
                    }
                }
                for batch in pieces.chunks_exact(2) {
                    self.open_into(&batch[0], &batch[1], chosen, &mut stretch)
                        .await?;
                }
            }
            Err(ReadError::Corrupt(_)) => stretch = self.salvage(found, number, at).await?,
            Err(error) => return Err(error),
        }
        if !stretch.damaged.is_empty() {
            self.step_over(found, number, &stretch.damaged);
        }
        Ok(stretch)
    }

    async fn read_one(&self, request: ReadRequest) -> Result<ReadSlice, ReadError> {
        let slices = self.read(request).await;
        let first = slices.into_iter().next();
        first.unwrap_or(Err(ReadError::UnknownPartition))
    }

    /// Adds a batch's records; records that do not read although their checksum is right are damage
    /// too (a producer's).
    pub(super) async fn open_into(
        &self,
        header: &Bytes,
        body: &Bytes,
        chosen: Option<&[Offset]>,
        stretch: &mut Stretch,
    ) -> Result<(), ReadError> {
        let header =
            BatchHeader::parse(header).map_err(|error| ReadError::Corrupt(error.to_string()))?;
        let before = stretch.records.len();
        let end = Offset(header.base_offset).plus(u64::from(header.offset_count()));
        let chosen = chosen.map(|all| {
            let from = all.partition_point(|one| one.0 < header.base_offset);
            all[from..]
                .split_at(all[from..].partition_point(|one| *one < end))
                .0
        });
        let records = &mut stretch.records;
        if !chosen.is_some_and(<[_]>::is_empty)
            && let Err(error) = self.open_batch(&header, body, chosen, records).await
        {
            tracing::debug!(%error, topic_offset = header.base_offset, "a batch does not open");
            stretch.records.truncate(before);
            stretch.damaged.push(header.base_offset..end.0);
        }
        stretch.end = stretch.end.max(end);
        Ok(())
    }

    async fn open_batch(
        &self,
        header: &BatchHeader,
        body: &Bytes,
        chosen: Option<&[Offset]>,
        out: &mut Vec<Placed>,
    ) -> Result<(), ReadError> {
        let corrupt = |error: &dyn std::fmt::Display| ReadError::Corrupt(error.to_string());
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
        for record in Records::new(header, opened).iter() {
            let record = record.map_err(|error| corrupt(&error))?;
            let delta = i64::from(record.offset_delta);
            let offset = Offset(header.base_offset.saturating_add(delta));
            if chosen.is_some_and(|chosen| chosen.binary_search(&offset).is_err()) {
                continue;
            }
            let time = header
                .base_timestamp
                .saturating_add(record.timestamp_delta_ms);
            out.push(Placed {
                offset,
                timestamp_ms: match header.has_log_append_time() {
                    true => header.max_timestamp,
                    false => time,
                },
                record,
            });
        }
        Ok(())
    }

    /// What stands at these offsets, which ascend.
    pub(super) async fn records_at(
        &self,
        found: &Found,
        number: i32,
        offsets: &[Offset],
    ) -> Result<Vec<Slot>, QueueError> {
        let mut slots = Vec::with_capacity(offsets.len());
        let mut bytes_max = CHOSEN_READ_BYTES;
        while let Some(from) = offsets.get(slots.len()).copied() {
            let rest = offsets.get(slots.len()..).unwrap_or_default();
            let read = self.read_chosen((found, number), rest, bytes_max);
            let stretch = match read.await {
                Err(ReadError::OffsetOutOfRange { .. }) => Stretch::default(),
                read => read?,
            };
            if stretch.end <= from {
                // Nothing from here on.
                slots.resize_with(offsets.len(), || Slot::Gone);
                break;
            }
            let mut records = stretch.records.into_iter().peekable();
            while let Some(next) = offsets.get(slots.len()).filter(|at| **at < stretch.end) {
                // A salvaged stretch has others too.
                while records.next_if(|placed| placed.offset < *next).is_some() {}
                let is_damaged = || stretch.damaged.iter().any(|range| range.contains(&next.0));
                slots.push(match records.next_if(|placed| placed.offset == *next) {
                    Some(record) => Slot::Record(record),
                    None if is_damaged() => Slot::Damaged,
                    None => Slot::Gone,
                });
            }
            bytes_max = (2 * bytes_max).min(READ_BYTES);
        }
        Ok(slots)
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
