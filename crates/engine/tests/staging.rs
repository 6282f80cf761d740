//! What becomes of staged bytes when storage refuses, uses a place again, or is damaged.
#![allow(clippy::disallowed_methods)]

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use levada_catalog::StateSettings;
use levada_engine::{
    AppendEntry, AppendError, Engine, EngineSettings, NewTopic, ReadError, ReadPartition,
    ReadRequest, TopicRef, testing::SlowLog,
};
use levada_env::{
    Env,
    port::{PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_journal::{Journal, Staged, StoredSegment};
use levada_model::{Extent, Offset, SegmentId};
use levada_records::{BatchBuilder, Batches, Compression, NewRecord, Producer};
use levada_sequencer::command_log::{CommandLog, memory::MemoryLog};
use levada_sequencer::{Sequencer, SequencerSettings};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A journal of files, as the embedded log has them: a place that was refused is used again.
#[derive(Default)]
struct Files {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    files: Vec<Option<Vec<u8>>>,
    /// Staging fails at the sync, and its place is taken back.
    full: bool,
    damaged: BTreeSet<Extent>,
    reads: Vec<Extent>,
    /// The next read waits for it before it looks.
    gate: Option<Arc<Notify>>,
}

impl Files {
    fn next_file(&self) {
        self.inner.lock().files.push(Some(Vec::new()));
    }

    fn set_full(&self, full: bool) {
        self.inner.lock().full = full;
    }
}

impl Journal for Files {
    fn stage(&self, pieces: Vec<Bytes>, _urgency: Urgency) -> PortResult<Staged> {
        let inner = &mut *self.inner.lock();
        if inner.files.is_empty() {
            inner.files.push(Some(Vec::new()));
        }
        let segment = SegmentId(inner.files.len() as u64 - 1);
        let file = inner.files.last_mut().unwrap().as_mut().unwrap();
        let bytes = pieces.concat();
        let extent = Extent {
            segment,
            position: file.len() as u64,
            length: bytes.len() as u32,
        };
        if inner.full {
            let ticket = Ticket::new(async { Err(PortError::Rejected("full".into())) });
            return Ok(Staged { extent, ticket });
        }
        file.extend_from_slice(&bytes);
        let ticket = Ticket::new(async { Ok(()) });
        Ok(Staged { extent, ticket })
    }

    fn read(&self, extent: Extent) -> PortFuture<'_, Bytes> {
        let gate = {
            let mut inner = self.inner.lock();
            inner.reads.push(extent);
            inner.gate.take()
        };
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.notified().await;
            }
            let inner = self.inner.lock();
            let from = extent.position as usize;
            let found = inner.files[extent.segment.0 as usize]
                .as_ref()
                .filter(|_| !inner.damaged.iter().any(|hurt| overlap(*hurt, extent)))
                .and_then(|file| file.get(from..from + extent.length as usize))
                .map(Bytes::copy_from_slice);
            found.ok_or(PortError::Corrupt("not there".into()))
        })
    }

    fn delete(&self, segment: SegmentId) -> PortFuture<'_, ()> {
        self.inner.lock().files[segment.0 as usize] = None;
        Box::pin(async { Ok(()) })
    }

    fn list(&self) -> PortFuture<'_, Vec<StoredSegment>> {
        let inner = self.inner.lock();
        let stored = inner.files.iter().enumerate().filter_map(|(id, file)| {
            Some(StoredSegment {
                segment: SegmentId(id as u64),
                stored_bytes: file.as_ref()?.len() as u64,
            })
        });
        let stored = stored.collect();
        Box::pin(async move { Ok(stored) })
    }
}

fn overlap(a: Extent, b: Extent) -> bool {
    let end = |extent: Extent| extent.position + u64::from(extent.length);
    a.segment == b.segment && a.position < end(b) && b.position < end(a)
}

async fn start(journal: &Arc<Files>, settings: EngineSettings) -> Engine {
    start_on(journal, settings, MemoryLog::new()).await
}

async fn start_on(
    journal: &Arc<Files>,
    settings: EngineSettings,
    log: impl CommandLog + 'static,
) -> Engine {
    let (sequencer, _) = Sequencer::recover(
        Env::real(),
        SequencerSettings::default(),
        StateSettings::default(),
        Arc::new(log),
    )
    .await
    .unwrap();
    let engine = Engine::start(Env::real(), settings, Arc::clone(journal) as _, sequencer);
    for name in ["kept", "bulk"] {
        let new = NewTopic {
            name: name.into(),
            configs: vec![("retention.ms".into(), "-1".into())],
            ..NewTopic::default()
        };
        engine.create_topic(new).await.unwrap();
    }
    engine
}

fn settings() -> EngineSettings {
    EngineSettings {
        disk_slack_bytes: 0,
        maintenance_interval: Duration::from_secs(3600),
        ..EngineSettings::default()
    }
}

fn named(topic: &str) -> TopicRef {
    TopicRef::Name(topic.into())
}

async fn append(engine: &Engine, topic: &str, value: &str) -> Result<i64, AppendError> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&NewRecord {
        timestamp_ms: 1,
        value: Some(value.as_bytes()),
        ..NewRecord::default()
    });
    let entry = AppendEntry {
        topic: named(topic),
        partition: 0,
        records: builder.finish(Producer::NONE).unwrap(),
    };
    let mut results = engine.submit(vec![entry]).await.await;
    results.remove(0).map(|appended| appended.base_offset.0)
}

fn request(offset: i64, max_wait: Duration) -> ReadRequest {
    ReadRequest {
        max_wait,
        min_bytes: 1,
        max_bytes: 1 << 20,
        partitions: vec![ReadPartition {
            topic: named("kept"),
            partition: 0,
            offset: Offset(offset),
            max_bytes: 1 << 20,
            leader_epoch: -1,
        }],
    }
}

async fn read(engine: &Engine, offset: i64) -> Result<Vec<String>, ReadError> {
    let request = request(offset, Duration::ZERO);
    let pieces = engine.read(request).await.remove(0)?.pieces.concat();
    let mut seen = Vec::new();
    for batch in Batches::new(Bytes::from(pieces)) {
        let (_, batch) = batch.unwrap();
        let batch = levada_records::Batch::verify(&batch, 1 << 20).unwrap();
        for record in batch.records() {
            let value = record.unwrap().value.clone().unwrap();
            seen.push(String::from_utf8(value.to_vec()).unwrap());
        }
    }
    Ok(seen)
}

#[tokio::test]
async fn bytes_that_were_refused_are_never_read_in_the_place_of_rewritten_ones() {
    let journal = Arc::new(Files::default());
    let engine = start(&journal, settings()).await;
    append(&engine, "kept", "right").await.unwrap();
    append(&engine, "bulk", &"x".repeat(2000)).await.unwrap();
    journal.next_file();
    journal.set_full(true);
    let refused = append(&engine, "kept", "wrong").await;
    assert!(
        matches!(refused, Err(AppendError::Storage(_))),
        "{refused:?}"
    );
    journal.set_full(false);
    // What is left of the first file is rewritten to the place where the refused bytes would be.
    engine.delete_topic(&named("bulk")).await.unwrap();
    engine.maintain().await;
    assert!(engine.metrics().bytes_rewritten.load(Ordering::Relaxed) > 0);
    assert_eq!(read(&engine, 0).await.unwrap(), ["right"]);
}

#[tokio::test]
async fn a_segment_whose_commit_is_under_way_is_not_released() {
    let (journal, log) = (Arc::new(Files::default()), SlowLog::default());
    let settings = EngineSettings {
        tail_cache_bytes: 0,
        ..settings()
    };
    let engine = start_on(&journal, settings, log.clone()).await;
    log.stall(true);
    let mut appending = Box::pin(append(&engine, "kept", "staged"));
    while journal.list().await.unwrap().is_empty() {
        assert!(futures_util::poll!(&mut appending).is_pending());
        tokio::task::yield_now().await;
    }
    // Nothing names it yet, and it is not the newest any more.
    journal.next_file();
    engine.maintain().await;
    log.stall(false);
    appending.await.unwrap();
    assert_eq!(read(&engine, 0).await.unwrap(), ["staged"]);
}

#[tokio::test]
async fn a_damaged_batch_of_a_run_does_not_make_each_round_write_the_others_again() {
    let journal = Arc::new(Files::default());
    let settings = EngineSettings {
        index_tail_entries_max: 4,
        tail_cache_bytes: 0,
        ..settings()
    };
    let engine = start(&journal, settings).await;
    for n in 0..8 {
        append(&engine, "kept", &format!("value {n}"))
            .await
            .unwrap();
        // So far apart that each is read alone.
        append(&engine, "bulk", &"x".repeat(20_000)).await.unwrap();
    }
    engine.maintain().await;
    journal.next_file();
    journal.inner.lock().reads.clear();
    read(&engine, 0).await.unwrap();
    // The run, then its entries.
    let third = journal.inner.lock().reads[3];
    journal.inner.lock().damaged.insert(third);
    engine.delete_topic(&named("bulk")).await.unwrap();
    engine.maintain().await;
    let once = engine.metrics().bytes_rewritten.load(Ordering::Relaxed);
    for _ in 0..5 {
        engine.maintain().await;
    }
    let often = engine.metrics().bytes_rewritten.load(Ordering::Relaxed);
    assert!(often == once, "{once} bytes in one round, {often} in six");
    // The damage is told, and nothing but the damaged batch is lost.
    assert_eq!(read(&engine, 0).await.unwrap(), ["value 0", "value 1"]);
    assert!(matches!(read(&engine, 2).await, Err(ReadError::Corrupt(_))));
    assert_eq!(read(&engine, 3).await.unwrap()[0], "value 3");
    // What lies in the second file is released once it is dead.
    engine.delete_topic(&named("kept")).await.unwrap();
    journal.next_file();
    engine.maintain().await;
    assert_eq!(journal.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_read_that_a_rewrite_overtakes_is_retried_and_not_called_damaged() {
    let journal = Arc::new(Files::default());
    let settings = EngineSettings {
        index_tail_entries_max: 4,
        tail_cache_bytes: 0,
        ..settings()
    };
    let engine = start(&journal, settings).await;
    for n in 0..8 {
        append(&engine, "kept", &format!("value {n}"))
            .await
            .unwrap();
        append(&engine, "bulk", &"x".repeat(2000)).await.unwrap();
    }
    engine.maintain().await;
    journal.next_file();
    let gate = Arc::new(Notify::new());
    journal.inner.lock().gate = Some(Arc::clone(&gate));
    let mut late = Box::pin(read(&engine, 0));
    assert!(futures_util::poll!(&mut late).is_pending());
    engine.delete_topic(&named("bulk")).await.unwrap();
    engine.maintain().await;
    assert_eq!(journal.list().await.unwrap().len(), 1);
    gate.notify_one();
    assert!(matches!(late.await, Err(ReadError::Storage(_))));
    assert_eq!(read(&engine, 0).await.unwrap()[0], "value 0");
}

#[tokio::test(start_paused = true)]
async fn long_polls_answer_as_soon_as_the_service_drains() {
    let journal = Arc::new(Files::default());
    let engine = start(&journal, settings()).await;
    let mut waiting = Box::pin(engine.read(request(0, Duration::from_secs(60))));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    engine.wake_waiting();
    let second = Duration::from_secs(1);
    tokio::time::timeout(second, waiting).await.unwrap();
    let later = engine.read(request(0, Duration::from_secs(60)));
    tokio::time::timeout(second, later).await.unwrap();
}
