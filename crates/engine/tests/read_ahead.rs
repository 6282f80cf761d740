//! A reader of what only storage has: several reads under way, and nothing else is different.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use levada_engine::{
    AppendEntry, Engine, EngineSettings, NewTopic, ReadError, ReadPartition, ReadRequest, TopicRef,
    testing,
};
use levada_env::{
    Env,
    port::{PortError, PortFuture, PortResult, Urgency},
};
use levada_journal::{Journal, Staged, StoredSegment, memory::MemoryJournal};
use levada_model::{Extent, Offset, SegmentId};
use levada_records::{Batch, BatchBuilder, Batches, Compression, NewRecord, Producer};
use levada_sequencer::command_log::memory::MemoryLog;
use parking_lot::Mutex;

/// So often a slow read lets others go first. Those that begin later are done earlier.
const TURNS: usize = 40;

/// Segments in memory, of which some are damaged or not to be had, and whose reads may take a while.
#[derive(Default)]
struct Disk {
    segments: MemoryJournal,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_slow: bool,
    flipped: Option<SegmentId>,
    refused: Option<SegmentId>,
    reads: Vec<Extent>,
    under_way: usize,
    under_way_max: usize,
}

impl Journal for Disk {
    fn stage(&self, pieces: Vec<Bytes>, urgency: Urgency) -> PortResult<Staged> {
        self.segments.stage(pieces, urgency)
    }

    fn read(&self, extent: Extent) -> PortFuture<'_, Bytes> {
        Box::pin(async move {
            let turns = {
                let mut state = self.state.lock();
                state.reads.push(extent);
                state.under_way += 1;
                state.under_way_max = state.under_way_max.max(state.under_way);
                match state.is_slow {
                    true => TURNS - 9 * (state.reads.len() % 4),
                    false => 0,
                }
            };
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            let bytes = self.segments.read(extent).await?;
            let mut state = self.state.lock();
            state.under_way -= 1;
            if state.refused == Some(extent.segment) {
                return Err(PortError::Rejected("not now".into()));
            }
            let mut bytes = BytesMut::from(bytes);
            if state.flipped == Some(extent.segment) {
                *bytes.last_mut().unwrap() ^= 1;
            }
            Ok(bytes.freeze())
        })
    }

    fn delete(&self, segment: SegmentId) -> PortFuture<'_, ()> {
        self.segments.delete(segment)
    }

    fn list(&self) -> PortFuture<'_, Vec<StoredSegment>> {
        self.segments.list()
    }
}

impl Disk {
    /// Waits from now on, and counts from nothing.
    fn begin_slow_reads(&self) {
        *self.state.lock() = State {
            is_slow: true,
            ..State::default()
        };
    }

    /// The extents that were read, in the order in which that was begun.
    fn reads(&self) -> Vec<Extent> {
        self.state.lock().reads.clone()
    }
}

fn topic() -> TopicRef {
    TopicRef::Name("t".into())
}

/// An engine that keeps nothing in memory, with so many batches of one size, each a segment.
async fn cold(batches: u32) -> (Engine, Arc<Disk>) {
    let disk = Arc::new(Disk::default());
    let settings = EngineSettings {
        tail_cache_bytes: 0,
        index_tail_entries_max: 8,
        ..EngineSettings::default()
    };
    let journal = Arc::clone(&disk) as _;
    let engine = testing::engine_over(Env::real(), settings, journal, MemoryLog::new()).await;
    let new = NewTopic {
        name: "t".into(),
        configs: vec![("retention.ms".into(), "-1".into())],
        ..NewTopic::default()
    };
    engine.create_topic(new).await.unwrap();
    for number in 0..batches {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(&NewRecord {
            timestamp_ms: 1,
            value: Some(&number.to_be_bytes()),
            ..NewRecord::default()
        });
        let entry = AppendEntry {
            topic: topic(),
            partition: 0,
            records: builder.finish(Producer::NONE).unwrap(),
        };
        engine.submit(vec![entry]).await.await.remove(0).unwrap();
    }
    disk.begin_slow_reads();
    (engine, disk)
}

/// The numbers of the batches that a read gives, whose offsets must be the same.
async fn read(engine: &Engine, offset: i64, bytes_max: usize) -> Result<Vec<u32>, ReadError> {
    let request = ReadRequest {
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: bytes_max,
        partitions: vec![ReadPartition {
            topic: topic(),
            partition: 0,
            offset: Offset(offset),
            max_bytes: bytes_max,
            leader_epoch: -1,
        }],
    };
    let slice = engine.read(request).await.remove(0)?;
    let mut numbers = Vec::new();
    for stored in Batches::new(Bytes::from(slice.pieces.concat())) {
        let batch = Batch::verify(&stored.unwrap().1, 1 << 20).unwrap();
        for record in batch.records() {
            let record = record.unwrap();
            let number = u32::from_be_bytes(*record.value.as_ref().unwrap().first_chunk().unwrap());
            assert_eq!(batch.offset(&record), i64::from(number));
            numbers.push(number);
        }
    }
    Ok(numbers)
}

#[tokio::test]
async fn reads_of_storage_overlap_and_are_given_in_the_order_of_the_log() {
    let (engine, disk) = cold(20).await;
    let all: Vec<u32> = (0..20).collect();
    assert_eq!(read(&engine, 0, 1 << 20).await.unwrap(), all);
    let most = disk.state.lock().under_way_max;
    assert!((2..=8).contains(&most), "{most} reads at once");
    let begun: Vec<u64> = disk.reads().iter().map(|read| read.segment.0).collect();
    assert!(begun.is_sorted() && begun.len() == 20, "{begun:?}");
}

#[tokio::test]
async fn no_more_is_read_than_the_reader_may_be_given() {
    let (engine, disk) = cold(20).await;
    let batch = {
        read(&engine, 0, 1).await.unwrap();
        disk.reads()[0].length as usize
    };
    disk.begin_slow_reads();
    assert_eq!(read(&engine, 3, 3 * batch).await.unwrap(), [3, 4, 5]);
    assert_eq!(disk.reads().len(), 3, "of a whole number of batches");
    disk.begin_slow_reads();
    assert_eq!(read(&engine, 3, 3 * batch - 1).await.unwrap(), [3, 4]);
    assert_eq!(disk.reads().len(), 3, "the third did not fit");
    disk.begin_slow_reads();
    assert_eq!(
        read(&engine, 3, 1).await.unwrap(),
        [3],
        "a first one always"
    );
    assert_eq!(disk.reads().len(), 1);
    // Of older entries, which stand in a run, more are known than the reader asks for.
    engine.maintain().await;
    disk.begin_slow_reads();
    assert_eq!(read(&engine, 3, 3 * batch).await.unwrap(), [3, 4, 5]);
    assert_eq!(disk.reads().len(), 1 + 3, "the run and three batches");
}

#[tokio::test]
async fn damage_among_several_reads_ends_the_answer_before_it_and_is_told_to_the_next() {
    let (engine, disk) = cold(7).await;
    read(&engine, 0, 1 << 20).await.unwrap();
    let third = disk.reads()[2].segment;
    disk.begin_slow_reads();
    disk.state.lock().flipped = Some(third);
    assert_eq!(read(&engine, 0, 1 << 20).await.unwrap(), [0, 1]);
    assert_eq!(engine.metrics().snapshot().places_damaged, 0);
    let error = read(&engine, 2, 1 << 20).await.unwrap_err();
    let ReadError::Corrupt(why) = &error else {
        panic!("{error}")
    };
    assert!(why.starts_with(&format!("segment {third} ")), "{why}");
    assert_eq!(engine.metrics().snapshot().places_damaged, 1);
    let behind: Vec<u32> = (3..7).collect();
    assert_eq!(read(&engine, 3, 1 << 20).await.unwrap(), behind);
}

#[tokio::test]
async fn a_read_that_storage_refuses_ends_the_answer_before_it() {
    let (engine, disk) = cold(7).await;
    read(&engine, 0, 1 << 20).await.unwrap();
    let third = disk.reads()[2].segment;
    disk.state.lock().refused = Some(third);
    assert_eq!(read(&engine, 0, 1 << 20).await.unwrap(), [0, 1]);
    let refused = read(&engine, 2, 1 << 20).await;
    assert!(matches!(refused, Err(ReadError::Storage(_))), "{refused:?}");
    disk.state.lock().refused = None;
    assert_eq!(read(&engine, 2, 1 << 20).await.unwrap(), [2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn what_is_there_at_once_is_not_read_before_it_is_its_turn() {
    let (engine, disk) = cold(7).await;
    disk.state.lock().is_slow = false;
    let all: Vec<u32> = (0..7).collect();
    assert_eq!(read(&engine, 0, 1 << 20).await.unwrap(), all);
    assert_eq!(disk.state.lock().under_way_max, 1);
    assert_eq!(disk.reads().len(), 7);
}
