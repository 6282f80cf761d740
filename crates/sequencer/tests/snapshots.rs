//! Snapshots beside the embedded log, on a disk that is damaged or runs full.
#![allow(clippy::disallowed_methods)]

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use levada_env::{
    Env,
    fault::{Crash, FaultFs},
    port::Urgency,
};
use levada_model::{LogPosition, SegmentId};
use levada_sequencer::command_log::{CommandLog, wal::WalLog};
use levada_wal::{Durability, FrameKind, WalConfig};

const DIR: &str = "/data";

fn config() -> WalConfig {
    WalConfig {
        file_bytes_max: 64 << 10,
        pool_bytes_max: 0,
        reserve_bytes: 0,
        ..WalConfig::default()
    }
}

fn world() -> (FaultFs, Env) {
    let fs = FaultFs::new(1);
    let env = Env::simulated(1, Arc::new(fs.clone()));
    (fs, env)
}

fn open(env: &Env, config: WalConfig) -> WalLog {
    WalLog::open(env, Path::new(DIR), config).unwrap().0
}

/// Appends `count` records with 4 KiB of data each and gives the last one's position.
async fn append(log: &WalLog, count: usize) -> LogPosition {
    let mut last = LogPosition(0);
    for _ in 0..count {
        let data = vec![Bytes::from(vec![7; 4096])];
        log.wal().append(FrameKind::Data, data).unwrap();
        let record = Bytes::from_static(b"record");
        let appending = log.append(record, Vec::new(), Urgency::Normal).unwrap();
        last = appending.position;
        appending.durable.await.unwrap();
    }
    last
}

async fn save(log: &WalLog, position: LogPosition) {
    log.save_snapshot(position, vec![Bytes::from_static(b"state")])
        .await
        .unwrap();
}

fn names(env: &Env) -> Vec<String> {
    env.fs().read_dir(&Path::new(DIR).join("snapshot")).unwrap()
}

fn damage(fs: &FaultFs, position: LogPosition) {
    let name = format!("{:020}.snap", position.0);
    let path = Path::new(DIR).join("snapshot").join(name);
    fs.flip_bit(&path, 25, 0).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_is_not_kept_in_the_place_of_a_whole_one() {
    let (fs, env) = world();
    let log = open(&env, config());
    let first = append(&log, 3).await;
    save(&log, first).await;
    let second = append(&log, 3).await;
    save(&log, second).await;
    log.wal().seal().await.unwrap();
    drop(log);
    damage(&fs, second);
    let log = open(&env, config());
    let third = append(&log, 3).await;
    save(&log, third).await;
    log.wal().seal().await.unwrap();
    drop(log);
    damage(&fs, third);
    let log = open(&env, config());
    let recovered = log.recover().await.unwrap();
    assert_eq!(recovered.snapshot.unwrap().0, first);
    assert_eq!(recovered.records.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_did_not_fit_gives_its_space_back() {
    let (fs, env) = world();
    let log = open(&env, config());
    let position = append(&log, 3).await;
    fs.set_capacity(Some(200 << 10));
    for n in 0..3 {
        let large = vec![Bytes::from(vec![1; 1 << 20])];
        let position = LogPosition(position.0 + n);
        log.save_snapshot(position, large).await.unwrap_err();
    }
    assert_eq!(names(&env), Vec::<String>::new());
    log.wal().append(FrameKind::Data, vec![]).unwrap();
    append(&log, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_half_written_snapshot_is_removed_at_the_next_start() {
    let (fs, env) = world();
    let log = open(&env, config());
    let position = append(&log, 3).await;
    fs.cut_power_after(2);
    let save = log.save_snapshot(position, vec![Bytes::from_static(b"state")]);
    save.await.unwrap_err();
    drop(log);
    fs.crash(Crash::KeepSome);
    let dir = Path::new(DIR).join("snapshot");
    env.fs()
        .write_atomic(&dir.join("left.snap.tmp"), b"half")
        .unwrap();
    let log = open(&env, config());
    assert_eq!(names(&env), Vec::<String>::new());
    assert_eq!(log.recover().await.unwrap().records.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_snapshots_cover_can_go_after_a_restart_too() {
    let (_, env) = world();
    let log = open(&env, config());
    append(&log, 40).await;
    let first = append(&log, 1).await;
    save(&log, first).await;
    let second = append(&log, 1).await;
    save(&log, second).await;
    log.wal().seal().await.unwrap();
    drop(log);
    let log = open(&env, config());
    let before = log.wal().files().len();
    assert!(before > 3);
    // Only now the engine says that the data is dead.
    for file in log.wal().files() {
        log.wal().release(file.segment);
    }
    let left: Vec<SegmentId> = log.wal().files().iter().map(|file| file.segment).collect();
    assert!(left.len() <= 2, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn the_log_behind_the_older_snapshot_stays_for_when_the_newest_is_damaged() {
    let (fs, env) = world();
    let log = open(&env, config());
    let first = append(&log, 3).await;
    save(&log, first).await;
    let second = append(&log, 80).await;
    save(&log, second).await;
    append(&log, 2).await;
    for file in log.wal().files() {
        log.wal().release(file.segment);
    }
    log.wal().seal().await.unwrap();
    drop(log);
    damage(&fs, second);
    let log = open(&env, config());
    let recovered = log.recover().await.unwrap();
    assert_eq!(recovered.snapshot.unwrap().0, first);
    assert_eq!(recovered.records.len(), 82);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_never_ahead_of_the_log_after_a_power_loss() {
    let (fs, env) = world();
    let config = WalConfig {
        durability: Durability::Os,
        ..config()
    };
    let log = open(&env, config.clone());
    let position = append(&log, 3).await;
    save(&log, position).await;
    append(&log, 3).await;
    fs.crash(Crash::LoseUnsynced);
    drop(log);
    let log = open(&env, config);
    let recovered = log.recover().await.unwrap();
    assert_eq!(recovered.snapshot.unwrap().0, position);
}

#[tokio::test(start_paused = true)]
async fn the_only_snapshot_damaged_costs_a_replay_of_the_whole_log() {
    let (fs, env) = world();
    let log = open(&env, config());
    let position = append(&log, 3).await;
    save(&log, position).await;
    append(&log, 2).await;
    log.wal().seal().await.unwrap();
    drop(log);
    damage(&fs, position);
    let log = open(&env, config());
    let recovered = log.recover().await.unwrap();
    assert!(recovered.snapshot.is_none());
    assert_eq!(recovered.records.len(), 5);
    assert_eq!(names(&env).len(), 1, "nothing is deleted");
}

#[tokio::test(start_paused = true)]
async fn all_snapshots_damaged_and_the_log_behind_them_gone_is_refused() {
    let (fs, env) = world();
    let log = open(&env, config());
    append(&log, 40).await;
    let mut positions = Vec::new();
    for _ in 0..2 {
        positions.push(append(&log, 1).await);
        save(&log, positions[positions.len() - 1]).await;
    }
    for file in log.wal().files() {
        log.wal().release(file.segment);
    }
    log.wal().seal().await.unwrap();
    drop(log);
    for position in positions {
        damage(&fs, position);
    }
    let error = WalLog::open(&env, Path::new(DIR), config()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("none of the 2 snapshots"), "{text}");
    assert!(text.contains("Restore"), "{text}");
}
