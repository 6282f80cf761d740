//! A fetch of one partition, as readers, members and the auditor make it.

use levada_model::Offset;
use levada_records::{Batch, Batches};
use levada_wire_kafka::KStr;
use levada_wire_kafka::Records;
use levada_wire_kafka::messages::{FetchPartition, FetchRequest, FetchTopic};

use super::link::{Link, by_id, by_name, may_be_named, uuid};
use crate::history::{Answer, Op, RecordId};
use crate::world::KnownTopic;

/// The greatest version of Fetch that names topics by name.
pub const BY_NAME_MAX: i16 = 12;
/// Most bytes that a batch may take when it is decompressed.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// How a fetch names its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By its id: there can be no doubt which topic is meant.
    Id,
    /// By its id or by its name.
    Either,
}

/// What a fetch gave.
pub struct Fetched {
    /// The offset after the last record, or the one that was asked for.
    pub next: Offset,
}

/// Fetches once. `None`: no answer; `Some(Err)`: refused with that code.
pub async fn fetch(
    link: &mut Link,
    topic: &KnownTopic,
    partition: i32,
    from: Offset,
    wait_ms: i32,
    by: By,
) -> Option<Result<Fetched, i16>> {
    let named = by == By::Either && may_be_named(link, topic);
    let most = if named { BY_NAME_MAX } else { i16::MAX };
    let request = FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: 64 << 10,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: KStr::from(topic.name.as_str()),
            topic_id: uuid(topic.id),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: from.0,
                partition_max_bytes: 4 << 10,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let at = match named {
        true => by_name(topic, partition),
        false => by_id(topic, partition),
    };
    let (call, answer) = link.call(Op::Fetch { at, from }, &request, most).await?;
    let data = answer.responses.first().and_then(|t| t.partitions.first());
    let code = match (answer.error_code, data) {
        (0, Some(data)) => data.error_code,
        (0, None) => -1,
        (code, _) => code,
    };
    let (high, start, records) = data.map_or((-1, -1, Vec::new()), |data| {
        let run = data.records.clone().unwrap_or_default();
        let records = read(run, from, RecordId::read);
        (data.high_watermark, data.log_start_offset, records)
    });
    let next = records.last().map_or(from, |(offset, _)| offset.plus(1));
    let ended = link.end(
        call,
        code,
        Answer::Fetched {
            records,
            high_watermark: Offset(high),
            log_start: Offset(start),
        },
    );
    Some(ended.map(|()| Fetched { next }))
}

/// The records of a fetched run from `from` on, whose values `identify` knows. What cannot be read is
/// a record that nobody wrote: no broker may answer so.
pub fn read(
    run: Records,
    from: Offset,
    identify: impl Fn(&[u8]) -> RecordId,
) -> Vec<(Offset, RecordId)> {
    let mut found = Vec::new();
    for batch in Batches::new(run.into_bytes()) {
        let Ok((header, bytes)) = batch else {
            found.push((from, RecordId::read(b"not a batch")));
            break;
        };
        let Ok(batch) = Batch::verify(&bytes, BATCH_BYTES_MAX) else {
            found.push((Offset(header.base_offset), RecordId::read(&bytes)));
            continue;
        };
        for record in batch.records() {
            match record {
                Ok(record) => {
                    let value = record.value.clone().unwrap_or_default();
                    let id = identify(&value);
                    found.push((Offset(batch.offset(&record)), id));
                }
                Err(_) => found.push((Offset(header.base_offset), RecordId::read(b"bad"))),
            }
        }
    }
    found.retain(|(offset, _)| *offset >= from);
    found
}
