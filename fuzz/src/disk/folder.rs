//! A data folder: log files and snapshots, opened as a start opens them.
//!
//! A small folder is written once by the real engine. The input edits its files: a byte of choices,
//! then edits of seven bytes, the first of which names the file. With [`SEAL`] the headers in the
//! log and the snapshots' frames get checksums that fit, with [`RAW`] what follows is the log's
//! only file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use levada_engine::groups::{CommitRequest, CommitTopic, PartitionCommit};
use levada_engine::{
    AppendEntry, Engine, EngineSettings, NewTopic, ReadPartition, ReadRequest, TopicRef,
};
use levada_env::fault::FaultFs;
use levada_env::{Env, Fs, OpenMode};
use levada_journal::local::LocalJournal;
use levada_model::Offset;
use levada_records::{BatchBuilder, Batches, Compression, NewRecord, Producer};
use levada_sequencer::command_log::{CommandLog, wal::WalLog};
use levada_sequencer::{Sequencer, SequencerSettings};
use levada_wal::format::{self, BLOCK_BYTES, GROUP_HEADER_BYTES};
use levada_wal::{Wal, WalConfig};

use crate::edits;

/// Choice: set checksums right after the edits.
pub const SEAL: u8 = 1;
/// Choice: the input is the log's only file.
pub const RAW: u8 = 2;

const DIR: &str = "/data";
const TOPIC: &str = "t";
/// Where a snapshot file's chunks begin: magic u32 | version u32 | position u64 | length u64 |
/// time i64; behind them stands a checksum of four bytes.
const SNAPSHOT_CHUNKS_AT: usize = 32;
/// Small enough that the folder holds snapshots and a log behind them.
const SNAPSHOT_EVERY_BYTES: u64 = 48 << 10;
const READ_BYTES_MAX: usize = 1 << 20;
/// More reads than any sound folder of this size takes.
const READS_MAX: usize = 1000;

struct Opened {
    engine: Engine,
    wal: Wal,
    sequencer: Sequencer,
}

impl Opened {
    /// The state as it is now. A start may change it: it proposes the settings of this node, and
    /// lets groups and producers expire.
    fn digest(&self) -> u64 {
        self.sequencer.read(levada_catalog::State::digest)
    }
}

pub fn check(input: &[u8]) {
    let Some((&choices, script)) = input.split_first() else {
        return;
    };
    let mut files = written().clone();
    if choices & RAW != 0 {
        files.retain(|(path, _)| path.ends_with("00000000000000000000.log"));
        files
            .iter_mut()
            .for_each(|(_, bytes)| *bytes = script.to_vec());
    } else {
        for edit in script.chunks_exact(7) {
            let index = usize::from(edit[0]) % files.len();
            edits::apply(&mut files[index].1, &edit[1..]);
        }
    }
    if choices & SEAL != 0 {
        files.iter_mut().for_each(|(_, bytes)| seal(bytes));
    }
    runtime().block_on(async {
        let fs = disk(&files);
        let Some(first) = open(&fs).await else { return };
        read_everything(&first.engine).await;
        first.engine.shutdown().await;
        let left = first.digest();
        close(first.engine, first.wal).await;
        let again = open(&fs).await.expect("what was opened opens again");
        let found = again.digest();
        assert!(found == left, "the second start found another state");
        read_everything(&again.engine).await;
        append(&again.engine, 1000).await;
        close(again.engine, again.wal).await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

fn env(fs: &FaultFs) -> Env {
    Env::simulated(7, Arc::new(fs.clone()))
}

fn config() -> WalConfig {
    WalConfig {
        file_bytes_max: 64 << 10,
        group_bytes_max: 32 << 10,
        pool_bytes_max: 0,
        reserve_bytes: 0,
        ..WalConfig::default()
    }
}

async fn open(fs: &FaultFs) -> Option<Opened> {
    open_with(fs, SNAPSHOT_EVERY_BYTES).await
}

async fn open_with(fs: &FaultFs, snapshot_every_bytes: u64) -> Option<Opened> {
    let env = env(fs);
    let (log, _) = WalLog::open(&env, Path::new(DIR), config()).ok()?;
    let wal = log.wal().clone();
    let settings = SequencerSettings {
        snapshot_every_bytes,
        ..SequencerSettings::default()
    };
    let log = Arc::new(log);
    let (sequencer, _) = Sequencer::recover(env.clone(), settings, Default::default(), log)
        .await
        .ok()?;
    let settings = EngineSettings {
        index_tail_entries_max: 8,
        tail_cache_bytes: 0,
        maintenance_interval: Duration::from_secs(3600),
        ..EngineSettings::default()
    };
    let journal = Arc::new(LocalJournal::new(env.clone(), wal.clone()));
    let engine = Engine::start(env, settings, journal, sequencer.clone());
    Some(Opened {
        engine,
        wal,
        sequencer,
    })
}

async fn close(engine: Engine, wal: Wal) {
    engine.shutdown().await;
    wal.seal().await.expect("a log on a sound disk is sealed");
}

/// From each log start to the end, over what is damaged.
async fn read_everything(engine: &Engine) {
    for topic in engine.topics() {
        for partition in 0..topic.partitions as i32 {
            read_partition(engine, &topic.name, partition).await;
        }
    }
}

async fn read_partition(engine: &Engine, topic: &str, partition: i32) {
    let mut next = 0;
    for _ in 0..READS_MAX {
        let request = ReadRequest {
            max_wait: Duration::ZERO,
            min_bytes: 0,
            max_bytes: READ_BYTES_MAX,
            partitions: vec![ReadPartition {
                topic: TopicRef::Name(topic.into()),
                partition,
                offset: Offset(next),
                max_bytes: READ_BYTES_MAX,
                leader_epoch: -1,
            }],
        };
        match engine.read(request).await.remove(0) {
            Ok(slice) if slice.pieces.is_empty() => return,
            Ok(slice) => {
                let run = Bytes::from(slice.pieces.concat());
                for batch in Batches::new(run) {
                    let (_, bytes) = batch.expect("only whole batches are served");
                    let header =
                        levada_model::batch::check(&bytes).expect("served bytes are sound");
                    next = header.base_offset + i64::from(header.last_offset_delta) + 1;
                }
            }
            // Damage, or before the log's start.
            Err(_) => next += 1,
        }
    }
}

/// The files of a folder that the real engine wrote, with their paths, in their order.
fn written() -> &'static Vec<(PathBuf, Vec<u8>)> {
    static WRITTEN: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        runtime().block_on(async {
            let fs = FaultFs::new(1);
            write(&fs, SNAPSHOT_EVERY_BYTES).await;
            let mut files = Vec::new();
            for folder in ["wal", "snapshot"] {
                let folder = Path::new(DIR).join(folder);
                for name in fs.read_dir(&folder).expect("it was written") {
                    let path = folder.join(name);
                    let bytes = fs.read(&path).expect("it was written");
                    files.push((path, bytes));
                }
            }
            files.sort();
            files
        })
    })
}

async fn write(fs: &FaultFs, snapshot_every_bytes: u64) {
    let opened = open_with(fs, snapshot_every_bytes).await;
    let Opened { engine, wal, .. } = opened.expect("an empty folder opens");
    for name in [TOPIC, "gone"] {
        let new = NewTopic {
            name: name.into(),
            partitions: Some(2),
            configs: vec![("retention.ms".into(), "-1".into())],
            ..NewTopic::default()
        };
        engine.create_topic(new).await.expect("a new topic");
    }
    let (id, _) = engine.allocate_producer().await.expect("a new producer");
    assert_eq!(id.0, 1);
    for n in 0..40 {
        append(&engine, n).await;
        if n == 20 {
            engine.maintain().await;
        }
    }
    let gone = TopicRef::Name("gone".into());
    engine.delete_topic(&gone).await.expect("it is there");
    let commit = CommitRequest {
        group: "readers".into(),
        generation: -1,
        member: String::new(),
        instance: None,
        topics: vec![CommitTopic {
            name: TOPIC.into(),
            partitions: vec![PartitionCommit {
                partition: 0,
                offset: Offset(3),
                leader_epoch: 0,
                metadata: "note".into(),
            }],
        }],
    };
    engine.groups().commit_offsets(commit).await;
    close(engine, wal).await;
}

/// Whether it is taken depends on what the folder has become.
async fn append(engine: &Engine, n: i32) {
    let mut builder = BatchBuilder::new(Compression::ALL[n as usize % 5]);
    let value = "v".repeat(n as usize % 50 * 20);
    builder.push(&NewRecord {
        timestamp_ms: 1_700_000_000_000,
        value: Some(value.as_bytes()),
        ..NewRecord::default()
    });
    let producer = match n % 2 {
        0 => Producer::NONE,
        _ => Producer {
            id: 1,
            epoch: 0,
            base_sequence: n / 2,
        },
    };
    let entry = AppendEntry {
        topic: TopicRef::Name(TOPIC.into()),
        partition: n % 2,
        records: builder.finish(producer).expect("records fit"),
    };
    let _ = engine.submit(vec![entry]).await.await;
}

fn disk(files: &[(PathBuf, Vec<u8>)]) -> FaultFs {
    let fs = FaultFs::new(2);
    for (path, bytes) in files {
        let folder = path.parent().expect("files lie in folders");
        fs.create_dir_all(folder).expect("memory");
        let file = fs.open(path, OpenMode::Create).expect("memory");
        file.write_all_at(bytes, 0).expect("memory");
        file.sync_all().expect("memory");
        fs.sync_dir(folder).expect("memory");
    }
    fs
}

/// Sets right what a reader checks first: group headers and footers of a log file, a snapshot's
/// own checksum and those of the chunks in it.
fn seal(bytes: &mut [u8]) {
    if bytes.starts_with(&format::MAGIC) {
        seal_log(bytes);
    } else if bytes.len() > SNAPSHOT_CHUNKS_AT + 4 {
        let end = bytes.len() - 4;
        super::snapshot::seal(&mut bytes[SNAPSHOT_CHUNKS_AT..end]);
        let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &bytes[..end]) as u32;
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
    }
}

fn seal_log(bytes: &mut [u8]) {
    let blocks = (0..bytes.len()).step_by(BLOCK_BYTES as usize);
    let at = blocks.flat_map(|block| {
        let footer = (block + BLOCK_BYTES as usize).checked_sub(GROUP_HEADER_BYTES);
        [Some(block), footer]
    });
    for at in at.flatten() {
        if let Some(header) = bytes.get_mut(at..at + GROUP_HEADER_BYTES)
            && header.starts_with(&format::MAGIC)
        {
            let sum = format::checksum([&header[..120]]);
            header[120..].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// The commands that were logged while the folder was written, oldest first: seeds.
pub fn logged_records() -> Vec<Bytes> {
    runtime().block_on(async {
        let fs = FaultFs::new(1);
        write(&fs, u64::MAX).await;
        let (log, _) = WalLog::open(&env(&fs), Path::new(DIR), config()).expect("a sound folder");
        let found = log.recover().await.expect("a sound log");
        found
            .records
            .into_iter()
            .map(|(_, record)| record)
            .collect()
    })
}

/// The content of the folder's snapshots, oldest first: seeds.
pub fn snapshots() -> Vec<Vec<u8>> {
    let snaps = written().iter().filter(|(path, _)| is_snapshot(path));
    snaps
        .map(|(_, bytes)| bytes[SNAPSHOT_CHUNKS_AT..bytes.len() - 4].to_vec())
        .collect()
}

/// The first bytes of the first log file: a seed.
pub fn log_beginning(blocks: usize) -> Vec<u8> {
    let bytes = &written()[0].1;
    bytes[..(blocks * BLOCK_BYTES as usize).min(bytes.len())].to_vec()
}

fn is_snapshot(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "snap")
}
