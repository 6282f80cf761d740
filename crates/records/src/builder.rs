//! Building a v2 batch from records.

use bytes::{BufMut, Bytes};
use crc_fast::{CrcAlgorithm, checksum};
use levada_model::batch::{HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC};
use levada_model::{BatchError, BatchHeader};

use crate::RecordsError;
use crate::compression::{Compression, compress};
use crate::varint;

/// Where the bytes begin that the batch's CRC covers.
const CRC_FROM: usize = 21;
/// Where the producer's id, epoch and sequence stand.
const PRODUCER_FROM: usize = 43;

/// A record to be written; nothing is kept of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Pairs of key and value.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Who sends the batch, for idempotent producers (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    /// Sequence of the batch's first record in its partition.
    pub base_sequence: i32,
}

impl Producer {
    /// Not idempotent.
    pub const NONE: Self = Self {
        id: -1,
        epoch: -1,
        base_sequence: -1,
    };
}

/// Gathers records; [`BatchBuilder::finish`] makes the batch. Offsets in it begin at 0: the broker
/// gives it its base offset.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    /// Room for the header, then the records as they stand in the batch before compression.
    bytes: Vec<u8>,
    count: i32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
}

impl BatchBuilder {
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            bytes: vec![0; HEADER_BYTES],
            count: 0,
            base_timestamp_ms: 0,
            max_timestamp_ms: 0,
        }
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far, as if it were not compressed.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that `record` would add, as if it were not compressed.
    pub fn bytes_of(&self, record: &NewRecord<'_>) -> usize {
        let delta_ms = record.timestamp_ms.wrapping_sub(self.base_timestamp_ms);
        let delta_ms = if self.is_empty() { 0 } else { delta_ms };
        let body = body_bytes(record, delta_ms, self.count);
        varint::size(body as i64) + body
    }

    /// Adds a record.
    ///
    /// # Panics
    /// At 2^31 records: the caller bounds a batch long before, by its bytes.
    pub fn push(&mut self, record: &NewRecord<'_>) {
        if self.is_empty() {
            self.base_timestamp_ms = record.timestamp_ms;
            self.max_timestamp_ms = record.timestamp_ms;
        }
        self.max_timestamp_ms = self.max_timestamp_ms.max(record.timestamp_ms);
        let delta_ms = record.timestamp_ms.wrapping_sub(self.base_timestamp_ms);
        let body = body_bytes(record, delta_ms, self.count);
        let out = &mut self.bytes;
        varint::write_long(out, body as i64);
        out.put_u8(0);
        varint::write_long(out, delta_ms);
        varint::write_long(out, i64::from(self.count));
        write_sized(out, record.key);
        write_sized(out, record.value);
        varint::write_long(out, record.headers.len() as i64);
        for (key, value) in record.headers {
            write_sized(out, Some(key.as_bytes()));
            write_sized(out, *value);
        }
        self.count = self.count.checked_add(1).expect("a batch is bounded");
    }

    /// The batch, checksummed; the builder is then empty and can be used again.
    ///
    /// # Errors
    /// [`RecordsError::Compressed`] if the codec fails, [`RecordsError::TooLarge`] if the batch
    /// would not fit the protocol's 31-bit length.
    pub fn finish(&mut self, producer: Producer) -> Result<Bytes, RecordsError> {
        let mut batch = std::mem::replace(&mut self.bytes, vec![0; HEADER_BYTES]);
        let count = std::mem::take(&mut self.count);
        if self.compression != Compression::None {
            let mut packed = Vec::with_capacity(HEADER_BYTES + batch.len() / 2);
            packed.resize(HEADER_BYTES, 0);
            compress(self.compression, &batch[HEADER_BYTES..], &mut packed)?;
            batch = packed;
        }
        let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).map_err(|_| {
            RecordsError::TooLarge {
                bytes_max: i32::MAX as usize,
            }
        })?;
        let mut header = &mut batch[..HEADER_BYTES];
        header.put_i64(0);
        header.put_i32(length);
        header.put_i32(-1);
        header.put_i8(MAGIC);
        header.put_u32(0);
        header.put_i16(self.compression.id());
        header.put_i32(count - 1);
        header.put_i64(self.base_timestamp_ms);
        header.put_i64(self.max_timestamp_ms);
        header.put_i64(producer.id);
        header.put_i16(producer.epoch);
        header.put_i32(producer.base_sequence);
        header.put_i32(count);
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &batch[CRC_FROM..]) as u32;
        batch[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        Ok(batch.into())
    }
}

/// A copy of `batch` that comes from another producer or has another sequence, its CRC renewed.
///
/// # Errors
/// [`RecordsError::Batch`] if `batch` is not one whole batch.
pub fn with_producer(batch: &Bytes, producer: Producer) -> Result<Bytes, RecordsError> {
    let header = BatchHeader::parse(batch)?;
    if header.total_bytes() != batch.len() {
        return Err(BatchError::Truncated.into());
    }
    let mut copy = batch.to_vec();
    if let Some(mut fields) = copy.get_mut(PRODUCER_FROM..HEADER_BYTES) {
        fields.put_i64(producer.id);
        fields.put_i16(producer.epoch);
        fields.put_i32(producer.base_sequence);
    }
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, &copy[CRC_FROM..]) as u32;
    copy[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    Ok(copy.into())
}

/// Most bytes that a record takes in a batch of its own, without compression and header.
pub fn record_bytes(record: &NewRecord<'_>) -> usize {
    body_bytes(record, i64::MAX, i32::MAX) + varint::VARLONG_BYTES_MAX
}

fn body_bytes(record: &NewRecord<'_>, delta_ms: i64, index: i32) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|(key, value)| sized_bytes(Some(key.as_bytes())) + sized_bytes(*value))
        .sum();
    1 + varint::size(delta_ms)
        + varint::size(i64::from(index))
        + sized_bytes(record.key)
        + sized_bytes(record.value)
        + varint::size(record.headers.len() as i64)
        + headers
}

fn sized_bytes(value: Option<&[u8]>) -> usize {
    match value {
        Some(bytes) => varint::size(bytes.len() as i64) + bytes.len(),
        None => 1,
    }
}

fn write_sized(out: &mut Vec<u8>, value: Option<&[u8]>) {
    varint::write_long(out, value.map_or(-1, |bytes| bytes.len() as i64));
    out.put_slice(value.unwrap_or_default());
}
