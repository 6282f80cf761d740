//! Opens a folder and compares everything in it with what was written.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use levada_engine::{OffsetSpec, ReadError, ReadPartition, ReadRequest, groups::TopicPartitions};
use levada_env::fault::FaultFs;
use levada_model::Offset;
use levada_records::{Batch, Batches, Producer};
use levada_wal::Recovered;

use crate::folder::{Expected, HELD, Knobs, Open, TIME_MS, batch, open, producer, topic, value};

/// Records that could not be read: topic, partition, offset.
pub type Lost = Vec<(&'static str, i32, i64)>;

/// What an opening and reading everything found.
#[derive(Debug)]
pub struct Outcome {
    pub lost: Lost,
    pub recovered: Recovered,
}

/// Fails with words instead of a panic, so that a test can tell where the damage was.
macro_rules! ensure {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(format!($($words)*));
        }
    };
}

/// Opens the folder, reads everything, appends, stops; if `twice`, does it again: the second time
/// must say the same.
///
/// # Errors
/// The first thing that is not as it must be.
pub async fn check(fs: &FaultFs, expected: &Expected, twice: bool) -> Result<Outcome, String> {
    let first = open(fs, &Knobs::STILL).await?;
    first.engine.maintain().await;
    let lost = read_everything(&first, expected, 0).await?;
    append_more(&first, expected, 0).await?;
    let recovered = first.recovered.clone();
    first.close().await;
    if twice {
        let second = open(fs, &Knobs::STILL).await?;
        let again = read_everything(&second, expected, 1).await?;
        ensure!(lost == again, "lost {lost:?} and after a restart {again:?}");
        append_more(&second, expected, 1).await?;
        second.close().await;
    }
    Ok(Outcome { lost, recovered })
}

/// Everything but the appends of this test: `appended` of them are there.
async fn read_everything(open: &Open, expected: &Expected, appended: i64) -> Result<Lost, String> {
    let topics = open.engine.topics();
    let names: Vec<_> = topics
        .iter()
        .map(|t| (t.name.as_str(), t.partitions))
        .collect();
    let wanted = [("orders", 2), ("quiet", 1), ("stamped", 1), ("trimmed", 1)];
    ensure!(names == wanted, "the topics are {names:?}");
    let group = TopicPartitions {
        name: "orders".into(),
        partitions: vec![0],
    };
    let committed = open
        .engine
        .groups()
        .fetch_offsets("readers", Some(vec![group]));
    let committed = committed.map_err(|error| error.to_string())?;
    let (_, found) = &committed[0].partitions[0];
    let found = found.as_ref().map(|found| found.offset.0);
    ensure!(
        found == Some(expected.committed),
        "the committed offset is {found:?}"
    );
    let mut lost = Lost::new();
    for at in HELD {
        let (start, mut end) = expected.ranges[&at];
        if at == ("orders", 0) {
            end += 2 * appended;
        }
        read_partition(open, at, start..end, &mut lost).await?;
    }
    Ok(lost)
}

async fn read_partition(
    open: &Open,
    at: (&'static str, i32),
    offsets: std::ops::Range<i64>,
    lost: &mut Lost,
) -> Result<(), String> {
    let name = format!("{} {}", at.0, at.1);
    let specs = [OffsetSpec::Earliest, OffsetSpec::Latest];
    for (spec, wanted) in specs.into_iter().zip([offsets.start, offsets.end]) {
        let found = open.engine.find_offset(&topic(at.0), at.1, spec).await;
        let found = found.map_err(|error| error.to_string())?.offset;
        ensure!(found == wanted, "{name}: {spec:?} is {found}, not {wanted}");
    }
    let mut next = offsets.start;
    while next < offsets.end {
        match fetch(open, at, next).await {
            Ok(records) => {
                let fresh: Vec<_> = records.into_iter().filter(|r| r.0 >= next).collect();
                ensure!(!fresh.is_empty(), "{name} has nothing at {next}");
                for (offset, time_ms, text) in fresh {
                    ensure!(offset == next, "{name}: {offset} follows {next}");
                    let right = text == value(at, offset)
                        && (at.0 == "stamped" || time_ms == TIME_MS + offset);
                    ensure!(right, "{name} {offset} is {text} of {time_ms}");
                    next += 1;
                }
            }
            Err(ReadError::Corrupt(_)) => {
                lost.push((at.0, at.1, next));
                next += 1;
            }
            Err(other) => return Err(format!("{name} {next}: {other}")),
        }
    }
    Ok(())
}

/// Offset, time and value of the records from `offset` on, of a batch or more.
pub async fn fetch(
    open: &Open,
    at: (&str, i32),
    offset: i64,
) -> Result<Vec<(i64, i64, String)>, ReadError> {
    let request = ReadRequest {
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: 1 << 20,
        partitions: vec![ReadPartition {
            topic: topic(at.0),
            partition: at.1,
            offset: Offset(offset),
            max_bytes: 1 << 20,
            leader_epoch: -1,
        }],
    };
    let slice = open.engine.read(request).await.remove(0)?;
    let mut records = Vec::new();
    for batch in Batches::new(Bytes::from(slice.pieces.concat())) {
        let (_, batch) = batch.expect("an answer holds whole batches");
        let batch = Batch::verify(&batch, 1 << 20).expect("their checksums match");
        for record in batch.records() {
            let record = record.expect("records read");
            let text = String::from_utf8(record.value.clone().unwrap_or_default().to_vec());
            let text = text.unwrap_or_default();
            let time_ms = batch.timestamp_ms(&record);
            records.push((batch.offset(&record), time_ms, text));
        }
    }
    Ok(records)
}

/// The idempotent producer's retry is a duplicate, its next batch is taken, others' too.
async fn append_more(open: &Open, expected: &Expected, appended: i64) -> Result<(), String> {
    let at = ("orders", 0);
    let end = expected.ranges[&at].1 + 2 * appended;
    for (base, wanted) in [(end - 2, end - 2), (end, end)] {
        let found = open.append(at, batch(at, base, producer(base))).await?;
        ensure!(found == wanted, "sequence {base} got {found}, not {wanted}");
    }
    let quiet = ("quiet", 1);
    let refused = open.append(quiet, batch(quiet, 0, Producer::NONE)).await;
    ensure!(refused.is_err(), "quiet has one partition only");
    Ok(())
}

/// Groups what was lost, for messages.
pub fn summary(lost: &Lost) -> BTreeMap<(&'static str, i32), Vec<i64>> {
    let mut sorted = BTreeMap::<_, Vec<i64>>::new();
    for (topic, partition, offset) in lost {
        sorted
            .entry((*topic, *partition))
            .or_default()
            .push(*offset);
    }
    sorted
}
