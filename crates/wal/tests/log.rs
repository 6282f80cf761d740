//! The log over the machine's own files.
#![allow(clippy::disallowed_methods)]

use std::path::Path;

use bytes::Bytes;
use levada_env::Env;
use levada_model::LogPosition;
use levada_wal::{Durability, FrameKind, Recovered, Wal, WalConfig, WalError};

fn open(dir: &Path) -> (Wal, Recovered) {
    Wal::open(&Env::real(), &dir.join("wal"), WalConfig::default()).unwrap()
}

fn commands(wal: &Wal, after: LogPosition) -> Vec<Bytes> {
    let mut all = Vec::new();
    wal.replay::<WalError>(after, |_, payload| {
        all.push(payload);
        Ok(())
    })
    .unwrap();
    all
}

#[tokio::test]
async fn what_was_synced_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, recovered) = open(dir.path());
    assert!(recovered.created);
    let mut places = Vec::new();
    for i in 0..100u32 {
        let body = Bytes::from(vec![i as u8; 1000 + i as usize]);
        let data = wal
            .append(FrameKind::Data, vec![body.slice(..10), body.slice(10..)])
            .unwrap();
        let command = wal
            .append(FrameKind::Command, vec![Bytes::from(format!("c{i}"))])
            .unwrap();
        places.push((data, body));
        if i % 3 == 0 {
            wal.sync_to(command).await.unwrap();
        }
    }
    drop(wal);
    let (wal, recovered) = open(dir.path());
    assert!(!recovered.sealed && !recovered.created && recovered.damaged.is_empty());
    let found = commands(&wal, LogPosition(0));
    assert_eq!(found.len(), 100);
    assert_eq!(found[99], "c99");
    for (place, body) in places {
        let read = wal
            .read(place.file, place.offset_in_file, body.len() as u32)
            .unwrap();
        assert_eq!(read, body);
    }
}

#[tokio::test]
async fn a_length_beyond_the_file_is_refused_before_memory_is_taken_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    let body = Bytes::from(vec![7; 1000]);
    let place = wal.append(FrameKind::Data, vec![body.clone()]).unwrap();
    let (file, offset) = (place.file, place.offset_in_file);
    // Queued is not held yet.
    let early = wal.buffer_for(file, offset, 1000);
    assert!(matches!(
        early,
        Err(WalError::Corrupt { .. } | WalError::NoSuchFile(_))
    ));
    wal.sync_to(place).await.unwrap();
    assert_eq!(wal.buffer_for(file, offset, 1000).unwrap().len(), 1000);
    assert_eq!(wal.read(file, offset, 1000).unwrap(), body);
    for (offset, bytes) in [(offset, u32::MAX), (u64::MAX, 1), (u64::MAX, u32::MAX)] {
        let refused = wal.buffer_for(file, offset, bytes);
        assert!(matches!(refused, Err(WalError::Corrupt { .. })));
        let refused = wal.read(file, offset, bytes);
        assert!(matches!(refused, Err(WalError::Corrupt { .. })));
    }
    let nowhere = levada_model::SegmentId(file.0 + 1);
    let refused = wal.buffer_for(nowhere, 0, 1);
    assert!(matches!(refused, Err(WalError::NoSuchFile(_))));
}

#[tokio::test]
async fn a_sealed_log_says_so_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    wal.append(FrameKind::Command, vec![Bytes::from_static(b"one")])
        .unwrap();
    wal.seal().await.unwrap();
    assert!(matches!(
        wal.append(FrameKind::Command, vec![]),
        Err(WalError::Closed)
    ));
    drop(wal);
    let (wal, recovered) = open(dir.path());
    assert!(recovered.sealed);
    let two = wal
        .append(FrameKind::Command, vec![Bytes::from_static(b"two")])
        .unwrap();
    wal.sync_to(two).await.unwrap();
    assert_eq!(commands(&wal, LogPosition(0)), ["one", "two"]);
    let after_one = wal.synced();
    assert!(after_one > two.position);
    assert!(commands(&wal, two.position).is_empty());
}

#[tokio::test]
async fn many_waiters_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path());
    let waits: Vec<_> = (0..500)
        .map(|_| {
            wal.append(FrameKind::Command, vec![Bytes::from_static(b"x")])
                .unwrap()
        })
        .map(|appended| wal.sync_to(appended))
        .collect();
    for wait in waits {
        wait.await.unwrap();
    }
    let syncs = wal
        .metrics()
        .syncs
        .load(std::sync::atomic::Ordering::Relaxed);
    assert!(
        syncs < 250,
        "{syncs} syncs for 500 appends that came at once"
    );
}

#[tokio::test]
async fn a_file_goes_when_its_data_is_released_and_its_commands_are_in_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let config = WalConfig {
        file_bytes_max: 64 << 10,
        pool_bytes_max: 0,
        ..WalConfig::default()
    };
    let path = dir.path().join("wal");
    let (wal, _) = Wal::open(&Env::real(), &path, config.clone()).unwrap();
    let mut last = None;
    for _ in 0..40 {
        let body = Bytes::from(vec![7; 8 << 10]);
        wal.append(FrameKind::Data, vec![body]).unwrap();
        let command = wal
            .append(FrameKind::Command, vec![Bytes::from_static(b"c")])
            .unwrap();
        wal.sync_to(command).await.unwrap();
        last = Some(command);
    }
    let last = last.unwrap();
    let files = wal.files();
    assert!(files.len() > 3, "{files:?}");
    for file in &files {
        wal.release(file.segment);
    }
    wal.truncate_commands_before(last.position);
    while wal.files().len() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(wal.files()[0].segment, last.file);
    drop(wal);
    // Without the snapshot's position the log must not look shorter than it was.
    assert!(matches!(
        Wal::open(&Env::real(), &path, config.clone()),
        Err(WalError::Damaged { .. })
    ));
    let config = WalConfig {
        replay_after: last.position,
        ..config
    };
    let (wal, recovered) = Wal::open(&Env::real(), &path, config).unwrap();
    assert_eq!(recovered.commands, 0);
    assert!(commands(&wal, last.position).is_empty());
}

#[tokio::test]
async fn os_durability_does_not_sync_for_an_append() {
    let dir = tempfile::tempdir().unwrap();
    let config = WalConfig {
        durability: Durability::Os,
        ..WalConfig::default()
    };
    let (wal, _) = Wal::open(&Env::real(), &dir.path().join("wal"), config).unwrap();
    for _ in 0..20 {
        let a = wal
            .append(FrameKind::Command, vec![Bytes::from_static(b"x")])
            .unwrap();
        wal.sync_to(a).await.unwrap();
    }
    assert_eq!(
        wal.metrics()
            .syncs
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
    drop(wal);
    assert_eq!(commands(&open(dir.path()).0, LogPosition(0)).len(), 20);
}
