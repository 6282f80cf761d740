//! Batches that are small as they are sent and large when they are opened.
//!
//! A broker has no need to open most of them. Two rules make it look inside: a compacted topic
//! wants a key in every record, and a batch without its own time has that of its records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, ensure};
use bytes::Bytes;
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};

use super::attacks::repeat;
use super::client::{fetch, now_ms, produce};
use super::{BAD_TOPIC, COMPACTED_TOPIC, Target};
use crate::batch;
use crate::connection::Connection;

/// What all batches that are open at once may take, in MiB.
pub const OPENED_MB_MAX: u64 = 320;

const BOMBERS: usize = 4;
/// One record of this size, and so many without anything in them.
const LARGE_BYTES: usize = 60 << 20;
const RECORDS: usize = 4_000_000;
const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCE_VERSION: i16 = 9;
/// Bytes of a batch's header, which the broker overlays with offset and time.
const HEADER_BYTES: usize = 61;

/// One large record, without a key.
fn large(compression: Compression) -> Bytes {
    let value = vec![0; LARGE_BYTES];
    let mut builder = BatchBuilder::new(compression);
    builder.push(&NewRecord {
        timestamp_ms: now_ms(),
        value: Some(&value),
        ..NewRecord::default()
    });
    builder.finish(Producer::NONE).unwrap_or_default()
}

/// Millions of empty records in a batch that does not say its time.
fn many(compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    let timestamp_ms = now_ms();
    for _ in 0..RECORDS {
        builder.push(&NewRecord {
            timestamp_ms,
            ..NewRecord::default()
        });
    }
    let batch = builder.finish(Producer::NONE).unwrap_or_default();
    batch::rewrite(&batch, MAX_TIMESTAMP_AT, &(-1i64).to_be_bytes())
}

/// Bombs to every kind of topic; then what was kept is fetched as it was sent.
pub fn run(target: &Target<'_>, ready: &Arc<AtomicBool>) -> Result<String> {
    let bombs = [
        (BAD_TOPIC, large(Compression::Zstd)),
        (BAD_TOPIC, many(Compression::Zstd)),
        (BAD_TOPIC, many(Compression::Gzip)),
        (COMPACTED_TOPIC, large(Compression::Zstd)),
        (COMPACTED_TOPIC, large(Compression::Gzip)),
    ];
    stays_closed(target, &bombs[0].1)?;
    ready.store(true, Ordering::Release);
    let (sent, opened) = (AtomicU64::new(0), AtomicU64::new(0));
    repeat(target, BOMBERS, |random| {
        let Ok(mut connection) = Connection::open(target.address) else {
            return;
        };
        let (topic, bomb) = &bombs[random.within(0..bombs.len() as u64) as usize];
        let answer = connection.call(PRODUCE_VERSION, &produce(topic, bomb.clone()));
        if answer.is_ok() {
            sent.fetch_add(bomb.len() as u64, Ordering::Relaxed);
            opened.fetch_add(LARGE_BYTES as u64, Ordering::Relaxed);
        }
    });
    let (sent, opened) = (sent.into_inner() >> 10, opened.into_inner() >> 20);
    Ok(format!(
        "bombs of {sent} KiB in all that would open to {opened} MiB or more"
    ))
}

/// What nobody had to open is stored and served as it came.
fn stays_closed(target: &Target<'_>, bomb: &Bytes) -> Result<()> {
    let mut connection = Connection::open(target.address)?;
    let answer = connection.call(PRODUCE_VERSION, &produce(BAD_TOPIC, bomb.clone()))?;
    let taken = &answer.responses[0].partition_responses[0];
    ensure!(taken.error_code == 0, "produce: error {}", taken.error_code);
    let answer = connection.call(11, &fetch(BAD_TOPIC, taken.base_offset, 0))?;
    let records = answer.responses[0].partitions[0].records.clone();
    let bytes = records.unwrap_or_default().into_bytes();
    // The header is the broker's; the records are the producer's.
    let header = HEADER_BYTES;
    ensure!(
        bytes.get(header..bomb.len()) == bomb.get(header..),
        "a compressed batch came back as something else"
    );
    Ok(())
}
