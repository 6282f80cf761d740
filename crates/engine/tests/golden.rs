//! The stored format: a data folder that an earlier build wrote must open and read the same.
//!
//! One folder is written for each version of the format, and never again, by
//! `LEVADA_GOLDEN_WRITE=1 cargo test -p levada-engine --all-features --test golden`:
//! `tests/golden/v1` by the first one, `tests/golden/v2` with queues.
#![allow(clippy::disallowed_methods)]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use levada_engine::{
    AppendEntry, Engine, EngineSettings, NewTopic, OffsetSpec, ReadPartition, ReadRequest,
    TopicRef,
    groups::{CommitRequest, CommitTopic, PartitionCommit, TopicPartitions},
    queue::{NewMessage, NewQueue, Receive},
};
use levada_env::{Clock, Env, RealClock};
use levada_journal::local::LocalJournal;
use levada_model::Offset;
use levada_records::{BatchBuilder, Batches, Compression, NewRecord, Producer};
use levada_sequencer::{Sequencer, SequencerSettings, command_log::wal::WalLog};
use levada_wal::{Wal, WalConfig};

const TIME_MS: i64 = 1_700_000_000_000;
const ROUNDS: i64 = 40;

/// A wall clock that stands still. In a stored folder the time goes on from its newest command, so
/// that what the folder holds never grows old: a producer's window would expire after a day.
struct StandingClock(RealClock);

impl Clock for StandingClock {
    fn now_ms(&self) -> i64 {
        TIME_MS
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

async fn open(dir: &Path) -> (Engine, Wal) {
    let env = Env::real().with_clock(Arc::new(StandingClock(RealClock::new())));
    let config = WalConfig {
        pool_bytes_max: 0,
        reserve_bytes: 0,
        ..WalConfig::default()
    };
    let (log, _) = WalLog::open(&env, dir, config).unwrap();
    let wal = log.wal().clone();
    let sequencer = SequencerSettings {
        // Small enough that the folder holds snapshots and a log behind them.
        snapshot_every_bytes: 64 * 1024,
        ..SequencerSettings::default()
    };
    let log = Arc::new(log);
    let (sequencer, _) = Sequencer::recover(env.clone(), sequencer, Default::default(), log)
        .await
        .unwrap();
    let settings = EngineSettings {
        index_tail_entries_max: 16,
        tail_cache_bytes: 0,
        maintenance_interval: Duration::from_secs(3600),
        ..EngineSettings::default()
    };
    let journal = Arc::new(LocalJournal::new(env.clone(), wal.clone()));
    (Engine::start(env, settings, journal, sequencer), wal)
}

async fn close(engine: Engine, wal: Wal) {
    engine.shutdown().await;
    wal.seal().await.unwrap();
}

fn topic(name: &str) -> TopicRef {
    TopicRef::Name(name.into())
}

fn value(n: i64) -> String {
    format!("value {n} {}", "-".repeat(n as usize % 50))
}

fn batch(n: i64, compression: Compression, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for at in [2 * n, 2 * n + 1] {
        builder.push(&NewRecord {
            timestamp_ms: TIME_MS + at,
            value: Some(value(at).as_bytes()),
            ..NewRecord::default()
        });
    }
    builder.finish(producer).unwrap()
}

async fn append(engine: &Engine, name: &str, records: Bytes) -> i64 {
    let entry = AppendEntry {
        topic: topic(name),
        partition: 0,
        records,
    };
    let results = engine.submit(vec![entry]).await.await;
    results[0].as_ref().unwrap().base_offset.0
}

fn producer(sequence: i64) -> Producer {
    Producer {
        id: 1,
        epoch: 0,
        base_sequence: sequence as i32,
    }
}

async fn write(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let (engine, wal) = open(dir).await;
    let forever = ("retention.ms".to_owned(), "-1".to_owned());
    let append_time = (
        "message.timestamp.type".to_owned(),
        "LogAppendTime".to_owned(),
    );
    for (name, configs) in [
        ("plain", vec![forever.clone()]),
        ("stamped", vec![forever.clone(), append_time]),
        ("deleted", vec![]),
        ("empty", vec![]),
    ] {
        let new = NewTopic {
            name: name.into(),
            partitions: Some(2),
            configs,
            validate_only: false,
        };
        engine.create_topic(new).await.unwrap();
    }
    write_queue(&engine).await;
    let (id, epoch) = engine.allocate_producer().await.unwrap();
    assert_eq!((id.0, epoch.0), (1, 0));
    for n in 0..ROUNDS {
        let compression = Compression::ALL[n as usize % 5];
        append(&engine, "plain", batch(n, compression, producer(2 * n))).await;
        append(&engine, "stamped", batch(n, compression, Producer::NONE)).await;
        append(&engine, "deleted", batch(n, compression, Producer::NONE)).await;
        if n == ROUNDS / 2 {
            engine.maintain().await;
        }
    }
    engine.delete_topic(&topic("deleted")).await.unwrap();
    let start = Some(Offset(4));
    engine
        .delete_records(&topic("stamped"), 0, start)
        .await
        .unwrap();
    engine.grow_topic("empty", 3, false).await.unwrap();
    let commit = CommitRequest {
        group: "readers".into(),
        generation: -1,
        member: String::new(),
        instance: None,
        topics: vec![CommitTopic {
            name: "plain".into(),
            partitions: vec![PartitionCommit {
                partition: 0,
                offset: Offset(33),
                leader_epoch: 0,
                metadata: "note".into(),
            }],
        }],
    };
    let committed = engine.groups().commit_offsets(commit).await;
    assert!(committed.iter().all(Result::is_ok), "{committed:?}");
    close(engine, wal).await;
}

/// A queue before all else, so that the snapshots hold it: of eight messages 1 and 2 are done, 0 and
/// 3 were received, one is delayed for long.
async fn write_queue(engine: &Engine) {
    let new = NewQueue {
        name: "tasks".into(),
        configs: vec![("retention.ms".into(), "-1".into())],
    };
    engine.create_queue(new).await.unwrap();
    for n in 0..8 {
        let message = NewMessage {
            body: value(n).into(),
            delay: (n == 7).then_some(Duration::from_secs(900)),
            deduplication: Some([n as u8; 16]),
            ..NewMessage::default()
        };
        for sent in engine.send("tasks", vec![message]).await {
            sent.unwrap();
        }
    }
    let received = engine.receive("tasks", four()).await.unwrap();
    let receipts: Vec<_> = received.iter().map(|one| one.receipt.clone()).collect();
    for result in engine.acknowledge("tasks", &receipts[1..3]).await {
        result.unwrap();
    }
}

fn four() -> Receive {
    Receive {
        messages_max: 4,
        bytes_max: 1 << 20,
        visibility: None,
        wait: None,
        attempt: None,
    }
}

async fn check_queue(engine: &Engine) {
    let counts = engine.queue("tasks").unwrap().counts;
    assert_eq!(
        (counts.visible, counts.in_flight, counts.delayed),
        (5, 0, 1)
    );
    let repeated = NewMessage {
        body: "again".into(),
        deduplication: Some([5; 16]),
        ..NewMessage::default()
    };
    let sent = engine
        .send("tasks", vec![repeated])
        .await
        .remove(0)
        .unwrap();
    assert_eq!(sent.offset, Offset(5));
    let received = engine.receive("tasks", four()).await.unwrap();
    let got: Vec<_> = received
        .iter()
        .map(|one| (one.offset.0, one.receive_count, one.body.clone()))
        .collect();
    let wanted = [(0, 2), (3, 2), (4, 1), (5, 1)];
    let wanted = wanted.map(|(at, count)| (at, count, Bytes::from(value(at))));
    assert_eq!(got, wanted);
}

async fn read_all(engine: &Engine, name: &str, from: i64) -> Vec<(i64, String)> {
    let mut seen: Vec<(i64, String)> = Vec::new();
    let mut next = from;
    while next < 2 * ROUNDS {
        let request = ReadRequest {
            max_wait: Duration::ZERO,
            min_bytes: 0,
            max_bytes: 1 << 20,
            partitions: vec![ReadPartition {
                topic: topic(name),
                partition: 0,
                offset: Offset(next),
                max_bytes: 1 << 20,
                leader_epoch: -1,
            }],
        };
        let slice = engine.read(request).await.remove(0).unwrap();
        assert!(!slice.pieces.is_empty(), "{name} has nothing at {next}");
        for batch in Batches::new(Bytes::from(slice.pieces.concat())) {
            let (_, batch) = batch.unwrap();
            let batch = levada_records::Batch::verify(&batch, 1 << 20).unwrap();
            for record in batch.records() {
                let record = record.unwrap();
                let text = String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap();
                next = batch.offset(&record) + 1;
                seen.push((next - 1, text));
            }
        }
    }
    seen
}

async fn check(dir: &Path, has_queue: bool) {
    let (engine, wal) = open(dir).await;
    let names: Vec<_> = engine
        .topics()
        .into_iter()
        .map(|t| (t.name, t.partitions))
        .collect();
    let mut expected = vec![("empty", 3), ("plain", 2), ("stamped", 2)];
    if has_queue {
        expected.push(("tasks", 1));
        check_queue(&engine).await;
    }
    let own = |(name, count): (&str, u32)| (name.to_owned(), count);
    assert_eq!(names, expected.into_iter().map(own).collect::<Vec<_>>());
    for (name, from) in [("plain", 0), ("stamped", 4)] {
        let expected: Vec<_> = (from..2 * ROUNDS).map(|at| (at, value(at))).collect();
        assert_eq!(read_all(&engine, name, from).await, expected, "{name}");
    }
    let found = engine
        .find_offset(&topic("plain"), 0, OffsetSpec::AtTime(TIME_MS + 11))
        .await
        .unwrap();
    assert_eq!((found.offset, found.timestamp_ms), (11, TIME_MS + 11));
    let wanted = TopicPartitions {
        name: "plain".into(),
        partitions: vec![0],
    };
    let committed = engine
        .groups()
        .fetch_offsets("readers", Some(vec![wanted]))
        .unwrap();
    let (_, committed) = &committed[0].partitions[0];
    assert_eq!(committed.as_ref().unwrap().offset, Offset(33));
    // The producer's state is there: its last batch is a duplicate, its next one is taken.
    let last = ROUNDS - 1;
    let retry = batch(last, Compression::None, producer(2 * last));
    assert_eq!(append(&engine, "plain", retry).await, 2 * last);
    let next = batch(ROUNDS, Compression::None, producer(2 * ROUNDS));
    assert_eq!(append(&engine, "plain", next).await, 2 * ROUNDS);
    close(engine, wal).await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_folder_of_version_1_opens_and_reads_as_it_was_written() {
    let work = tempfile::tempdir().unwrap();
    copy(&golden("v1"), work.path());
    check(work.path(), false).await;
}

#[tokio::test]
async fn a_folder_of_version_2_opens_and_reads_as_it_was_written() {
    let golden = golden("v2");
    if std::env::var_os("LEVADA_GOLDEN_WRITE").is_some() {
        assert!(!golden.exists(), "a golden folder is never written again");
        write(&golden).await;
    }
    let work = tempfile::tempdir().unwrap();
    copy(&golden, work.path());
    check(work.path(), true).await;
}

fn golden(version: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(version)
}

#[tokio::test]
async fn a_folder_of_this_build_opens_and_reads_as_it_was_written() {
    let work = tempfile::tempdir().unwrap();
    write(work.path()).await;
    check(work.path(), true).await;
}

#[tokio::test]
async fn small_appends_that_lie_close_together_are_read_together() {
    let work = tempfile::tempdir().unwrap();
    let (engine, wal) = open(work.path()).await;
    let new = NewTopic {
        name: "t".into(),
        configs: vec![("retention.ms".into(), "-1".into())],
        ..NewTopic::default()
    };
    engine.create_topic(new).await.unwrap();
    for n in 0..ROUNDS {
        append(&engine, "t", batch(n, Compression::None, Producer::NONE)).await;
    }
    let expected: Vec<_> = (0..2 * ROUNDS).map(|at| (at, value(at))).collect();
    assert_eq!(read_all(&engine, "t", 0).await, expected);
    let reads = engine.metrics().snapshot().journal_reads;
    assert!(
        reads <= 2,
        "{reads} reads for {ROUNDS} appends that follow one another"
    );
    close(engine, wal).await;
}
