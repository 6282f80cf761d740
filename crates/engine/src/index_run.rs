//! The stored form of a spilled index run: the one file that defines it.
//!
//! `magic u32 | version u8 | count varint | entries | crc32c u32`; an entry is its offsets, extent
//! and times, each as the difference to the entry before it.
//!
//! A run is stored twice, one copy right behind the other: without it thousands of sound records
//! could not be found. The first builds stored one copy; that is read as well.

use crc_fast::{CrcAlgorithm, checksum};
use levada_catalog::partitions::IndexEntry;
use levada_model::{
    Extent, Offset, SegmentId,
    codec::{DecodeError, Decoder, Encoder},
};

const MAGIC: u32 = 0x4C56_4958;
const VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

/// Encodes entries that follow one another without a gap, in two copies.
pub(crate) fn encode(entries: &[IndexEntry]) -> Vec<u8> {
    encode_copy(entries).repeat(2)
}

fn encode_copy(entries: &[IndexEntry]) -> Vec<u8> {
    let mut out = Encoder::new();
    out.u32(MAGIC);
    out.u8(VERSION);
    out.count(entries.len());
    let mut next = 0;
    let mut segment = 0i64;
    let mut time = 0i64;
    for entry in entries {
        out.signed(entry.base.0 - next);
        out.varint(entry.offset_count.into());
        out.signed((entry.extent.segment.0 as i64).wrapping_sub(segment));
        out.varint(entry.extent.position);
        out.varint(entry.extent.length.into());
        out.signed(entry.max_timestamp_ms.wrapping_sub(time));
        out.option(entry.append_time_ms, Encoder::signed);
        next = entry.end().0;
        segment = entry.extent.segment.0 as i64;
        time = entry.max_timestamp_ms;
    }
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, &out.bytes) as u32;
    out.u32(crc);
    out.bytes
}

/// Reads a run from the first copy of it that is sound.
///
/// # Errors
/// When the bytes are not a run that [`encode`] wrote, or no copy of it is sound.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<IndexEntry>, DecodeError> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    decode_copy(first)
        .or_else(|_| decode_copy(second))
        .or_else(|_| decode_copy(bytes))
}

fn decode_copy(bytes: &[u8]) -> Result<Vec<IndexEntry>, DecodeError> {
    let split = bytes
        .len()
        .checked_sub(CRC_BYTES)
        .ok_or(DecodeError("an index run is too short"))?;
    let (body, crc) = bytes.split_at(split);
    if checksum(CrcAlgorithm::Crc32Iscsi, body) as u32 != Decoder::new(crc).u32()? {
        return Err(DecodeError("the checksum of an index run does not match"));
    }
    let mut input = Decoder::new(body);
    if input.u32()? != MAGIC || input.u8()? != VERSION {
        return Err(DecodeError("not an index run of a version that is known"));
    }
    let mut next = 0i64;
    let mut segment = 0i64;
    let mut time = 0i64;
    let entries = input.list(|input| {
        let base = next.saturating_add(input.signed()?);
        let offset_count = small(input.varint()?)?;
        segment = segment.wrapping_add(input.signed()?);
        let extent = Extent {
            segment: SegmentId(segment as u64),
            position: input.varint()?,
            length: small(input.varint()?)?,
        };
        time = time.wrapping_add(input.signed()?);
        let entry = IndexEntry {
            base: Offset(base),
            offset_count,
            extent,
            max_timestamp_ms: time,
            append_time_ms: input.option(Decoder::signed)?,
        };
        let ordered = entry.base.0 >= next && entry.end().0 > entry.base.0;
        if !ordered {
            return Err(DecodeError("the entries of an index run are out of order"));
        }
        next = entry.end().0;
        Ok(entry)
    })?;
    input.finish()?;
    Ok(entries)
}

fn small(value: u64) -> Result<u32, DecodeError> {
    u32::try_from(value).map_err(|_| DecodeError("a number in an index run is too large"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = IndexEntry> {
        let extent = (any::<u64>(), 0..u64::MAX / 2, any::<u32>());
        let times = (any::<i64>(), any::<Option<i64>>());
        (0..i64::MAX / 2, 1..u32::MAX, extent, times).prop_map(|(base, count, extent, times)| {
            IndexEntry {
                base: Offset(base),
                offset_count: count,
                extent: Extent {
                    segment: SegmentId(extent.0),
                    position: extent.1,
                    length: extent.2,
                },
                max_timestamp_ms: times.0,
                append_time_ms: times.1,
            }
        })
    }

    /// Entries that follow one another, from the base of the first on.
    fn run(sizes: std::ops::Range<usize>) -> impl Strategy<Value = Vec<IndexEntry>> {
        proptest::collection::vec(entry(), sizes).prop_map(|mut entries| {
            let mut next = entries.first().map_or(Offset(0), |first| first.base);
            for entry in &mut entries {
                entry.base = next;
                next = entry.end();
            }
            entries
        })
    }

    #[test]
    fn entries_that_no_partition_can_have_are_refused() {
        let entry = |base, offset_count| IndexEntry {
            base: Offset(base),
            offset_count,
            extent: Extent {
                segment: SegmentId(0),
                position: 0,
                length: 9,
            },
            max_timestamp_ms: 0,
            append_time_ms: None,
        };
        assert!(decode(&encode(&[entry(5, 3), entry(8, 1)])).is_ok());
        for wrong in [
            vec![entry(-7, 10)],
            vec![entry(5, 0)],
            vec![entry(5, 3), entry(7, 1)],
        ] {
            assert!(decode(&encode(&wrong)).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn a_run_comes_back(entries in run(0..50)) {
            prop_assert_eq!(decode(&encode(&entries)), Ok(entries));
        }

        #[test]
        fn a_run_of_a_single_copy_comes_back(entries in run(0..50)) {
            prop_assert_eq!(decode(&encode_copy(&entries)), Ok(entries));
        }

        #[test]
        fn a_flipped_bit_costs_nothing(entries in run(0..9), bit: usize) {
            let mut bytes = encode(&entries);
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(decode(&bytes), Ok(entries));
        }

        #[test]
        fn damage_to_both_copies_is_found(entries in run(0..9), a: usize, b: usize) {
            let mut bytes = encode(&entries);
            let bits = bytes.len() * 8 / 2;
            for bit in [a % bits, bits + b % bits] {
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
