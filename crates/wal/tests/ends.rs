//! Where a log may end and begin: what lies behind its end is put aside and told, an end that comes
//! too early is refused, and no file goes that replay begins with.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use levada_env::fault::{Crash, FaultFs};
use levada_env::{Env, Fs, OpenMode};
use levada_model::LogPosition;
use levada_wal::{FrameKind, Recovered, Wal, WalConfig, WalError};

const DIR: &str = "/wal";

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(future)
}

fn open(fs: &FaultFs, replay_after: u64) -> Result<(Wal, Recovered), WalError> {
    let config = WalConfig {
        pool_bytes_max: 0,
        reserve_bytes: 0,
        replay_after: LogPosition(replay_after),
        ..WalConfig::default()
    };
    let env = Env::simulated(7, Arc::new(fs.clone()));
    Wal::open(&env, Path::new(DIR), config)
}

/// A log with one command, sealed; gives where it ends.
async fn write(fs: &FaultFs) -> u64 {
    let (wal, _) = open(fs, 0).unwrap();
    let command = vec![Bytes::from_static(b"command")];
    let appended = wal.append(FrameKind::Command, command).unwrap();
    wal.sync_to(appended).await.unwrap();
    wal.seal().await.unwrap();
    fs.crash(Crash::Kill);
    let end = open(fs, 0).unwrap().1.end;
    fs.crash(Crash::Kill);
    end
}

#[test]
fn what_lies_behind_the_end_is_put_aside_and_told() {
    run(async {
        let fs = FaultFs::new(1);
        let end = write(&fs).await;
        let path = Path::new(DIR).join("00000000000000000000.log");
        let torn = vec![0xAB; 5000];
        let file = fs.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_all_at(&torn, end).unwrap();

        let (_wal, recovered) = open(&fs, 0).unwrap();
        let told = recovered.torn.expect("the tail that was cut is told");
        assert_eq!((told.position, told.bytes), (end, 5000));
        assert_eq!(fs.read(&told.quarantine).unwrap(), torn);
        assert_eq!(recovered.end, end);
    });
}

#[test]
fn a_log_that_ends_before_the_snapshot_is_refused() {
    run(async {
        let fs = FaultFs::new(1);
        let end = write(&fs).await;
        for after in [end, end + 4096] {
            let error = open(&fs, after).unwrap_err();
            assert!(
                matches!(error, WalError::Damaged { .. }),
                "{after}, ending at {end}: {error}"
            );
            fs.crash(Crash::Kill);
        }
    });
}

#[test]
fn released_files_stay_while_replay_begins_before_them() {
    run(async {
        let fs = FaultFs::new(1);
        let config = WalConfig {
            file_bytes_max: 64 << 10,
            pool_bytes_max: 0,
            reserve_bytes: 0,
            ..WalConfig::default()
        };
        let open = || {
            let env = Env::simulated(7, Arc::new(fs.clone()));
            Wal::open(&env, Path::new(DIR), config.clone()).unwrap()
        };
        let (wal, _) = open();
        for _ in 0..40 {
            let data = vec![Bytes::from(vec![7; 8 << 10])];
            wal.append(FrameKind::Data, data).unwrap();
            let command = vec![Bytes::from_static(b"command")];
            let command = wal.append(FrameKind::Command, command).unwrap();
            wal.sync_to(command).await.unwrap();
        }
        let files = wal.files();
        assert!(files.len() > 3, "{files:?}");
        // All data is dead; the commands beside it are in no snapshot.
        for file in &files {
            wal.release(file.segment);
        }
        assert_eq!(wal.files().len(), files.len());
        fs.crash(Crash::Kill);
        assert_eq!(open().1.commands, 40);
    });
}
