//! What every command log promises, run by every implementation. A new one brings a [`Place`] and
//! calls [`conforms`], bare and inside [`Faulty`].

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use levada_env::{
    Env,
    port::{PortError, PortResult, Ticket, Urgency},
};
use levada_model::LogPosition;

use crate::command_log::{
    Appending, CommandLog,
    fault::{FaultLog, LogFaults},
};

/// Where a log under test keeps its records.
pub trait Place {
    /// Opens it, after a crash too.
    fn open(&mut self) -> impl Future<Output = Arc<dyn CommandLog>>;

    /// The process, its machine or its server stops without notice.
    fn crash(&mut self) -> impl Future<Output = ()>;

    /// A segment staged on the storage that this log goes with.
    fn ticket(&mut self) -> Ticket;

    /// A ticket of this log's storage that never resolves, where there can be one.
    fn endless_ticket(&mut self) -> Option<Ticket> {
        Some(Ticket::new(std::future::pending()))
    }

    /// Whether opening it takes it from whoever has it open.
    fn fences(&self) -> bool {
        false
    }
}

type Record = (LogPosition, Bytes);

/// Runs every promise against a log in `place`, which is empty at first.
///
/// # Panics
/// When one is broken.
pub async fn conforms(place: &mut impl Place) {
    keeps_records_in_order(place).await;
    keeps_snapshots(place).await;
    refuses_a_record_whose_segment_failed(place).await;
    keeps_no_record_whose_segment_is_not_durable(place).await;
    keeps_records_of_any_size(place).await;
    a_crash_in_flight_leaves_the_beginning_of_what_was_appended(place).await;
    whoever_opens_it_last_owns_it(place).await;
    an_owner_that_was_replaced_adds_nothing(place).await;
}

fn begin(log: &dyn CommandLog, text: String, tickets: Vec<Ticket>) -> (Appending, Record) {
    let record = Bytes::from(text);
    let appending = log.append(record.clone(), tickets, Urgency::Normal);
    let appending = appending.unwrap();
    let position = appending.position;
    (appending, (position, record))
}

async fn append(log: &dyn CommandLog, text: String, tickets: Vec<Ticket>) -> Record {
    let (appending, record) = begin(log, text, tickets);
    appending.durable.await.unwrap();
    record
}

/// What the append came to, told at once or later.
async fn outcome(log: &dyn CommandLog, tickets: Vec<Ticket>) -> PortResult<()> {
    let appending = log.append(Bytes::from_static(b"record"), tickets, Urgency::Normal)?;
    appending.durable.await
}

async fn recovered(log: &dyn CommandLog) -> Vec<Record> {
    log.recover().await.unwrap().records
}

/// Positions grow in call order, whatever order is awaited, and a restart gives them back.
async fn keeps_records_in_order(place: &mut impl Place) {
    let log = place.open().await;
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
    place.crash().await;
    let log = place.open().await;
    assert_eq!(recovered(&*log).await, records);
    // And once more, with records on both sides of the restart.
    records.push(append(&*log, "after".into(), Vec::new()).await);
    drop(log);
    place.crash().await;
    let log = place.open().await;
    assert_eq!(recovered(&*log).await, records);
}

/// The newest snapshot and what follows it come back.
async fn keeps_snapshots(place: &mut impl Place) {
    let mut log = place.open().await;
    log.recover().await.unwrap();
    for round in 0..4u8 {
        let mut after = Vec::new();
        let (covered, _) = append(&*log, format!("covered {round}"), Vec::new()).await;
        for i in 0..3 {
            after.push(append(&*log, format!("{round} {i}"), vec![place.ticket()]).await);
        }
        let before = log.replay_bytes();
        // From nothing to more than a row or a block holds.
        let content: Vec<Bytes> = (0..round)
            .map(|piece| Bytes::from(vec![piece; 700_000]))
            .collect();
        log.save_snapshot(covered, content.clone()).await.unwrap();
        assert!(
            log.replay_bytes() < before,
            "a snapshot shortens the replay"
        );
        drop(log);
        place.crash().await;
        log = place.open().await;
        let found = log.recover().await.unwrap();
        let (position, bytes) = found.snapshot.unwrap();
        assert_eq!(position, covered);
        assert!(bytes == content.concat(), "another content came back");
        assert_eq!(found.records, after);
    }
}

/// A record is durable only with every segment that it names. That one failed is no fault of the
/// log: the record did not happen, and the log goes on.
async fn refuses_a_record_whose_segment_failed(place: &mut impl Place) {
    let log = place.open().await;
    let mut kept = recovered(&*log).await;
    let why = || "the segment's".to_owned();
    for error in [
        PortError::Rejected(why()),
        PortError::Indeterminate(why()),
        PortError::Corrupt(why()),
    ] {
        let failed = Ticket::new(async { Err(error) });
        let tickets = vec![place.ticket(), failed];
        let told = outcome(&*log, tickets).await;
        assert!(matches!(told, Err(PortError::Rejected(_))), "{told:?}");
        kept.push(append(&*log, "behind it".into(), vec![place.ticket()]).await);
    }
    // Several in flight, the failed one in the middle.
    let failed = Ticket::new(async { Err(PortError::Rejected("gone".into())) });
    let before = begin(&*log, "before".into(), vec![place.ticket()]);
    let middle = log.append(Bytes::from_static(b"m"), vec![failed], Urgency::Normal);
    let after = begin(&*log, "after".into(), vec![place.ticket()]);
    after.0.durable.await.unwrap();
    before.0.durable.await.unwrap();
    if let Ok(middle) = middle {
        let told = middle.durable.await;
        assert!(matches!(told, Err(PortError::Rejected(_))), "{told:?}");
    }
    kept.extend([before.1, after.1]);
    drop(log);
    place.crash().await;
    assert_eq!(recovered(&*place.open().await).await, kept);
}

async fn keeps_no_record_whose_segment_is_not_durable(place: &mut impl Place) {
    let Some(endless) = place.endless_ticket() else {
        return;
    };
    let log = place.open().await;
    let kept = recovered(&*log).await;
    let tickets = vec![place.ticket(), endless];
    let waits = begin(&*log, "waits".into(), tickets);
    drop(log);
    place.crash().await;
    let log = place.open().await;
    assert_eq!(recovered(&*log).await, kept);
    drop(waits);
}

async fn keeps_records_of_any_size(place: &mut impl Place) {
    let log = place.open().await;
    let mut kept = recovered(&*log).await;
    for bytes in [0, 1, 5_000, 3 << 20, 0] {
        kept.push(append(&*log, "x".repeat(bytes), Vec::new()).await);
    }
    drop(log);
    place.crash().await;
    let found = recovered(&*place.open().await).await;
    assert!(found == kept, "other records came back");
}

/// What is found was appended, in that order and without a gap, and holds all that was durable.
async fn a_crash_in_flight_leaves_the_beginning_of_what_was_appended(place: &mut impl Place) {
    for stop_after in [1, 9, 30] {
        let log = place.open().await;
        let mut appended = recovered(&*log).await;
        let mut durable = appended.len();
        let mut under_way = FuturesUnordered::new();
        for i in 0..40 {
            let tickets = (0..i % 2).map(|_| place.ticket()).collect();
            let (appending, record) = begin(&*log, format!("in flight {i}"), tickets);
            appended.push(record);
            let end = appended.len();
            let waits = appending.durable;
            under_way.push(async move { waits.await.map(|()| end) });
        }
        for _ in 0..stop_after {
            durable = durable.max(under_way.next().await.unwrap().unwrap());
        }
        drop((under_way, log));
        place.crash().await;
        let found = recovered(&*place.open().await).await;
        assert!(found.len() >= durable, "durable records are gone");
        assert_eq!(found[..], appended[..found.len()]);
    }
}

fn is_fenced<T>(outcome: &PortResult<T>) -> bool {
    matches!(outcome, Err(PortError::Fenced(_)))
}

async fn whoever_opens_it_last_owns_it(place: &mut impl Place) {
    if !place.fences() {
        return;
    }
    let older = place.open().await;
    let mut kept = recovered(&*older).await;
    kept.push(append(&*older, "of the older".into(), Vec::new()).await);
    let newer = place.open().await;
    assert_eq!(recovered(&*newer).await, kept);
    let (position, _) = kept[0];
    for _ in 0..2 {
        let told = outcome(&*older, Vec::new()).await;
        assert!(is_fenced(&told), "{told:?}");
        let told = older.save_snapshot(position, Vec::new()).await;
        assert!(is_fenced(&told), "{told:?}");
    }
    assert!(is_fenced(&older.recover().await.map(|_| ())));
    kept.push(append(&*newer, "of the newer".into(), Vec::new()).await);
    drop((older, newer));
    place.crash().await;
    assert_eq!(recovered(&*place.open().await).await, kept);
}

/// The older owner appends all the while that the newer one opens and replays.
async fn an_owner_that_was_replaced_adds_nothing(place: &mut impl Place) {
    if !place.fences() {
        return;
    }
    for _ in 0..3 {
        let older = place.open().await;
        let before = recovered(&*older).await.len();
        let busy = async {
            let mut acknowledged = Vec::new();
            let mut under_way = FuturesUnordered::new();
            for i in 0.. {
                let record = Bytes::from(format!("busy {i}"));
                let Ok(appending) = older.append(record.clone(), Vec::new(), Urgency::Normal)
                else {
                    break;
                };
                let (position, durable) = (appending.position, appending.durable);
                under_way.push(async move { durable.await.map(|()| (position, record)) });
                if under_way.len() < 8 {
                    continue;
                }
                match under_way.next().await {
                    Some(Ok(record)) => acknowledged.push(record),
                    told => {
                        let told = told.unwrap();
                        assert!(is_fenced(&told), "{told:?}");
                        break;
                    }
                }
            }
            acknowledged
        };
        let takeover = async {
            // Once it is busy.
            tokio::task::yield_now().await;
            let newer = place.open().await;
            let found = recovered(&*newer).await;
            (newer, found)
        };
        let (acknowledged, (newer, mut found)) = tokio::join!(busy, takeover);
        let of_older = &found[before..];
        for record in &acknowledged {
            assert!(of_older.contains(record), "{record:?} is gone");
        }
        found.push(append(&*newer, "of the newer".into(), Vec::new()).await);
        drop(newer);
        place.crash().await;
        assert_eq!(recovered(&*place.open().await).await, found);
    }
}

/// A place inside the fault wrapper. Its faults are off: it must be as good as what it wraps, and
/// delays change nothing.
pub struct Faulty<P> {
    pub env: Env,
    pub delay_max: Duration,
    pub place: P,
}

impl<P: Place> Place for Faulty<P> {
    async fn open(&mut self) -> Arc<dyn CommandLog> {
        let log = FaultLog::new(self.env.clone(), self.place.open().await);
        let delay_max = self.delay_max;
        log.set_faults(LogFaults {
            delay_max,
            ..LogFaults::default()
        });
        Arc::new(log)
    }

    fn crash(&mut self) -> impl Future<Output = ()> {
        self.place.crash()
    }

    fn ticket(&mut self) -> Ticket {
        self.place.ticket()
    }

    fn endless_ticket(&mut self) -> Option<Ticket> {
        self.place.endless_ticket()
    }

    fn fences(&self) -> bool {
        self.place.fences()
    }
}

/// Around `inner`, which is empty, each fault of the wrapper fires and says the truth.
///
/// # Panics
/// When one does not.
pub async fn each_fault_fires_and_says_the_truth(env: Env, inner: Arc<dyn CommandLog>) {
    let log = FaultLog::new(env, Arc::clone(&inner));
    log.set_faults(LogFaults {
        append_rejected_one_in: 5,
        append_done_indeterminate_one_in: 5,
        append_lost_indeterminate_one_in: 5,
        snapshot_rejected_one_in: 2,
        ..LogFaults::default()
    });
    let (mut rejected, mut unsure, mut done) = (0, 0, 0);
    for _ in 0..300 {
        match outcome(&log, Vec::new()).await {
            Ok(()) => done += 1,
            Err(PortError::Rejected(_)) => rejected += 1,
            Err(PortError::Indeterminate(_)) => unsure += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let counts = log.counts();
    assert_eq!(counts.append_rejected, rejected);
    assert_eq!(
        counts.append_done_indeterminate + counts.append_lost_indeterminate,
        unsure
    );
    assert!(rejected > 20 && unsure > 40, "{counts:?}");
    let stored = recovered(&*inner).await.len() as u64;
    assert_eq!(stored, done + counts.append_done_indeterminate);
    log.fence();
    assert!(is_fenced(&outcome(&log, Vec::new()).await));
    let told = log.save_snapshot(LogPosition(1), Vec::new()).await;
    assert!(is_fenced(&told));
}
