//! Append and read through the engine on memory backends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use levada_engine::{
    AppendEntry, AppendError, Engine, EngineSettings, NewTopic, OffsetSpec, ReadError,
    ReadPartition, ReadRequest, TopicRef, testing,
};
use levada_env::{Env, fault::FaultFs};
use levada_journal::memory::MemoryJournal;
use levada_model::Offset;
use levada_records::{BatchBuilder, Batches, Compression, NewRecord, Producer};
use levada_sequencer::command_log::memory::MemoryLog;

fn batch(values: &[&str], time_ms: i64, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for (n, value) in values.iter().enumerate() {
        builder.push(&NewRecord {
            timestamp_ms: time_ms + n as i64,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        });
    }
    builder.finish(producer).unwrap()
}

fn topic() -> TopicRef {
    TopicRef::Name("t".into())
}

async fn append(engine: &Engine, records: Bytes) -> Result<i64, AppendError> {
    let entry = AppendEntry {
        topic: topic(),
        partition: 0,
        records,
    };
    let mut results = engine.submit(vec![entry]).await.await;
    results.remove(0).map(|appended| appended.base_offset.0)
}

fn request(offset: i64, max_wait: Duration, min_bytes: usize) -> ReadRequest {
    ReadRequest {
        max_wait,
        min_bytes,
        max_bytes: 1 << 20,
        partitions: vec![ReadPartition {
            topic: topic(),
            partition: 0,
            offset: Offset(offset),
            max_bytes: 1 << 20,
            leader_epoch: -1,
        }],
    }
}

/// Offset, time and value of what a read gives; every batch's CRC is checked.
async fn read(engine: &Engine, offset: i64) -> Result<Vec<(i64, i64, String)>, ReadError> {
    let mut slices = engine.read(request(offset, Duration::ZERO, 0)).await;
    let pieces = slices.remove(0)?.pieces.concat();
    let mut seen = Vec::new();
    for batch in Batches::new(Bytes::from(pieces)) {
        let (_, batch) = batch.unwrap();
        let batch = levada_records::Batch::verify(&batch, 1 << 20).unwrap();
        for record in batch.records() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
            seen.push((batch.offset(&record), batch.timestamp_ms(&record), value));
        }
    }
    Ok(seen)
}

async fn engine_with_topic(configs: &[(&str, &str)]) -> Engine {
    let engine = testing::memory_engine(Env::real()).await;
    create(&engine, configs).await;
    engine
}

async fn create(engine: &Engine, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    let new = NewTopic {
        name: "t".into(),
        configs: configs.collect(),
        ..NewTopic::default()
    };
    engine.create_topic(new).await.unwrap();
}

fn values(seen: &[(i64, i64, String)]) -> Vec<(i64, &str)> {
    seen.iter()
        .map(|(offset, _, value)| (*offset, value.as_str()))
        .collect()
}

#[tokio::test]
async fn records_are_read_at_the_offsets_that_were_acknowledged() {
    let engine = engine_with_topic(&[]).await;
    assert_eq!(
        append(&engine, batch(&["a", "b"], 1, Producer::NONE)).await,
        Ok(0)
    );
    assert_eq!(
        append(&engine, batch(&["c"], 2, Producer::NONE)).await,
        Ok(2)
    );
    let seen = read(&engine, 0).await.unwrap();
    assert_eq!(values(&seen), [(0, "a"), (1, "b"), (2, "c")]);
    let seen = read(&engine, 2).await.unwrap();
    assert_eq!(values(&seen), [(2, "c")]);
    assert_eq!(read(&engine, 3).await.unwrap(), []);
    let beyond = ReadError::OffsetOutOfRange {
        log_start: Offset(0),
        high_watermark: Offset(3),
    };
    assert_eq!(read(&engine, 4).await, Err(beyond));
}

#[tokio::test]
async fn what_left_the_tail_cache_comes_from_the_journal() {
    let settings = EngineSettings {
        tail_cache_bytes: 0,
        ..EngineSettings::default()
    };
    let engine = testing::engine_on(Env::real(), settings, Arc::default(), MemoryLog::new()).await;
    create(&engine, &[]).await;
    append(&engine, batch(&["a"], 1, Producer::NONE))
        .await
        .unwrap();
    append(&engine, batch(&["b"], 1, Producer::NONE))
        .await
        .unwrap();
    let seen = read(&engine, 0).await.unwrap();
    assert_eq!(values(&seen), [(0, "a"), (1, "b")]);
    assert_eq!(engine.metrics().snapshot().journal_reads, 2);
}

#[tokio::test]
async fn a_waiting_reader_wakes_when_a_record_comes() {
    let engine = engine_with_topic(&[]).await;
    let reader = engine.clone();
    let hour = Duration::from_secs(3600);
    let waiting = tokio::join!(reader.read(request(0, hour, 1)), async {
        tokio::task::yield_now().await;
        append(&engine, batch(&["a"], 1, Producer::NONE))
            .await
            .unwrap();
    });
    let (slices, ()) = waiting;
    assert!(!slices[0].as_ref().unwrap().pieces.is_empty());
}

#[tokio::test]
async fn a_retried_idempotent_batch_is_stored_once_and_a_gap_is_refused() {
    let engine = engine_with_topic(&[]).await;
    let (id, epoch) = engine.allocate_producer().await.unwrap();
    let producer = |sequence| Producer {
        id: id.0,
        epoch: epoch.0,
        base_sequence: sequence,
    };
    assert_eq!(append(&engine, batch(&["a"], 1, producer(0))).await, Ok(0));
    assert_eq!(append(&engine, batch(&["a"], 1, producer(0))).await, Ok(0));
    assert_eq!(append(&engine, batch(&["b"], 1, producer(1))).await, Ok(1));
    let gap = append(&engine, batch(&["d"], 1, producer(3))).await;
    assert_eq!(gap, Err(AppendError::OutOfOrderSequence));
    assert_eq!(
        values(&read(&engine, 0).await.unwrap()),
        [(0, "a"), (1, "b")]
    );
}

#[tokio::test]
async fn a_restart_finds_everything_that_was_acknowledged() {
    let (journal, log) = (Arc::<MemoryJournal>::default(), MemoryLog::new());
    let settings = EngineSettings::default;
    let first =
        testing::engine_on(Env::real(), settings(), Arc::clone(&journal), log.clone()).await;
    create(&first, &[]).await;
    append(&first, batch(&["a", "b"], 1, Producer::NONE))
        .await
        .unwrap();
    first.shutdown().await;
    assert!(matches!(
        append(&first, batch(&["x"], 1, Producer::NONE)).await,
        Err(AppendError::Storage(_))
    ));
    let second = testing::engine_on(Env::real(), settings(), journal, log).await;
    assert_eq!(
        values(&read(&second, 0).await.unwrap()),
        [(0, "a"), (1, "b")]
    );
    assert_eq!(
        append(&second, batch(&["c"], 1, Producer::NONE)).await,
        Ok(2)
    );
}

#[tokio::test]
async fn offsets_are_found_by_time() {
    let engine = engine_with_topic(&[]).await;
    append(&engine, batch(&["a", "b"], 1000, Producer::NONE))
        .await
        .unwrap();
    append(&engine, batch(&["c", "d"], 2000, Producer::NONE))
        .await
        .unwrap();
    let find = async |spec| engine.find_offset(&topic(), 0, spec).await.unwrap();
    assert_eq!(find(OffsetSpec::Earliest).await.offset, 0);
    assert_eq!(find(OffsetSpec::Latest).await.offset, 4);
    assert_eq!(find(OffsetSpec::AtTime(0)).await.offset, 0);
    assert_eq!(find(OffsetSpec::AtTime(1001)).await.offset, 1);
    assert_eq!(find(OffsetSpec::AtTime(1002)).await.offset, 2);
    assert_eq!(find(OffsetSpec::AtTime(2001)).await.timestamp_ms, 2001);
    assert_eq!(find(OffsetSpec::AtTime(2002)).await.offset, -1);
    assert_eq!(find(OffsetSpec::MaxTimestamp).await.offset, 3);
}

#[tokio::test]
async fn append_time_replaces_the_producers_time_where_the_topic_says_so() {
    let engine = engine_with_topic(&[("message.timestamp.type", "LogAppendTime")]).await;
    append(&engine, batch(&["a"], 1, Producer::NONE))
        .await
        .unwrap();
    let seen = read(&engine, 0).await.unwrap();
    assert!(
        seen[0].1 > 1_600_000_000_000,
        "the time of the append, not {}",
        seen[0].1
    );
    let found = engine
        .find_offset(&topic(), 0, OffsetSpec::AtTime(2))
        .await
        .unwrap();
    assert_eq!((found.offset, found.timestamp_ms), (0, seen[0].1));
}

#[tokio::test]
async fn bad_batches_are_named_and_not_stored() {
    let engine = engine_with_topic(&[("max.message.bytes", "200")]).await;
    let good = batch(&["a"], 1, Producer::NONE);
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let crc = append(&engine, flipped.into()).await;
    assert!(matches!(crc, Err(AppendError::CorruptBatch(_))), "{crc:?}");
    let cut = append(&engine, good.slice(..good.len() - 1)).await;
    assert!(matches!(cut, Err(AppendError::CorruptBatch(_))), "{cut:?}");
    let mut old = good.to_vec();
    old[16] = 1;
    assert_eq!(
        append(&engine, old.into()).await,
        Err(AppendError::UnsupportedFormat)
    );
    let mut moved = good.to_vec();
    moved[7] = 7;
    let moved = append(&engine, moved.into()).await;
    assert!(
        matches!(moved, Err(AppendError::InvalidBatch(_))),
        "{moved:?}"
    );
    let long = "x".repeat(500);
    let large = append(&engine, batch(&[&long], 1, Producer::NONE)).await;
    assert!(
        matches!(large, Err(AppendError::BatchTooLarge { max: 200, .. })),
        "{large:?}"
    );
    let none = append(&engine, Bytes::new()).await;
    assert!(
        matches!(none, Err(AppendError::InvalidBatch(_))),
        "{none:?}"
    );
    assert_eq!(read(&engine, 0).await.unwrap(), []);
}

#[tokio::test]
async fn retention_by_size_moves_the_log_start_and_releases_segments() {
    let engine = engine_with_topic(&[("retention.bytes", "100"), ("retention.ms", "-1")]).await;
    for n in 0..10 {
        append(&engine, batch(&["0123456789"], n, Producer::NONE))
            .await
            .unwrap();
    }
    engine.maintain().await;
    let start = engine
        .find_offset(&topic(), 0, OffsetSpec::Earliest)
        .await
        .unwrap();
    assert!(start.offset > 0 && start.offset < 10, "{start:?}");
    let kept = read(&engine, start.offset).await.unwrap();
    assert_eq!(kept.len() as i64, 10 - start.offset);
    assert!(matches!(
        read(&engine, 0).await,
        Err(ReadError::OffsetOutOfRange { .. })
    ));
    assert!(engine.metrics().snapshot().segments_released > 0);
}

#[tokio::test(start_paused = true)]
async fn retention_by_time_takes_a_record_when_it_is_old_enough_and_not_before() {
    let env = Env::simulated(1, Arc::new(FaultFs::new(1)));
    let engine = testing::memory_engine(env.clone()).await;
    create(&engine, &[("retention.ms", "60000")]).await;
    for n in 0..3 {
        let now = env.now_ms();
        append(&engine, batch(&[&n.to_string()], now, Producer::NONE))
            .await
            .unwrap();
        env.sleep(Duration::from_secs(25)).await;
    }
    // They are 75, 50 and 25 seconds old.
    engine.maintain().await;
    let first = async || {
        let start = engine.find_offset(&topic(), 0, OffsetSpec::Earliest).await;
        start.unwrap().offset
    };
    assert_eq!(first().await, 1);
    let kept = read(&engine, 1).await.unwrap();
    assert_eq!(values(&kept), [(1, "1"), (2, "2")]);
    env.sleep(Duration::from_secs(9)).await;
    engine.maintain().await;
    assert_eq!(first().await, 1, "59 seconds");
    env.sleep(Duration::from_secs(2)).await;
    engine.maintain().await;
    assert_eq!(first().await, 2, "61 seconds");
}

#[tokio::test]
async fn a_read_from_any_offset_begins_with_its_batch_also_among_those_stored_together() {
    let engine = engine_with_topic(&[]).await;
    let mut tickets = Vec::new();
    for n in 0..10 {
        let entry = AppendEntry {
            topic: topic(),
            partition: 0,
            records: batch(&[&n.to_string()], n, Producer::NONE),
        };
        tickets.push(engine.submit(vec![entry]).await);
    }
    for ticket in tickets {
        ticket.await.remove(0).unwrap();
    }
    for offset in 0..10 {
        let seen = read(&engine, offset).await.unwrap();
        let offsets: Vec<i64> = seen.iter().map(|(at, ..)| *at).collect();
        assert_eq!(offsets, (offset..10).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn spilled_index_entries_are_read_like_the_others() {
    let settings = EngineSettings {
        index_tail_entries_max: 8,
        tail_cache_bytes: 0,
        ..EngineSettings::default()
    };
    let engine = testing::engine_on(Env::real(), settings, Arc::default(), MemoryLog::new()).await;
    create(&engine, &[("retention.ms", "-1")]).await;
    for n in 0..40 {
        append(&engine, batch(&[&n.to_string()], n * 10, Producer::NONE))
            .await
            .unwrap();
    }
    engine.maintain().await;
    engine.maintain().await;
    let mut next = 0;
    while next < 40 {
        let seen = read(&engine, next).await.unwrap();
        assert!(!seen.is_empty(), "at {next}");
        for (offset, _, value) in seen {
            assert_eq!((offset, value), (next, next.to_string()));
            next += 1;
        }
    }
    let found = engine
        .find_offset(&topic(), 0, OffsetSpec::AtTime(95))
        .await
        .unwrap();
    assert_eq!(found.offset, 10);
}

#[tokio::test]
async fn the_index_of_all_partitions_keeps_within_its_memory() {
    const ENTRIES: usize = 200;
    let entry_bytes = levada_catalog::INDEX_ENTRY_BYTES;
    let settings = EngineSettings {
        index_bytes_max: 2 * ENTRIES / 3 * entry_bytes,
        tail_cache_bytes: 0,
        ..EngineSettings::default()
    };
    let index_bytes_max = settings.index_bytes_max;
    let engine = testing::engine_on(Env::real(), settings, Arc::default(), MemoryLog::new()).await;
    let new = NewTopic {
        name: "t".into(),
        partitions: Some(2),
        configs: vec![("retention.ms".into(), "-1".into())],
        ..NewTopic::default()
    };
    engine.create_topic(new).await.unwrap();
    for n in 0..ENTRIES {
        for partition in 0..2 {
            let entry = AppendEntry {
                topic: topic(),
                partition,
                records: batch(&[&n.to_string()], n as i64, Producer::NONE),
            };
            engine.submit(vec![entry]).await.await.remove(0).unwrap();
        }
    }
    engine.maintain().await;
    let held = engine.sizes().index_bytes;
    assert!(
        held > 0 && held <= index_bytes_max,
        "{held} bytes of {index_bytes_max}"
    );
    let mut next = 0;
    while next < ENTRIES as i64 {
        for (offset, _, value) in read(&engine, next).await.unwrap() {
            assert_eq!((offset, value), (next, next.to_string()));
            next += 1;
        }
    }
}

#[tokio::test]
async fn what_is_left_of_a_sparse_segment_is_rewritten_and_stays_readable() {
    for index_tail_entries_max in [1000, 8] {
        let settings = EngineSettings {
            disk_slack_bytes: 0,
            tail_cache_bytes: 0,
            index_tail_entries_max,
            ..EngineSettings::default()
        };
        let journal = Arc::<MemoryJournal>::default();
        let log = MemoryLog::new();
        let engine = testing::engine_on(Env::real(), settings, Arc::clone(&journal), log).await;
        create(&engine, &[("retention.ms", "-1")]).await;
        let bulk = NewTopic {
            name: "bulk".into(),
            configs: vec![("retention.ms".into(), "-1".into())],
            ..NewTopic::default()
        };
        engine.create_topic(bulk).await.unwrap();
        let bulk = TopicRef::Name("bulk".into());
        for n in 0..30 {
            let entry = |topic, text: &str| AppendEntry {
                topic,
                partition: 0,
                records: batch(&[text], n, Producer::NONE),
            };
            let long = "x".repeat(2000);
            let both = vec![entry(topic(), &n.to_string()), entry(bulk.clone(), &long)];
            for result in engine.submit(both).await.await {
                result.unwrap();
            }
        }
        // Spills first where the tail is short, so that runs are rewritten too.
        engine.maintain().await;
        let before = stored_bytes(&journal).await;
        engine.delete_topic(&bulk).await.unwrap();
        engine.maintain().await;
        engine.maintain().await;
        let after = stored_bytes(&journal).await;
        assert!(after * 5 < before, "{after} of {before} bytes are left");
        assert!(engine.metrics().snapshot().bytes_rewritten > 0);
        let mut next = 0;
        while next < 30 {
            for (offset, _, value) in read(&engine, next).await.unwrap() {
                assert_eq!((offset, value), (next, next.to_string()));
                next += 1;
            }
        }
    }
}

async fn stored_bytes(journal: &MemoryJournal) -> u64 {
    let stored = levada_journal::Journal::list(journal).await.unwrap();
    stored.iter().map(|segment| segment.stored_bytes).sum()
}
