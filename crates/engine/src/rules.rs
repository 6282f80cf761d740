//! Rules that look at a batch's records, and which of them broke one.

use std::ops::RangeInclusive;

use bytes::Bytes;
use levada_records::Batch;

use crate::AppendError;

/// What the records of one batch may take when they are decompressed for a rule.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// So many records of a batch are named; the batch is refused as a whole either way.
const NAMED_MAX: usize = 1000;

/// A record that a rule refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// Its place in the batch, from 0.
    pub index: u32,
    pub why: String,
}

/// A compacted topic keeps the newest record of each key, so each record must have one. The only
/// rule that needs the records of every batch.
///
/// # Errors
/// [`AppendError::KeyMissing`]; [`AppendError::InvalidBatch`] if the records do not read.
pub(crate) fn check_keys(bytes: &Bytes) -> Result<(), AppendError> {
    let invalid = |why: String| AppendError::InvalidBatch(why);
    let batch = Batch::decode(bytes, DECOMPRESSED_BYTES_MAX).map_err(|e| invalid(e.to_string()))?;
    let mut records = Vec::new();
    for (index, record) in (0..).zip(batch.records()) {
        if record.map_err(|e| invalid(e.to_string()))?.key.is_none() && records.len() < NAMED_MAX {
            records.push(BadRecord {
                index,
                why: "it has no key, and the topic is compacted".into(),
            });
        }
    }
    match records.is_empty() {
        true => Ok(()),
        false => Err(AppendError::KeyMissing { records }),
    }
}

/// The records whose time is not allowed; none if the records do not read.
pub(crate) fn outside(bytes: &Bytes, allowed: &RangeInclusive<i64>) -> Vec<BadRecord> {
    let Ok(batch) = Batch::decode(bytes, DECOMPRESSED_BYTES_MAX) else {
        return Vec::new();
    };
    let (from, to) = (allowed.start(), allowed.end());
    (0..)
        .zip(batch.records())
        .filter_map(|(index, record)| {
            let time = batch.timestamp_ms(&record.ok()?);
            (time >= 0 && !allowed.contains(&time)).then(|| BadRecord {
                index,
                why: format!("its timestamp {time} is not between {from} and {to}"),
            })
        })
        .take(NAMED_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use levada_records::{BatchBuilder, Compression, NewRecord, Producer};

    use super::*;

    fn batch(records: &[(i64, Option<&[u8]>)]) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::Gzip);
        for &(timestamp_ms, key) in records {
            builder.push(&NewRecord {
                timestamp_ms,
                key,
                ..NewRecord::default()
            });
        }
        builder.finish(Producer::NONE).unwrap()
    }

    fn indexes(records: &[BadRecord]) -> Vec<u32> {
        records.iter().map(|record| record.index).collect()
    }

    #[test]
    fn each_record_that_breaks_a_rule_is_named_by_its_place() {
        let key = Some(&b"k"[..]);
        let mixed = batch(&[(5, key), (30, None), (12, key), (20, None)]);
        let Err(AppendError::KeyMissing { records }) = check_keys(&mixed) else {
            panic!("records without a key passed");
        };
        assert_eq!(indexes(&records), [1, 3]);
        assert_eq!(indexes(&outside(&mixed, &(10..=20))), [0, 1]);
        assert_eq!(check_keys(&batch(&[(0, key)])), Ok(()));
        assert!(outside(&mixed, &(0..=100)).is_empty());
    }

    #[test]
    fn the_names_are_bounded() {
        let many = batch(&vec![(50, None); NAMED_MAX + 5]);
        let Err(AppendError::KeyMissing { records }) = check_keys(&many) else {
            panic!("records without a key passed");
        };
        assert_eq!(records.len(), NAMED_MAX);
        assert_eq!(outside(&many, &(0..=1)).len(), NAMED_MAX);
    }
}
