//! Record batches to send, good and spoilt, and what stands in those that come back.

use bytes::Bytes;
use levada_records::{Batch, BatchBuilder, Batches, Compression, NewRecord, Producer};
use levada_wire_kafka::Records;

/// Where fields stand in a batch.
pub const LENGTH_AT: usize = 8;
pub const MAGIC_AT: usize = 16;
pub const CRC_AT: usize = 17;
pub const ATTRIBUTES_AT: usize = 21;
pub const LAST_OFFSET_DELTA_AT: usize = 23;
const OPENED_BYTES_MAX: usize = 64 << 20;

/// A batch of `count` records `key-i` / `value-i`, one a millisecond from `first_ms`.
pub fn plain(count: usize, first_ms: i64) -> Bytes {
    build(count, first_ms, Compression::None, Producer::NONE)
}

/// As [`plain`], compressed or of an idempotent producer.
pub fn build(count: usize, first_ms: i64, compression: Compression, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for index in 0..count {
        let (key, value) = (format!("key-{index}"), format!("value-{index}"));
        builder.push(&NewRecord {
            timestamp_ms: first_ms + index as i64,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[("header", Some(b"h"))],
        });
    }
    builder.finish(producer).unwrap_or_default()
}

/// A batch of one record with this value.
pub fn single(value: &[u8], timestamp_ms: i64, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord {
        timestamp_ms,
        value: Some(value),
        ..NewRecord::default()
    });
    builder.finish(producer).unwrap_or_default()
}

/// The batch with `bytes` written over it at `at`; its CRC is left as it was.
pub fn spoil(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut spoilt = batch.to_vec();
    spoilt[at..at + bytes.len()].copy_from_slice(bytes);
    spoilt.into()
}

/// The batch with `bytes` written over it at `at` and a CRC that is right for that.
pub fn rewrite(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let spoilt = spoil(batch, at, bytes);
    let crc = crc32c(&spoilt[ATTRIBUTES_AT..]);
    spoil(&spoilt, CRC_AT, &crc.to_be_bytes())
}

/// CRC-32C bit by bit: a second opinion on the table-driven one that the broker links.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    })
}

/// What stands in the batches of a fetch, in a form to compare.
pub fn describe(records: &Records) -> String {
    let mut out = String::new();
    let mut batches = Batches::new(records.clone().into_bytes());
    for batch in &mut batches {
        match batch {
            Ok((_, bytes)) => out += &describe_one(&bytes),
            Err(error) => out += &format!("[bad batch: {error}]"),
        }
    }
    if !batches.rest().is_empty() {
        out += "[a batch cut short]";
    }
    out
}

fn describe_one(bytes: &Bytes) -> String {
    let batch = match Batch::verify(bytes, OPENED_BYTES_MAX) {
        Ok(batch) => batch,
        Err(error) => return format!("[bad batch: {error}]"),
    };
    let header = batch.header();
    let mut out = format!(
        "[base_offset: {}, leader_epoch: {}, attributes: {}, last_offset_delta: {}, \
         base_timestamp: {}, max_timestamp: {}, producer_id: {}, producer_epoch: {}, sequence: {}:",
        header.base_offset,
        header.leader_epoch,
        header.attributes,
        header.last_offset_delta,
        header.base_timestamp,
        header.max_timestamp,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
    );
    for record in batch.records() {
        match record {
            Ok(record) => out += &format!(" {:?}={:?}", record.key, short(&record.value)),
            Err(error) => out += &format!(" bad record: {error}"),
        }
    }
    out + "]"
}

/// A value, or the length of a long one.
fn short(value: &Option<Bytes>) -> String {
    match value {
        Some(value) if value.len() > 64 => format!("{} bytes", value.len()),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_checksums_agree() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        let batch = plain(3, 1000);
        assert_eq!(rewrite(&batch, ATTRIBUTES_AT, &[0, 0]), batch);
    }

    #[test]
    fn a_spoilt_batch_is_described_as_bad() {
        let good = plain(2, 5);
        assert!(describe(&good.clone().into()).contains("last_offset_delta: 1"));
        let bad = spoil(&good, good.len() - 1, b"x");
        assert!(describe(&bad.into()).contains("bad batch"));
    }
}
