//! What becomes of staged bytes when storage refuses, uses a place again, or is damaged.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use levada_catalog::StateSettings;
use levada_engine::{
    AppendEntry, AppendError, Engine, EngineSettings, NewTopic, ReadError, ReadPartition,
    ReadRequest, TopicRef,
};
use levada_env::{
    Env,
    port::{PortError, PortFuture, PortResult, Ticket, Urgency},
};
use levada_journal::{Journal, Staged, StoredSegment};
use levada_model::{Extent, Offset, SegmentId};
use levada_records::{BatchBuilder, Batches, Compression, NewRecord, Producer};
use levada_sequencer::{Sequencer, SequencerSettings, command_log::memory::MemoryLog};
use parking_lot::Mutex;

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
        let inner = &mut *self.inner.lock();
        inner.reads.push(extent);
        let from = extent.position as usize;
        let found = inner.files[extent.segment.0 as usize]
            .as_ref()
            .filter(|_| !inner.damaged.contains(&extent))
            .and_then(|file| file.get(from..from + extent.length as usize))
            .map(Bytes::copy_from_slice);
        Box::pin(async move { found.ok_or(PortError::Corrupt("not there".into())) })
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

async fn start(journal: &Arc<Files>, settings: EngineSettings) -> Engine {
    let (sequencer, _) = Sequencer::recover(
        Env::real(),
        SequencerSettings::default(),
        StateSettings::default(),
        Arc::new(MemoryLog::new()),
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

async fn read(engine: &Engine, offset: i64) -> Result<Vec<String>, ReadError> {
    let request = ReadRequest {
        max_wait: Duration::ZERO,
        min_bytes: 0,
        max_bytes: 1 << 20,
        partitions: vec![ReadPartition {
            topic: named("kept"),
            partition: 0,
            offset: Offset(offset),
            max_bytes: 1 << 20,
            leader_epoch: -1,
        }],
    };
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
        append(&engine, "bulk", &"x".repeat(2000)).await.unwrap();
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
