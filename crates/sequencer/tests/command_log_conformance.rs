//! The conformance suite over the backends that need no server, and what the embedded log alone
//! promises. Those that need one run the suite in `interop/backends`.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use levada_env::{
    Env, Fs,
    fault::{Crash, FaultFs},
    port::{Ticket, Urgency},
};
use levada_model::LogPosition;
use levada_sequencer::{
    command_log::{CommandLog, memory::MemoryLog, wal::WalLog},
    conformance::{Faulty, Place, conforms, each_fault_fires_and_says_the_truth},
};
use levada_wal::{FrameKind, Wal, WalConfig};

struct Memory(MemoryLog);

impl Place for Memory {
    async fn open(&mut self) -> Arc<dyn CommandLog> {
        Arc::new(self.0.clone())
    }

    async fn crash(&mut self) {}

    fn ticket(&mut self) -> Ticket {
        Ticket::new(async { Ok(()) })
    }
}

struct OnWal {
    fs: FaultFs,
    crash: Crash,
    wal: Option<Wal>,
}

impl OnWal {
    fn new(seed: u64, crash: Crash) -> Self {
        OnWal {
            fs: FaultFs::new(seed),
            crash,
            wal: None,
        }
    }

    fn env(&self) -> Env {
        Env::simulated(3, Arc::new(self.fs.clone()))
    }
}

impl Place for OnWal {
    async fn open(&mut self) -> Arc<dyn CommandLog> {
        self.wal = None;
        let config = WalConfig {
            file_bytes_max: 64 << 10,
            ..WalConfig::default()
        };
        let (log, recovered) = WalLog::open(&self.env(), Path::new("/data"), config).unwrap();
        assert!(recovered.damaged.is_empty());
        self.wal = Some(log.wal().clone());
        Arc::new(log)
    }

    async fn crash(&mut self) {
        self.wal = None;
        self.fs.crash(self.crash);
    }

    fn ticket(&mut self) -> Ticket {
        let wal = self.wal.clone().unwrap();
        let place = wal
            .append(FrameKind::Data, vec![Bytes::from_static(b"data")])
            .unwrap();
        Ticket::with_place(async { Ok(()) }, place)
    }

    /// Here a command's own sync makes its segments durable.
    fn endless_ticket(&mut self) -> Option<Ticket> {
        None
    }
}

fn world() -> Env {
    Env::simulated(5, Arc::new(FaultFs::new(5)))
}

fn faulty<P>(place: P) -> Faulty<P> {
    Faulty {
        env: world(),
        delay_max: Duration::from_millis(30),
        place,
    }
}

async fn append(log: &dyn CommandLog, text: &'static str) -> (LogPosition, Bytes) {
    let record = Bytes::from_static(text.as_bytes());
    let appending = log.append(record.clone(), Vec::new(), Urgency::Normal);
    let appending = appending.unwrap();
    appending.durable.await.unwrap();
    (appending.position, record)
}

#[tokio::test(start_paused = true)]
async fn memory_conforms() {
    conforms(&mut Memory(MemoryLog::new())).await;
}

#[tokio::test(start_paused = true)]
async fn wal_conforms() {
    for (seed, crash) in [Crash::Kill, Crash::LoseUnsynced, Crash::KeepSome]
        .into_iter()
        .enumerate()
    {
        conforms(&mut OnWal::new(seed as u64, crash)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn fault_without_faults_conforms() {
    conforms(&mut faulty(Memory(MemoryLog::new()))).await;
    conforms(&mut faulty(OnWal::new(7, Crash::LoseUnsynced))).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_costs_a_longer_replay_and_nothing_else() {
    let mut place = OnWal::new(1, Crash::LoseUnsynced);
    let log = place.open().await;
    let (first, _) = append(&*log, "one").await;
    let two = append(&*log, "two").await;
    let three = append(&*log, "three").await;
    log.save_snapshot(first, vec![Bytes::from_static(b"first")])
        .await
        .unwrap();
    log.save_snapshot(two.0, vec![Bytes::from_static(b"second")])
        .await
        .unwrap();
    drop(log);
    place.crash().await;
    let dir = Path::new("/data/snapshot");
    let names = place.fs.read_dir(dir).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    place.fs.flip_bit(&dir.join(&names[1]), 30, 3).unwrap();
    let log = place.open().await;
    let found = log.recover().await.unwrap();
    assert_eq!(found.snapshot, Some((first, Bytes::from_static(b"first"))));
    assert_eq!(found.records, [two.clone(), three.clone()]);
    drop(log);
    place.crash().await;
    // Both: the log is whole, and nothing is missing either.
    place.fs.flip_bit(&dir.join(&names[0]), 30, 3).unwrap();
    let found = place.open().await.recover().await.unwrap();
    assert_eq!(found.snapshot, None);
    assert_eq!(
        found.records,
        [(first, Bytes::from_static(b"one")), two, three]
    );
}

#[tokio::test(start_paused = true)]
async fn each_fault_fires() {
    each_fault_fires_and_says_the_truth(world(), Arc::new(MemoryLog::new())).await;
}
