//! What every command log promises, run by every implementation. A new one adds a `Place` and its
//! tests at the end, and nothing else.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use levada_env::{
    Env, Fs,
    fault::{Crash, FaultFs},
    port::{PortError, Ticket, Urgency},
};
use levada_model::LogPosition;
use levada_sequencer::command_log::{
    CommandLog,
    fault::{FaultLog, LogFaults},
    memory::MemoryLog,
    wal::WalLog,
};
use levada_wal::{FrameKind, Wal, WalConfig};

/// Where a log under test keeps its records.
trait Place {
    /// Opens it, after a crash too.
    fn open(&mut self) -> Arc<dyn CommandLog>;
    /// The process or the machine stops.
    fn crash(&mut self);
    /// A segment staged on the storage that this log goes with.
    fn ticket(&mut self) -> Ticket;
}

type Record = (LogPosition, Bytes);

async fn append(log: &dyn CommandLog, text: String, tickets: Vec<Ticket>) -> Record {
    let record = Bytes::from(text);
    let appending = log
        .append(record.clone(), tickets, Urgency::Normal)
        .unwrap();
    appending.durable.await.unwrap();
    (appending.position, record)
}

async fn conforms(place: &mut dyn Place) {
    keeps_records_in_order(place).await;
    keeps_snapshots(place).await;
    refuses_a_record_whose_segment_failed(place).await;
}

/// Positions grow in call order, whatever order is awaited, and a restart gives them back.
async fn keeps_records_in_order(place: &mut dyn Place) {
    let log = place.open();
    let found = log.recover().await.unwrap();
    assert!(found.snapshot.is_none() && found.records.is_empty());
    assert_eq!(log.replay_bytes() / 8192, 0);
    let mut under_way = Vec::new();
    let mut records = Vec::new();
    for i in 0..40 {
        let record = Bytes::from(format!("record {i}"));
        let tickets = (0..i % 3).map(|_| place.ticket()).collect();
        let urgency = if i % 4 == 0 {
            Urgency::Reserve
        } else {
            Urgency::Normal
        };
        let appending = log.append(record.clone(), tickets, urgency).unwrap();
        records.push((appending.position, record));
        under_way.push(appending.durable);
    }
    assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(
        records[0].0 > LogPosition(0),
        "zero stands for the beginning"
    );
    while let Some(durable) = under_way.pop() {
        durable.await.unwrap();
    }
    assert!(log.replay_bytes() > 0);
    drop(log);
    place.crash();
    let log = place.open();
    assert_eq!(log.recover().await.unwrap().records, records);
    // And once more, with records on both sides of the restart.
    records.push(append(&*log, "after".into(), Vec::new()).await);
    drop(log);
    place.crash();
    let log = place.open();
    assert_eq!(log.recover().await.unwrap().records, records);
}

/// The newest snapshot and what follows it come back.
async fn keeps_snapshots(place: &mut dyn Place) {
    let mut log = place.open();
    log.recover().await.unwrap();
    for round in 0..4u8 {
        let mut after = Vec::new();
        let (covered, _) = append(&*log, format!("covered {round}"), Vec::new()).await;
        for i in 0..3 {
            after.push(append(&*log, format!("{round} {i}"), vec![place.ticket()]).await);
        }
        let before = log.replay_bytes();
        let content = vec![Bytes::from(vec![round; 3000]), Bytes::from_static(b"end")];
        log.save_snapshot(covered, content.clone()).await.unwrap();
        assert!(
            log.replay_bytes() < before,
            "a snapshot shortens the replay"
        );
        drop(log);
        place.crash();
        log = place.open();
        let found = log.recover().await.unwrap();
        assert_eq!(
            found.snapshot,
            Some((covered, Bytes::from(content.concat())))
        );
        assert_eq!(found.records, after);
    }
}

/// A record is durable only with every segment that it names.
async fn refuses_a_record_whose_segment_failed(place: &mut dyn Place) {
    let log = place.open();
    let kept = log.recover().await.unwrap().records;
    let failed = Ticket::new(async { Err(PortError::Rejected("the segment is gone".into())) });
    let tickets = vec![place.ticket(), failed];
    let outcome = match log.append(Bytes::from_static(b"names it"), tickets, Urgency::Normal) {
        Ok(appending) => appending.durable.await,
        Err(error) => Err(error),
    };
    assert!(
        matches!(outcome, Err(PortError::Rejected(_))),
        "{outcome:?}"
    );
    drop(log);
    place.crash();
    assert_eq!(place.open().recover().await.unwrap().records, kept);
}

struct Memory(MemoryLog);

impl Place for Memory {
    fn open(&mut self) -> Arc<dyn CommandLog> {
        Arc::new(self.0.clone())
    }

    fn crash(&mut self) {}

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
    fn open(&mut self) -> Arc<dyn CommandLog> {
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

    fn crash(&mut self) {
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
}

struct Faulty<P>(P);

impl<P: Place> Place for Faulty<P> {
    fn open(&mut self) -> Arc<dyn CommandLog> {
        let env = Env::simulated(5, Arc::new(FaultFs::new(5)));
        let log = FaultLog::new(env, self.0.open());
        let delay_max = Duration::from_millis(30);
        log.set_faults(LogFaults {
            delay_max,
            ..LogFaults::default()
        });
        Arc::new(log)
    }

    fn crash(&mut self) {
        self.0.crash();
    }

    fn ticket(&mut self) -> Ticket {
        self.0.ticket()
    }
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
    conforms(&mut Faulty(Memory(MemoryLog::new()))).await;
    conforms(&mut Faulty(OnWal::new(7, Crash::LoseUnsynced))).await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_snapshot_costs_a_longer_replay_and_nothing_else() {
    let mut place = OnWal::new(1, Crash::LoseUnsynced);
    let log = place.open();
    let (first, _) = append(&*log, "one".into(), Vec::new()).await;
    let two = append(&*log, "two".into(), Vec::new()).await;
    let three = append(&*log, "three".into(), Vec::new()).await;
    log.save_snapshot(first, vec![Bytes::from_static(b"first")])
        .await
        .unwrap();
    log.save_snapshot(two.0, vec![Bytes::from_static(b"second")])
        .await
        .unwrap();
    drop(log);
    place.crash();
    let dir = Path::new("/data/snapshot");
    let names = place.fs.read_dir(dir).unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    place.fs.flip_bit(&dir.join(&names[1]), 30, 3).unwrap();
    let log = place.open();
    let found = log.recover().await.unwrap();
    assert_eq!(found.snapshot, Some((first, Bytes::from_static(b"first"))));
    assert_eq!(found.records, [two.clone(), three.clone()]);
    drop(log);
    place.crash();
    // Both: the log is whole, and nothing is missing either.
    place.fs.flip_bit(&dir.join(&names[0]), 30, 3).unwrap();
    let found = place.open().recover().await.unwrap();
    assert_eq!(found.snapshot, None);
    assert_eq!(
        found.records,
        [(first, Bytes::from_static(b"one")), two, three]
    );
}

#[tokio::test(start_paused = true)]
async fn each_fault_fires_and_says_the_truth() {
    let env = Env::simulated(5, Arc::new(FaultFs::new(5)));
    let memory = MemoryLog::new();
    let log = FaultLog::new(env, Arc::new(memory.clone()));
    log.set_faults(LogFaults {
        append_rejected_one_in: 5,
        append_done_indeterminate_one_in: 5,
        append_lost_indeterminate_one_in: 5,
        snapshot_rejected_one_in: 2,
        ..LogFaults::default()
    });
    let (mut rejected, mut unsure, mut done) = (0, 0, 0);
    for i in 0..300u32 {
        let record = Bytes::from(i.to_string());
        match log.append(record, Vec::new(), Urgency::Normal) {
            Err(PortError::Rejected(_)) => rejected += 1,
            Err(other) => panic!("{other}"),
            Ok(appending) => match appending.durable.await {
                Ok(()) => done += 1,
                Err(PortError::Indeterminate(_)) => unsure += 1,
                Err(other) => panic!("{other}"),
            },
        }
    }
    let counts = log.counts();
    assert_eq!(counts.append_rejected, rejected);
    assert_eq!(
        counts.append_done_indeterminate + counts.append_lost_indeterminate,
        unsure
    );
    assert!(rejected > 20 && unsure > 40, "{counts:?}");
    let stored = memory.recover().await.unwrap().records.len() as u64;
    assert_eq!(stored, done + counts.append_done_indeterminate);
    log.fence();
    let fenced = log.append(Bytes::new(), Vec::new(), Urgency::Normal);
    assert!(matches!(fenced, Err(PortError::Fenced(_))));
    let fenced = log.save_snapshot(LogPosition(1), Vec::new()).await;
    assert!(matches!(fenced, Err(PortError::Fenced(_))));
}
