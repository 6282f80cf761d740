//! A full disk: what is deleted gives its space back, although its records lie among living ones,
//! and appends go on by themselves.
#![allow(clippy::disallowed_methods)]

use std::{path::Path, sync::Arc, time::Duration};

use levada_engine::groups::{CommitRequest, CommitTopic, PartitionCommit};
use levada_engine::{
    AppendEntry, Engine, EngineSettings, NewTopic, ReadPartition, ReadRequest, TopicRef,
};
use levada_env::{
    Env, Fs,
    fault::{Crash, FaultFs},
};
use levada_journal::local::LocalJournal;
use levada_model::Offset;
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};
use levada_sequencer::{Sequencer, SequencerSettings, command_log::wal::WalLog};
use levada_wal::{Wal, WalConfig};

const DIR: &str = "/data";
const VALUE_BYTES: usize = 2000;
/// Every so many batches one is of the topic that stays, so that no file is without one.
const KEPT_EVERY: usize = 12;

struct Open {
    env: Env,
    wal: Wal,
    engine: Engine,
}

async fn open(fs: &FaultFs) -> Open {
    let env = Env::simulated(5, Arc::new(fs.clone()));
    let config = WalConfig {
        file_bytes_max: 64 << 10,
        group_bytes_max: 16 << 10,
        pool_bytes_max: 0,
        reserve_bytes: 512 << 10,
        ..WalConfig::default()
    };
    let (log, _) = WalLog::open(&env, Path::new(DIR), config).unwrap();
    let wal = log.wal().clone();
    let settings = SequencerSettings::default();
    let (sequencer, _) =
        Sequencer::recover(env.clone(), settings, Default::default(), Arc::new(log))
            .await
            .unwrap();
    let settings = EngineSettings {
        tail_cache_bytes: 0,
        // By its bound alone the disk would never be rewritten.
        disk_slack_bytes: 1 << 30,
        maintenance_interval: Duration::from_secs(1),
        ..EngineSettings::default()
    };
    let journal = Arc::new(LocalJournal::new(env.clone(), wal.clone()));
    let engine = Engine::start(env.clone(), settings, journal, sequencer);
    Open { env, wal, engine }
}

fn named(topic: &str) -> TopicRef {
    TopicRef::Name(topic.into())
}

impl Open {
    async fn append(&self, topic: &str, fill: u8) -> bool {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(&NewRecord {
            timestamp_ms: 1,
            value: Some(&[fill; VALUE_BYTES]),
            ..NewRecord::default()
        });
        let entry = AppendEntry {
            topic: named(topic),
            partition: 0,
            records: builder.finish(Producer::NONE).unwrap(),
        };
        self.engine.submit(vec![entry]).await.await[0].is_ok()
    }

    /// Appends to both topics until the disk is full; how many batches the kept one has.
    async fn fill(&self) -> usize {
        for name in ["kept", "bulk"] {
            let configs = vec![("retention.ms".into(), "-1".into())];
            let new = NewTopic {
                name: name.into(),
                configs,
                ..NewTopic::default()
            };
            self.engine.create_topic(new).await.unwrap();
        }
        let mut kept = 0;
        for number in 0.. {
            let topic = if number % KEPT_EVERY == 0 {
                "kept"
            } else {
                "bulk"
            };
            if !self.append(topic, kept as u8).await {
                break;
            }
            kept += usize::from(topic == "kept");
        }
        assert!(self.wal.is_full());
        kept
    }

    async fn kept_is_whole(&self, kept: usize) {
        for offset in 0..kept {
            let request = ReadRequest {
                max_wait: Duration::ZERO,
                min_bytes: 1,
                max_bytes: 1,
                partitions: vec![ReadPartition {
                    topic: named("kept"),
                    partition: 0,
                    offset: Offset(offset as i64),
                    max_bytes: 1,
                    leader_epoch: -1,
                }],
            };
            let read = self.engine.read(request).await.remove(0).unwrap();
            let bytes = read.pieces.concat();
            assert!(
                bytes
                    .windows(VALUE_BYTES)
                    .any(|value| value == [offset as u8; VALUE_BYTES])
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_gives_its_space_back_although_every_file_holds_living_records() {
    let fs = FaultFs::new(1);
    fs.set_capacity(Some(4 << 20));
    let open = open(&fs).await;
    let kept = open.fill().await;
    assert!(open.wal.files().len() > 10 && kept > 20);
    open.engine.delete_topic(&named("bulk")).await.unwrap();
    open.env.sleep(Duration::from_secs(30)).await;
    assert!(!open.wal.is_full(), "{:?}", open.wal.files());
    assert!(open.append("kept", kept as u8).await);
    open.kept_is_whole(kept + 1).await;
}

#[tokio::test(start_paused = true)]
async fn consumers_commit_on_a_full_disk_and_it_lasts() {
    let fs = FaultFs::new(3);
    fs.set_capacity(Some(4 << 20));
    let first = open(&fs).await;
    first.fill().await;
    for offset in 0..20 {
        let commit = CommitRequest {
            group: "g".into(),
            generation: -1,
            member: String::new(),
            instance: None,
            topics: vec![CommitTopic {
                name: "kept".into(),
                partitions: vec![PartitionCommit {
                    partition: 0,
                    offset: Offset(offset),
                    leader_epoch: -1,
                    metadata: String::new(),
                }],
            }],
        };
        let results = first.engine.groups().commit_offsets(commit).await;
        assert_eq!(results, [Ok(())], "offset {offset}");
        assert!(!first.append("bulk", 0).await, "producers wait");
    }
    drop(first);
    fs.crash(Crash::LoseUnsynced);
    let open = open(&fs).await;
    let fetched = open.engine.groups().fetch_offsets("g", None).unwrap();
    let (_, committed) = &fetched[0].partitions[0];
    assert_eq!(committed.as_ref().unwrap().offset, Offset(19));
}

#[tokio::test(start_paused = true)]
async fn the_same_after_a_crash_on_the_full_disk() {
    let fs = FaultFs::new(2);
    fs.set_capacity(Some(4 << 20));
    let first = open(&fs).await;
    let kept = first.fill().await;
    // Takes the reserve into use.
    first.engine.delete_topic(&named("bulk")).await.unwrap();
    drop(first);
    fs.crash(Crash::LoseUnsynced);
    // Nobody else leaves room either.
    let hog = fs
        .open(Path::new("/hog"), levada_env::OpenMode::Create)
        .unwrap();
    hog.allocate(fs.available_bytes(Path::new("/")).unwrap())
        .unwrap();
    let open = open(&fs).await;
    open.env.sleep(Duration::from_secs(30)).await;
    assert!(open.append("kept", kept as u8).await);
    open.kept_is_whole(kept + 1).await;
}
