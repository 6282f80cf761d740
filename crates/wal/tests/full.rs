//! A full disk: what was refused never happened, the reserve works, and writing goes on by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use levada_env::fault::{Crash, FaultFs};
use levada_env::{Env, Fs, OpenMode};
use levada_model::LogPosition;
use levada_wal::{Appended, FrameKind, Priority, Wal, WalConfig, WalError};

const DIR: &str = "/wal";
const RESERVE_BYTES: u64 = 64 << 10;

fn config() -> WalConfig {
    WalConfig {
        file_bytes_max: 256 << 10,
        group_bytes_max: 32 << 10,
        pool_bytes_max: 0,
        reserve_bytes: RESERVE_BYTES,
        ..WalConfig::default()
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}

fn open(fs: &FaultFs) -> (Env, Wal) {
    let env = Env::simulated(7, Arc::new(fs.clone()));
    let (wal, _) = Wal::open(&env, Path::new(DIR), config()).unwrap();
    (env, wal)
}

fn commands(wal: &Wal) -> Vec<Bytes> {
    let mut found = Vec::new();
    wal.replay::<WalError>(LogPosition(0), |_, payload| {
        found.push(payload);
        Ok(())
    })
    .unwrap();
    found
}

/// Takes all the space that the log has not taken yet.
fn fill(fs: &FaultFs) {
    let room = fs.available_bytes(Path::new("/")).unwrap();
    let hog = fs.open(Path::new("/hog"), OpenMode::Create).unwrap();
    hog.allocate(room).unwrap();
}

fn append(wal: &Wal, name: &str, bytes: usize) -> Result<Appended, WalError> {
    wal.append(FrameKind::Data, vec![Bytes::from(vec![7; bytes])])?;
    wal.append(FrameKind::Command, vec![Bytes::from(name.to_owned())])
}

fn set_aside(wal: &Wal, name: &str) -> Result<Appended, WalError> {
    append_as(wal, name, Priority::Reserve)
}

fn append_as(wal: &Wal, name: &str, priority: Priority) -> Result<Appended, WalError> {
    let pieces = vec![Bytes::from(name.to_owned())];
    wal.append_after(FrameKind::Command, pieces, priority, &[])
}

#[test]
fn what_a_full_disk_refused_never_happened_and_writing_goes_on() {
    run(async {
        let fs = FaultFs::new(1);
        fs.set_capacity(Some(2 << 20));
        let (env, wal) = open(&fs);
        let before = append(&wal, "before", 5000).unwrap();
        wal.sync_to(before).await.unwrap();
        fill(&fs);
        let a = append(&wal, "a", 20_000).unwrap();
        let b = append(&wal, "b", 20_000).unwrap();
        let (wait_a, wait_b) = (wal.sync_to(a), wal.sync_to(b));
        assert!(matches!(wait_a.await, Err(WalError::Full)));
        assert!(matches!(wait_b.await, Err(WalError::Full)));
        assert!(wal.is_full());
        assert!(matches!(append(&wal, "c", 10), Err(WalError::Full)));
        // A command that names refused data is refused, although its own turn comes later.
        fs.remove_file(Path::new("/hog")).unwrap();
        env.sleep(Duration::from_secs(1)).await;
        assert!(!wal.is_full());
        let stale = wal.append_after(FrameKind::Command, vec![], Priority::Normal, &[a]);
        assert!(matches!(stale, Err(WalError::Full)));
        let after = append(&wal, "after", 30_000).unwrap();
        wal.sync_to(after).await.unwrap();
        assert!(
            matches!(wal.sync_to(a).await, Err(WalError::Full)),
            "asked again, the same answer"
        );
        assert!(wal.sync_to(before).await.is_ok());
        drop(wal);
        fs.crash(Crash::LoseUnsynced);
        assert_eq!(commands(&open(&fs).1), ["before", "after"]);
        assert!(fs.counts().full_writes >= 1);
    });
}

#[test]
fn the_reserve_keeps_small_needs_going_while_the_disk_is_full() {
    run(async {
        let fs = FaultFs::new(1);
        fs.set_capacity(Some(2 << 20));
        let (env, wal) = open(&fs);
        fill(&fs);
        let a = append(&wal, "a", 20_000).unwrap();
        assert!(matches!(wal.sync_to(a).await, Err(WalError::Full)));
        let mut expected = Vec::new();
        loop {
            let name = format!("offset commit {}", expected.len());
            let Ok(appended) = set_aside(&wal, &name) else {
                break;
            };
            wal.sync_to(appended).await.unwrap();
            expected.push(name);
            assert!(matches!(append(&wal, "x", 10), Err(WalError::Full)));
        }
        // The other half is for what makes room.
        let blocks = RESERVE_BYTES as usize / 4096 / 2;
        assert!(
            expected.len() + 2 >= blocks,
            "{} of {blocks}",
            expected.len()
        );
        fs.remove_file(Path::new("/hog")).unwrap();
        env.sleep(Duration::from_secs(1)).await;
        let after = append(&wal, "after", 30_000).unwrap();
        wal.sync_to(after).await.unwrap();
        expected.push("after".into());
        // The reserve is there again for the next time.
        fill(&fs);
        let full = loop {
            match append(&wal, "more", 30_000) {
                Ok(appended) => match wal.sync_to(appended).await {
                    Ok(()) => expected.push("more".into()),
                    Err(error) => break error,
                },
                Err(error) => break error,
            }
        };
        assert!(matches!(full, WalError::Full));
        let again = set_aside(&wal, "again").unwrap();
        wal.sync_to(again).await.unwrap();
        expected.push("again".into());
        drop(wal);
        fs.crash(Crash::LoseUnsynced);
        // It opens on a full disk too, and has kept everything.
        let (_, wal) = open(&fs);
        assert_eq!(commands(&wal), expected);
    });
}

#[test]
fn a_full_disk_at_the_start_of_a_file_goes_back_to_the_one_before() {
    run(async {
        for seed in 0..30 {
            let fs = FaultFs::new(seed);
            fs.set_capacity(Some((300 << 10) + seed * 4096));
            let (env, wal) = open(&fs);
            let mut expected = Vec::new();
            for round in 0..3 {
                loop {
                    let name = format!("{round}-{}", expected.len());
                    let Ok(appended) = append(&wal, &name, 9000) else {
                        break;
                    };
                    if wal.sync_to(appended).await.is_err() {
                        break;
                    }
                    expected.push(name);
                }
                assert!(wal.is_full());
                fs.set_capacity(Some((300 << 10) + (round + 1) * (200 << 10)));
                env.sleep(Duration::from_secs(1)).await;
                assert!(!wal.is_full(), "seed {seed}");
            }
            assert!(wal.files().len() > 1);
            drop(wal);
            fs.crash(Crash::KeepSome);
            assert_eq!(commands(&open(&fs).1), expected, "seed {seed}");
        }
    });
}

#[test]
fn space_is_noticed_while_the_reserve_is_in_steady_use() {
    run(async {
        let fs = FaultFs::new(1);
        fs.set_capacity(Some(2 << 20));
        let (env, wal) = open(&fs);
        fill(&fs);
        let a = append(&wal, "a", 20_000).unwrap();
        assert!(matches!(wal.sync_to(a).await, Err(WalError::Full)));
        fs.remove_file(Path::new("/hog")).unwrap();
        for n in 0..10 {
            let kept = set_aside(&wal, &format!("commit {n}")).unwrap();
            wal.sync_to(kept).await.unwrap();
            env.sleep(Duration::from_millis(100)).await;
        }
        assert!(!wal.is_full());
    });
}

#[test]
fn a_reserve_that_a_crash_left_in_use_is_made_again_from_what_it_has_left() {
    run(async {
        let fs = FaultFs::new(1);
        fs.set_capacity(Some(2 << 20));
        let (_, wal) = open(&fs);
        fill(&fs);
        let a = append(&wal, "a", 20_000).unwrap();
        assert!(matches!(wal.sync_to(a).await, Err(WalError::Full)));
        let first = set_aside(&wal, "first").unwrap();
        wal.sync_to(first).await.unwrap();
        let hog = fs.open(Path::new("/hog"), OpenMode::ReadWrite).unwrap();
        hog.sync_all().unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        drop(wal);
        fs.crash(Crash::LoseUnsynced);
        let (_, wal) = open(&fs);
        while !wal.is_full() {
            if let Ok(appended) = append(&wal, "filler", 20_000) {
                wal.sync_to(appended).await.ok();
            }
        }
        for n in 0..4 {
            let appended = set_aside(&wal, &format!("commit {n}")).unwrap();
            wal.sync_to(appended).await.unwrap();
        }
    });
}

#[test]
fn half_of_the_reserve_is_for_what_makes_room_and_a_part_can_be_lent() {
    run(async {
        let fs = FaultFs::new(1);
        fs.set_capacity(Some(2 << 20));
        let (_, wal) = open(&fs);
        assert_eq!(wal.reclaim_bytes_max(), u64::MAX);
        assert!(!wal.lend_reserve(4096), "the disk has room");
        fill(&fs);
        let a = append(&wal, "a", 20_000).unwrap();
        assert!(matches!(wal.sync_to(a).await, Err(WalError::Full)));
        assert_eq!(wal.reclaim_bytes_max(), RESERVE_BYTES);
        // Before it is in use, and after.
        for _ in 0..2 {
            let free = fs.available_bytes(Path::new("/")).unwrap();
            assert!(!wal.lend_reserve(RESERVE_BYTES));
            assert!(wal.lend_reserve(8000));
            assert_eq!(fs.available_bytes(Path::new("/")).unwrap(), free + 8192);
            let kept = set_aside(&wal, "kept").unwrap();
            wal.sync_to(kept).await.unwrap();
        }
        let mut counts = [2, 0];
        for (count, priority) in counts
            .iter_mut()
            .zip([Priority::Reserve, Priority::Reclaim])
        {
            while let Ok(appended) = append_as(&wal, "more", priority) {
                wal.sync_to(appended).await.unwrap();
                *count += 1;
            }
        }
        let blocks = (RESERVE_BYTES - 2 * 8192) / 4096;
        assert_eq!(counts, [blocks / 2, blocks / 2]);
        assert_eq!(wal.reclaim_bytes_max(), 0);
    });
}

#[test]
fn what_is_freed_on_a_full_disk_becomes_the_next_reserve() {
    run(async {
        let fs = FaultFs::new(1);
        fs.set_capacity(Some(2 << 20));
        let (env, wal) = open(&fs);
        fill(&fs);
        let a = append(&wal, "a", 20_000).unwrap();
        assert!(matches!(wal.sync_to(a).await, Err(WalError::Full)));
        for _ in 0..2 {
            while let Ok(appended) = append_as(&wal, "more", Priority::Reclaim) {
                wal.sync_to(appended).await.unwrap();
            }
            // Too little to go on, enough to work for more.
            let hog = fs.open(Path::new("/hog"), OpenMode::ReadWrite).unwrap();
            hog.set_len(hog.len().unwrap() - (40 << 10)).unwrap();
            env.sleep(Duration::from_secs(1)).await;
            assert!(wal.is_full());
            assert!(wal.reclaim_bytes_max() >= 16 << 10);
        }
    });
}
