//! Kafka's record batch, format v2 (Kafka message format, "RecordBatch"): the 61-byte header, its
//! checks, and the overlay that gives a stored batch its offset when it is read.
//!
//! A batch is stored as it was received. Base offset and leader epoch lie outside the CRC; with
//! LogAppendTime the attributes and the max timestamp change, so the CRC does too: it is patched by
//! linearity, the records stay untouched.

use crc_fast::{CrcAlgorithm, checksum, checksum_combine};
use thiserror::Error;

/// Bytes of the header, from the base offset to the record count.
pub const HEADER_BYTES: usize = 61;
/// Bytes before those that `batch_length` counts: base offset and the length itself.
pub const LENGTH_PREFIX_BYTES: usize = 12;
/// Where the bytes begin that the CRC covers: attributes onwards.
const CRC_FROM: usize = 21;
/// The only magic that is accepted (v2).
pub const MAGIC: i8 = 2;

/// Attribute bits 0-2: the compression.
pub const ATTRIBUTE_COMPRESSION: i16 = 0b111;
/// Attribute bit 3: the timestamp is the append time.
pub const ATTRIBUTE_LOG_APPEND_TIME: i16 = 0b1000;
/// Attribute bit 4: the batch belongs to a transaction.
pub const ATTRIBUTE_TRANSACTIONAL: i16 = 0b1_0000;
/// Attribute bit 5: the batch is a control batch.
pub const ATTRIBUTE_CONTROL: i16 = 0b10_0000;

/// Why bytes are not an acceptable record batch.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BatchError {
    #[error("the batch ends before its header or its stated length does")]
    Truncated,
    #[error("the batch states a length that no batch can have: {0}")]
    Length(i32),
    #[error("message format v{0} is not supported: use v2 (Kafka 0.11 and later)")]
    Magic(i8),
    #[error("the CRC-32C of the batch does not match its bytes")]
    Crc,
    #[error("the batch states {records} records but a last offset delta of {last_offset_delta}")]
    Count {
        records: i32,
        last_offset_delta: i32,
    },
    #[error("compression type {0} is unknown")]
    Compression(i16),
}

/// The fixed header of a v2 record batch. Times are milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    pub batch_length: i32,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&header[at..at + N]);
    value
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; checks only that it is whole and of format v2.
    ///
    /// # Errors
    /// [`BatchError::Truncated`], [`BatchError::Length`], [`BatchError::Magic`].
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        // The magic stands at the same place in every format: name an old one as such.
        match bytes.get(16) {
            Some(&magic) if magic as i8 != MAGIC => return Err(BatchError::Magic(magic as i8)),
            _ => {}
        }
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or(BatchError::Truncated)?;
        let parsed = BatchHeader {
            base_offset: i64::from_be_bytes(field(header, 0)),
            batch_length: i32::from_be_bytes(field(header, 8)),
            leader_epoch: i32::from_be_bytes(field(header, 12)),
            magic: header[16] as i8,
            crc: u32::from_be_bytes(field(header, 17)),
            attributes: i16::from_be_bytes(field(header, 21)),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            record_count: i32::from_be_bytes(field(header, 57)),
        };
        let least = (HEADER_BYTES - LENGTH_PREFIX_BYTES) as i32;
        if parsed.batch_length < least {
            return Err(BatchError::Length(parsed.batch_length));
        }
        Ok(parsed)
    }

    /// Whole length in bytes, the twelve before the counted ones included.
    pub fn total_bytes(&self) -> usize {
        self.batch_length as usize + LENGTH_PREFIX_BYTES
    }

    /// How many offsets the batch takes.
    pub fn offset_count(&self) -> u32 {
        self.last_offset_delta.max(0) as u32 + 1
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & ATTRIBUTE_TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & ATTRIBUTE_CONTROL != 0
    }

    /// Its records have the time of their append: `max_timestamp`.
    pub fn has_log_append_time(&self) -> bool {
        self.attributes & ATTRIBUTE_LOG_APPEND_TIME != 0
    }

    /// Kafka's number of the compression: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub fn compression(&self) -> i16 {
        self.attributes & ATTRIBUTE_COMPRESSION
    }
}

/// Checks the first batch in `bytes` as a producer sent it: whole, v2, CRC right, counts agreeing.
/// The caller cuts `bytes` by [`BatchHeader::total_bytes`].
///
/// # Errors
/// Any [`BatchError`].
pub fn check(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let whole = bytes
        .get(..header.total_bytes())
        .ok_or(BatchError::Truncated)?;
    if checksum(CrcAlgorithm::Crc32Iscsi, &whole[CRC_FROM..]) as u32 != header.crc {
        return Err(BatchError::Crc);
    }
    if header.record_count < 1 || header.last_offset_delta != header.record_count - 1 {
        return Err(BatchError::Count {
            records: header.record_count,
            last_offset_delta: header.last_offset_delta,
        });
    }
    if header.compression() > 4 {
        return Err(BatchError::Compression(header.compression()));
    }
    Ok(header)
}

/// The header of a stored batch as a reader must see it: with its base offset and leader epoch
/// and, when `append_time_ms` is given, with the append time and the CRC that belongs to it.
///
/// # Errors
/// As [`BatchHeader::parse`].
pub fn overlay(
    bytes: &[u8],
    base_offset: i64,
    leader_epoch: i32,
    append_time_ms: Option<i64>,
) -> Result<[u8; HEADER_BYTES], BatchError> {
    let parsed = BatchHeader::parse(bytes)?;
    let mut header = *bytes
        .first_chunk::<HEADER_BYTES>()
        .ok_or(BatchError::Truncated)?;
    header[0..8].copy_from_slice(&base_offset.to_be_bytes());
    header[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    if let Some(time_ms) = append_time_ms {
        let before = checksum(CrcAlgorithm::Crc32Iscsi, &header[CRC_FROM..]);
        let attributes = parsed.attributes | ATTRIBUTE_LOG_APPEND_TIME;
        header[21..23].copy_from_slice(&attributes.to_be_bytes());
        header[35..43].copy_from_slice(&time_ms.to_be_bytes());
        let after = checksum(CrcAlgorithm::Crc32Iscsi, &header[CRC_FROM..]);
        // CRC is linear: what the header's change does to the CRC of the whole is its own change,
        // shifted over the records behind it.
        let behind = (parsed.total_bytes() - HEADER_BYTES) as u64;
        let shift = |crc| checksum_combine(CrcAlgorithm::Crc32Iscsi, crc, 0, behind) as u32;
        let crc = parsed.crc ^ shift(before) ^ shift(after);
        header[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(records: &[u8], count: i32) -> Vec<u8> {
        let mut bytes = vec![0u8; HEADER_BYTES];
        bytes.extend_from_slice(records);
        let length = (bytes.len() - LENGTH_PREFIX_BYTES) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = MAGIC as u8;
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        let crc = checksum(CrcAlgorithm::Crc32Iscsi, &bytes[CRC_FROM..]) as u32;
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    proptest! {
        #[test]
        fn an_overlaid_batch_passes_its_own_check(
            records in proptest::collection::vec(any::<u8>(), 0..300),
            offset: i64,
            time: Option<i64>,
        ) {
            let mut bytes = batch(&records, 3);
            let header = overlay(&bytes, offset, 0, time).unwrap();
            bytes[..HEADER_BYTES].copy_from_slice(&header);
            let seen = check(&bytes).unwrap();
            prop_assert_eq!(seen.base_offset, offset);
            if let Some(time) = time {
                prop_assert_eq!(seen.max_timestamp, time);
                prop_assert!(seen.attributes & ATTRIBUTE_LOG_APPEND_TIME != 0);
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = check(&bytes);
            let _ = overlay(&bytes, 1, 0, Some(2));
        }
    }

    #[test]
    fn each_damage_has_its_name() {
        let good = batch(b"abc", 1);
        assert_eq!(check(&good[..40]), Err(BatchError::Truncated));
        assert_eq!(check(&good[..good.len() - 1]), Err(BatchError::Truncated));
        let mut flipped = good.clone();
        flipped[62] ^= 1;
        assert_eq!(check(&flipped), Err(BatchError::Crc));
        let mut old = good.clone();
        old[16] = 1;
        assert_eq!(check(&old), Err(BatchError::Magic(1)));
        let mut short = good;
        short[8..12].copy_from_slice(&(-5i32).to_be_bytes());
        assert_eq!(check(&short), Err(BatchError::Length(-5)));
    }
}
