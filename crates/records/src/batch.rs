//! Reading: runs of batches, one batch, its records.

use bytes::Bytes;
use levada_model::batch::{self, ATTRIBUTE_LOG_APPEND_TIME, HEADER_BYTES};
use levada_model::{BatchError, BatchHeader};

use crate::compression::{Compression, decompress};
use crate::{RecordsError, varint};

/// Cuts a run of batches, as a fetch answers it, into single ones without copying. What is cut off
/// at the end of the run is left out, as Kafka's clients do; see [`Batches::rest`].
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    pub fn new(run: Bytes) -> Self {
        Self { rest: run }
    }

    /// What has not been given yet: after the last batch, a batch that is cut short, or nothing.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Batches {
    type Item = Result<(BatchHeader, Bytes), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match BatchHeader::parse(&self.rest) {
            Ok(header) if header.total_bytes() <= self.rest.len() => {
                let whole = self.rest.split_to(header.total_bytes());
                Some(Ok((header, whole)))
            }
            Ok(_) | Err(BatchError::Truncated) => None,
            Err(error) => {
                self.rest.clear();
                Some(Err(error))
            }
        }
    }
}

/// One batch, its records decompressed.
#[derive(Clone, Debug)]
pub struct Batch {
    header: BatchHeader,
    records: Records,
}

impl Batch {
    /// Opens the batch at the start of `bytes`. The CRC is not checked here: see [`Batch::verify`].
    ///
    /// # Errors
    /// [`RecordsError::Batch`] if the frame is wrong or cut short, else as [`decompress`]:
    /// the records of the batch must not take more than `bytes_max` bytes.
    pub fn decode(bytes: &Bytes, bytes_max: usize) -> Result<Self, RecordsError> {
        let header = BatchHeader::parse(bytes)?;
        if header.total_bytes() > bytes.len() {
            return Err(BatchError::Truncated.into());
        }
        let compression = Compression::from_id(header.compression())
            .ok_or(BatchError::Compression(header.compression()))?;
        let packed = bytes.slice(HEADER_BYTES..header.total_bytes());
        let opened = decompress(compression, &packed, bytes_max)?;
        Ok(Self {
            header,
            records: Records::new(&header, opened),
        })
    }

    /// As [`Batch::decode`], after checking the CRC over what was sent.
    ///
    /// # Errors
    /// As [`Batch::decode`], and [`BatchError::Crc`].
    pub fn verify(bytes: &Bytes, bytes_max: usize) -> Result<Self, RecordsError> {
        match batch::check(bytes) {
            // A compacted batch has fewer records than offsets; it is whole all the same.
            Ok(_) | Err(BatchError::Count { .. }) => Self::decode(bytes, bytes_max),
            Err(error) => Err(error.into()),
        }
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The records, in order.
    pub fn records(&self) -> RecordIter {
        self.records.iter()
    }

    /// A record's offset in its partition.
    pub fn offset(&self, record: &Record) -> i64 {
        self.header
            .base_offset
            .saturating_add(i64::from(record.offset_delta))
    }

    /// A record's time in milliseconds since the Unix epoch: the producer's, or the append time.
    pub fn timestamp_ms(&self, record: &Record) -> i64 {
        if self.header.attributes & ATTRIBUTE_LOG_APPEND_TIME != 0 {
            self.header.max_timestamp
        } else {
            self.header
                .base_timestamp
                .saturating_add(record.timestamp_delta_ms)
        }
    }
}

/// The decompressed records of a batch.
#[derive(Clone, Debug)]
pub struct Records {
    bytes: Bytes,
    count: i32,
    last_offset_delta: i32,
}

impl Records {
    /// `bytes` are the decompressed records that belong to `header`.
    pub fn new(header: &BatchHeader, bytes: Bytes) -> Self {
        Self {
            bytes,
            count: header.record_count,
            last_offset_delta: header.last_offset_delta,
        }
    }

    /// The records, in order.
    pub fn iter(&self) -> RecordIter {
        RecordIter {
            rest: self.bytes.clone(),
            index: 0,
            count: self.count.max(0),
            last_offset_delta: self.last_offset_delta,
        }
    }
}

/// A record (Kafka message format v2, "Record"); its bytes share the batch's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub offset_delta: i32,
    pub timestamp_delta_ms: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
}

/// A record's header. Kafka wants its key to be UTF-8; nobody checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// The records of a batch, one by one. The first malformed one ends it with its error; so do bytes
/// that are left over after the last.
#[derive(Clone, Debug)]
pub struct RecordIter {
    rest: Bytes,
    index: i32,
    count: i32,
    last_offset_delta: i32,
}

impl Iterator for RecordIter {
    type Item = Result<Record, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            if self.rest.is_empty() {
                return None;
            }
            self.rest.clear();
            return Some(Err(
                self.malformed("bytes are left over after the last record")
            ));
        }
        let record = self.read_record();
        self.index += 1;
        if record.is_err() {
            self.rest.clear();
            self.count = 0;
        }
        Some(record)
    }
}

impl RecordIter {
    fn malformed(&self, reason: &'static str) -> RecordsError {
        RecordsError::Malformed {
            index: self.index,
            reason,
        }
    }

    fn read_record(&mut self) -> Result<Record, RecordsError> {
        let mut whole = Cursor {
            bytes: &mut self.rest,
        };
        let body = whole.length().and_then(|length| match length {
            Some(length) => whole.take(length),
            None => Err("its length is negative"),
        });
        body.and_then(|mut body| read_body(&mut body, self.last_offset_delta))
            .map_err(|reason| self.malformed(reason))
    }
}

fn read_body(body: &mut Bytes, last_offset_delta: i32) -> Result<Record, &'static str> {
    let mut cursor = Cursor { bytes: body };
    cursor.take(1)?; // attributes: none is in use
    let timestamp_delta_ms = cursor.long()?;
    let offset_delta = i32::try_from(cursor.long()?)
        .ok()
        .filter(|delta| (0..=last_offset_delta).contains(delta))
        .ok_or("its offset lies outside the batch")?;
    let key = cursor.sized()?;
    let value = cursor.sized()?;
    let count = cursor.length()?.ok_or("its count of headers is negative")?;
    // A header takes two bytes at least: more cannot be there, so nothing is taken for them.
    if count > cursor.bytes.len() / 2 {
        return Err("it states more headers than its bytes can hold");
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        headers.push(Header {
            key: cursor.sized()?.ok_or("a header has no key")?,
            value: cursor.sized()?,
        });
    }
    if !cursor.bytes.is_empty() {
        return Err("it is longer than its fields");
    }
    Ok(Record {
        offset_delta,
        timestamp_delta_ms,
        key,
        value,
        headers,
    })
}

/// Reads from the front of a slice of the batch.
struct Cursor<'a> {
    bytes: &'a mut Bytes,
}

impl Cursor<'_> {
    fn long(&mut self) -> Result<i64, &'static str> {
        let (value, size) =
            varint::read_long(self.bytes).ok_or("a number is cut short or too long")?;
        self.take(size)?;
        Ok(value)
    }

    /// A length; -1 is null, everything else below zero is wrong.
    fn length(&mut self) -> Result<Option<usize>, &'static str> {
        match i32::try_from(self.long()?) {
            Ok(-1) => Ok(None),
            Ok(length) => usize::try_from(length)
                .map(Some)
                .map_err(|_| "a length is negative"),
            Err(_) => Err("a length is out of range"),
        }
    }

    fn sized(&mut self) -> Result<Option<Bytes>, &'static str> {
        self.length()?.map(|length| self.take(length)).transpose()
    }

    fn take(&mut self, length: usize) -> Result<Bytes, &'static str> {
        if length > self.bytes.len() {
            return Err("it is cut short");
        }
        Ok(self.bytes.split_to(length))
    }
}
