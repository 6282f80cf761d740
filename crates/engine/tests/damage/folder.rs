//! A small data folder with everything in it that is ever stored, and what it must give back.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use levada_engine::{
    AppendEntry, Engine, EngineSettings, NewTopic, TopicRef,
    groups::{CommitRequest, CommitTopic, PartitionCommit},
};
use levada_env::{Env, fault::FaultFs};
use levada_journal::local::LocalJournal;
use levada_model::Offset;
use levada_records::{BatchBuilder, Compression, NewRecord, Producer};
use levada_sequencer::{Sequencer, SequencerSettings, command_log::wal::WalLog};
use levada_wal::{Recovered, Wal, WalConfig};

pub const DIR: &str = "/data";
pub const TIME_MS: i64 = 1_700_000_000_000;
const ROUNDS: i64 = 22;
/// Partitions that hold records: topic, partition.
pub const HELD: [(&str, i32); 5] = [
    ("orders", 0),
    ("orders", 1),
    ("stamped", 0),
    ("trimmed", 0),
    ("quiet", 0),
];

/// What stands on a data folder.
pub struct Open {
    pub engine: Engine,
    pub wal: Wal,
    pub recovered: Recovered,
}

/// Knobs that only the writing of the folder turns.
pub struct Knobs {
    pub snapshot_every_bytes: u64,
    pub disk_slack_bytes: u64,
}

impl Knobs {
    const WRITING: Knobs = Knobs {
        snapshot_every_bytes: 40 << 10,
        disk_slack_bytes: 64 << 10,
    };
    /// Nothing but what opening does itself.
    pub const STILL: Knobs = Knobs {
        snapshot_every_bytes: 1 << 30,
        disk_slack_bytes: 1 << 30,
    };
}

/// Opens the folder.
///
/// # Errors
/// What a person would read.
pub async fn open(fs: &FaultFs, knobs: &Knobs) -> Result<Open, String> {
    let env = Env::simulated(3, Arc::new(fs.clone()));
    let config = WalConfig {
        file_bytes_max: 48 << 10,
        pool_bytes_max: 0,
        reserve_bytes: 0,
        ..WalConfig::default()
    };
    let (log, recovered) =
        WalLog::open(&env, Path::new(DIR), config).map_err(|error| error.to_string())?;
    let wal = log.wal().clone();
    let settings = SequencerSettings {
        snapshot_every_bytes: knobs.snapshot_every_bytes,
        ..SequencerSettings::default()
    };
    let log = Arc::new(log);
    let (sequencer, _) = Sequencer::recover(env.clone(), settings, Default::default(), log)
        .await
        .map_err(|error| error.to_string())?;
    let settings = EngineSettings {
        index_tail_entries_max: 4,
        tail_cache_bytes: 0,
        disk_slack_bytes: knobs.disk_slack_bytes,
        maintenance_interval: Duration::from_secs(3600),
        ..EngineSettings::default()
    };
    let journal = Arc::new(LocalJournal::new(env.clone(), wal.clone()));
    let engine = Engine::start(env, settings, journal, sequencer);
    Ok(Open {
        engine,
        wal,
        recovered,
    })
}

impl Open {
    pub async fn close(self) {
        self.engine.shutdown().await;
        self.wal.seal().await.unwrap();
    }

    /// Appends one batch; the base offset.
    ///
    /// # Errors
    /// The engine's.
    pub async fn append(&self, at: (&str, i32), records: Bytes) -> Result<i64, String> {
        let entry = AppendEntry {
            topic: topic(at.0),
            partition: at.1,
            records,
        };
        let mut results = self.engine.submit(vec![entry]).await.await;
        let appended = results.remove(0).map_err(|error| error.to_string())?;
        Ok(appended.base_offset.0)
    }
}

pub fn topic(name: &str) -> TopicRef {
    TopicRef::Name(name.into())
}

/// Nowhere else in the folder: a frame that holds a record is found by it.
pub fn value(at: (&str, i32), offset: i64) -> String {
    format!("<{}-{} {offset}>", at.0, at.1)
}

pub fn batch(at: (&str, i32), base: i64, producer: Producer) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for offset in [base, base + 1] {
        builder.push(&NewRecord {
            timestamp_ms: TIME_MS + offset,
            value: Some(value(at, offset).as_bytes()),
            ..NewRecord::default()
        });
    }
    builder.finish(producer).unwrap()
}

/// The only idempotent producer; it writes to `orders` 0.
pub fn producer(base_sequence: i64) -> Producer {
    Producer {
        id: 1,
        epoch: 0,
        base_sequence: base_sequence as i32,
    }
}

pub fn committed_at(round: i64) -> i64 {
    2 * round + 1
}

fn commit(round: i64) -> CommitRequest {
    CommitRequest {
        group: "readers".into(),
        generation: -1,
        member: String::new(),
        instance: None,
        topics: vec![CommitTopic {
            name: "orders".into(),
            partitions: vec![PartitionCommit {
                partition: 0,
                offset: Offset(committed_at(round)),
                leader_epoch: 0,
                metadata: "note".into(),
            }],
        }],
    }
}

/// What the folder must give back.
pub struct Expected {
    /// Log start and end of each partition that holds records.
    pub ranges: BTreeMap<(&'static str, i32), (i64, i64)>,
    pub committed: i64,
}

/// Writes the folder and stops cleanly.
pub async fn write(fs: &FaultFs) -> Expected {
    let open = open(fs, &Knobs::WRITING).await.unwrap();
    let engine = &open.engine;
    create_topics(engine).await;
    assert_eq!(engine.allocate_producer().await.unwrap().0.0, 1);
    for round in 0..ROUNDS {
        let base = 2 * round;
        let orders = batch(("orders", 0), base, producer(base));
        let mut entries = vec![(("orders", 0), orders)];
        for at in [("orders", 1), ("stamped", 0), ("trimmed", 0)] {
            entries.push((at, batch(at, base, Producer::NONE)));
        }
        if round < 4 {
            entries.push((("quiet", 0), batch(("quiet", 0), base, Producer::NONE)));
            entries.push((("gone", 0), batch(("gone", 0), base, Producer::NONE)));
        }
        let entries = entries.into_iter().map(|((name, partition), records)| {
            let topic = topic(name);
            AppendEntry {
                topic,
                partition,
                records,
            }
        });
        // In one group of the log: data, its command, a commit of offsets.
        let appended = engine.submit(entries.collect()).await;
        let (appended, committed) =
            tokio::join!(appended, engine.groups().commit_offsets(commit(round)));
        assert!(appended.iter().all(Result::is_ok), "{appended:?}");
        assert!(committed.iter().all(Result::is_ok), "{committed:?}");
        if round == 8 {
            engine.delete_topic(&topic("gone")).await.unwrap();
            let start = Some(Offset(11));
            let trimmed = topic("trimmed");
            engine.delete_records(&trimmed, 0, start).await.unwrap();
        }
        if round % 8 == 7 {
            engine.maintain().await;
        }
    }
    let counts = engine.metrics().snapshot();
    assert!(counts.bytes_rewritten > 0 && counts.segments_released > 0);
    open.close().await;
    let end = 2 * ROUNDS;
    let range = |at: (&'static str, i32)| match at.0 {
        "trimmed" => (at, (11, end)),
        "quiet" => (at, (0, 8)),
        _ => (at, (0, end)),
    };
    Expected {
        ranges: HELD.map(range).into(),
        committed: committed_at(ROUNDS - 1),
    }
}

async fn create_topics(engine: &Engine) {
    let forever = ("retention.ms".to_owned(), "-1".to_owned());
    let stamp = "message.timestamp.type".to_owned();
    let stamped = (stamp, "LogAppendTime".to_owned());
    for (name, partitions) in [
        ("orders", 2),
        ("stamped", 1),
        ("trimmed", 1),
        ("quiet", 1),
        ("gone", 1),
    ] {
        let mut configs = vec![forever.clone()];
        configs.extend((name == "stamped").then(|| stamped.clone()));
        let new = NewTopic {
            name: name.into(),
            partitions: Some(partitions),
            configs,
            validate_only: false,
        };
        engine.create_topic(new).await.unwrap();
    }
}
