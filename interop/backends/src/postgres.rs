//! The command log in PostgreSQL.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use levada_catalog::{Command, Reply, StateSettings};
use levada_env::port::{PortError, PortResult, Ticket, Urgency};
use levada_env::{Env, SeededRandom};
use levada_model::LogPosition;
use levada_sequencer::command_log::{
    CommandLog,
    postgres::{PostgresLog, PostgresSettings},
};
use levada_sequencer::conformance::{Faulty, Place, conforms, each_fault_fires_and_says_the_truth};
use levada_sequencer::{Sequencer, SequencerSettings};
use rustix::process::Signal;
use tokio::sync::Mutex;

use crate::proxy::{Mode, Proxy};
use crate::runner::Runner;
use crate::servers::Postgres;

const CHECKS: [&str; 11] = [
    "postgres: conforms",
    "postgres: conforms while the server is killed at every crash",
    "postgres: conforms inside the fault wrapper",
    "postgres: the wrapper's faults fire",
    "postgres: an append whose connection was lost is settled",
    "postgres: kill -9 of the server under load loses nothing acknowledged",
    "postgres: a sequencer lives through kill -9 of the server",
    "postgres: a server that hangs leaves appends open, and a restart settles them",
    "postgres: damage and gaps are told, a damaged snapshot costs a longer replay",
    "postgres: a server without fsync is refused",
    "postgres: a newer schema is refused",
];

/// Every check, on one server.
///
/// # Errors
/// When the server does not start.
pub fn checks(runner: &mut Runner, programs: &Path) -> Result<()> {
    if !runner.wants(&CHECKS) {
        return Ok(());
    }
    let start = tokio::runtime::Runtime::new()?;
    let server = Arc::new(Mutex::new(start.block_on(Postgres::start(programs))?));
    let place = |cell: &str, kill| InDatabase {
        server: Arc::clone(&server),
        cell: cell.into(),
        kill,
    };
    runner.check(CHECKS[0], async {
        conforms(&mut place("plain", false)).await;
    });
    runner.check(CHECKS[1], async {
        conforms(&mut place("killed", true)).await;
    });
    runner.check(CHECKS[2], async {
        let mut faulty = Faulty {
            env: Env::real(),
            delay_max: Duration::from_millis(4),
            place: place("faulty", false),
        };
        conforms(&mut faulty).await;
    });
    runner.check(CHECKS[3], async {
        let log = place("faults", false).open().await;
        // The suite asks for enough of each fault: the seed decides, not the clock.
        let env = Env::real().with_random(Arc::new(SeededRandom::new(5)));
        each_fault_fires_and_says_the_truth(env, log).await;
    });
    runner.check(CHECKS[4], lost_connections(&server));
    runner.check(CHECKS[5], killed_under_load(&server));
    runner.check(CHECKS[6], sequencer_lives_on(&server));
    runner.check(CHECKS[7], hangs(&server));
    runner.check(CHECKS[8], damage(&server));
    runner.check(CHECKS[9], without_fsync(&server));
    runner.check(CHECKS[10], newer_schema(&server));
    Ok(())
}

/// A cell's log in the server.
struct InDatabase {
    server: Arc<Mutex<Postgres>>,
    cell: String,
    /// Whether a crash takes the server too.
    kill: bool,
}

impl Place for InDatabase {
    async fn open(&mut self) -> Arc<dyn CommandLog> {
        let settings = settings(&*self.server.lock().await, &self.cell);
        Arc::new(open(settings).await)
    }

    async fn crash(&mut self) {
        if self.kill {
            self.server.lock().await.restart().await.unwrap();
        }
    }

    fn ticket(&mut self) -> Ticket {
        Ticket::new(async { Ok(()) })
    }

    fn fences(&self) -> bool {
        true
    }
}

fn settings(server: &Postgres, cell: &str) -> PostgresSettings {
    PostgresSettings {
        connection: Postgres::connection(server.address()),
        cell: cell.into(),
        ..PostgresSettings::default()
    }
}

async fn open(settings: PostgresSettings) -> PostgresLog {
    PostgresLog::open(Env::real(), settings).await.unwrap()
}

type Record = (LogPosition, Bytes);

async fn append(log: &PostgresLog, text: String) -> PortResult<Record> {
    let record = Bytes::from(text);
    let appending = log.append(record.clone(), Vec::new(), Urgency::Normal)?;
    appending.durable.await?;
    Ok((appending.position, record))
}

async fn recovered(log: &PostgresLog) -> Vec<Record> {
    log.recover().await.unwrap().records
}

/// Keeps some appends in flight until `stop`; gives the records in their order, all acknowledged.
async fn load(log: &PostgresLog, stop: &std::sync::atomic::AtomicBool) -> Vec<Record> {
    let mut under_way = std::collections::VecDeque::new();
    let mut acknowledged = Vec::new();
    for i in 0.. {
        let record = Bytes::from(format!("record {i} {}", "x".repeat(i % 3000)));
        let appending = log.append(record.clone(), Vec::new(), Urgency::Normal);
        under_way.push_back((appending.unwrap(), record));
        let stops = stop.load(std::sync::atomic::Ordering::Relaxed);
        let keep = if stops { 0 } else { 8 };
        while under_way.len() > keep {
            let (appending, record) = under_way.pop_front().unwrap();
            // The server comes back in time: nothing is left open.
            appending.durable.await.unwrap();
            acknowledged.push((appending.position, record));
        }
        if stops {
            break;
        }
    }
    acknowledged
}

async fn lost_connections(server: &Mutex<Postgres>) {
    let (proxy, direct) = {
        let server = server.lock().await;
        let proxy = Proxy::start(server.address()).await.unwrap();
        (proxy, settings(&server, "lost"))
    };
    let log = open(PostgresSettings {
        connection: Postgres::connection(proxy.address()),
        ..direct.clone()
    })
    .await;
    let mut kept = Vec::new();
    for round in 0..10 {
        for mode in [Mode::LosesAnswers, Mode::LosesRequests] {
            proxy.set(mode);
            kept.push(append(&log, format!("{mode:?} {round}")).await.unwrap());
            kept.push(append(&log, format!("after {mode:?}")).await.unwrap());
        }
    }
    assert_eq!(proxy.lost(), 20, "each loss happened");
    // And at any moment, with several in flight.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let cuts = async {
        for cut in 0..60u64 {
            tokio::time::sleep(Duration::from_millis(5 + cut * 7 % 23)).await;
            proxy.cut();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (acknowledged, ()) = tokio::join!(load(&log, &stop), cuts);
    println!(
        "     20 losses as told, 60 at any moment, {} appends",
        acknowledged.len()
    );
    kept.extend(acknowledged);
    drop(log);
    assert!(
        recovered(&open(direct).await).await == kept,
        "other records came back"
    );
}

/// How often the server is killed under the load.
const KILLS: u64 = 6;

async fn killed_under_load(server: &Mutex<Postgres>) {
    let settings = settings(&*server.lock().await, "load");
    let log = open(settings.clone()).await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let kills = async {
        for round in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(150 + 70 * round)).await;
            server.lock().await.restart().await.unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (acknowledged, ()) = tokio::join!(load(&log, &stop), kills);
    println!(
        "     {KILLS} kills, {} appends acknowledged",
        acknowledged.len()
    );
    drop(log);
    let found = recovered(&open(settings).await).await;
    assert!(found == acknowledged, "other records came back");
}

async fn sequencer_lives_on(server: &Mutex<Postgres>) {
    let settings = settings(&*server.lock().await, "sequencer");
    let knobs = SequencerSettings {
        snapshot_every_bytes: 4096,
        ..SequencerSettings::default()
    };
    let mut newest = None;
    for _ in 0..4 {
        let log = Arc::new(open(settings.clone()).await);
        let state = StateSettings::default();
        let start = Sequencer::recover(Env::real(), knobs.clone(), state, log);
        let (sequencer, _) = start.await.unwrap();
        for i in 0..120 {
            if i == 60 {
                server.lock().await.restart().await.unwrap();
            }
            let proposed = sequencer.propose(Command::AllocateProducer, Urgency::Normal);
            let Ok(Reply::Producer { id, .. }) = proposed.await else {
                panic!("a producer was not allocated");
            };
            assert!(newest < Some(id), "{id:?} was given out twice");
            newest = Some(id);
        }
        sequencer.close().await;
    }
    let found = open(settings).await.recover().await.unwrap();
    assert!(found.snapshot.is_some(), "no snapshot was taken");
}

async fn hangs(server: &Mutex<Postgres>) {
    let settings = PostgresSettings {
        commit_time_max: Duration::from_millis(300),
        settle_time_max: Duration::from_millis(900),
        ..settings(&*server.lock().await, "hangs")
    };
    let log = open(settings.clone()).await;
    let mut kept = vec![append(&log, "before".into()).await.unwrap()];
    server.lock().await.signal(Signal::STOP);
    let told = append(&log, "open".into()).await;
    assert!(matches!(told, Err(PortError::Indeterminate(_))), "{told:?}");
    // From here on it promises nothing, even when the server is back.
    server.lock().await.signal(Signal::CONT);
    let told = append(&log, "later".into()).await;
    assert!(matches!(told, Err(PortError::Indeterminate(_))), "{told:?}");
    let patient = PostgresSettings {
        commit_time_max: Duration::from_secs(10),
        ..settings
    };
    let log = open(patient.clone()).await;
    let found = recovered(&log).await;
    assert_eq!(found[0], kept[0]);
    let texts: Vec<&[u8]> = found[1..].iter().map(|(_, record)| &record[..]).collect();
    assert!(texts.is_empty() || texts == [b"open"], "{texts:?}");
    kept = found;
    kept.push(append(&log, "after".into()).await.unwrap());
    assert_eq!(recovered(&open(patient).await).await, kept);
}

async fn damage(server: &Mutex<Postgres>) {
    let settings = settings(&*server.lock().await, "damage");
    let client = server.lock().await.client().await.unwrap();
    let log = open(settings.clone()).await;
    let mut kept = Vec::new();
    for i in 0..8 {
        kept.push(append(&log, format!("record {i}")).await.unwrap());
    }
    for (at, content) in [(2, "first"), (5, "second")] {
        let content = vec![Bytes::from_static(content.as_bytes())];
        log.save_snapshot(kept[at].0, content).await.unwrap();
    }
    let found = async || open(settings.clone()).await.recover().await;
    let run = async |sql: &str| {
        let sql = format!("{sql} AND cell = 'damage'");
        assert_eq!(client.execute(&sql, &[]).await.unwrap(), 1, "{sql}");
    };
    let second = kept[5].0;
    let whole = found().await.unwrap();
    assert_eq!(whole.snapshot.unwrap().0, second);
    assert_eq!(whole.records, kept[6..]);
    run(&format!(
        "UPDATE levada_snapshot SET content = 'x' WHERE position = {second}"
    ))
    .await;
    let longer = found().await.unwrap();
    assert_eq!(
        longer.snapshot,
        Some((kept[2].0, Bytes::from_static(b"first")))
    );
    assert_eq!(longer.records, kept[3..]);
    let (middle, last) = (kept[4].0, kept[7].0);
    for (harm, mend) in [
        (
            format!("UPDATE levada_record SET record = 'xecord 4' WHERE position = {middle}"),
            format!("UPDATE levada_record SET record = 'record 4' WHERE position = {middle}"),
        ),
        (
            format!("UPDATE levada_record SET position = -1 WHERE position = {middle}"),
            format!("UPDATE levada_record SET position = {middle} WHERE position = -1"),
        ),
        (
            format!("UPDATE levada_record SET position = -1 WHERE position = {last}"),
            format!("UPDATE levada_record SET position = {last} WHERE position = -1"),
        ),
    ] {
        run(&harm).await;
        let told = found().await.map(|found| found.records);
        assert!(
            matches!(told, Err(PortError::Corrupt(_))),
            "{harm}: {told:?}"
        );
        run(&mend).await;
    }
    assert_eq!(found().await.unwrap().records, kept[3..]);
    // A new one takes the place of the damaged one, and the whole one stays.
    let log = open(settings.clone()).await;
    log.recover().await.unwrap();
    let third = vec![Bytes::from_static(b"third")];
    log.save_snapshot(kept[6].0, third).await.unwrap();
    let third = kept[6].0;
    run(&format!(
        "UPDATE levada_snapshot SET content = 'x' WHERE position = {third}"
    ))
    .await;
    let again = found().await.unwrap();
    assert_eq!(again.snapshot.unwrap().0, kept[2].0);
    assert_eq!(again.records, kept[3..]);
    let first = kept[2].0;
    run(&format!(
        "DELETE FROM levada_snapshot WHERE position = {first}"
    ))
    .await;
    let told = found().await.map(|found| found.records);
    assert!(matches!(told, Err(PortError::Corrupt(_))), "{told:?}");
}

async fn is_refused(settings: PostgresSettings, part: &str) {
    let refused = PostgresLog::open(Env::real(), settings).await.err();
    let Some(PortError::Rejected(why)) = &refused else {
        panic!("{refused:?}");
    };
    assert!(why.contains(part), "{why}");
}

async fn without_fsync(server: &Mutex<Postgres>) {
    let server = server.lock().await;
    let client = server.client().await.unwrap();
    for fsync in ["off", "on"] {
        let sql = format!("ALTER SYSTEM SET fsync = {fsync}");
        client.execute(&sql, &[]).await.unwrap();
        client
            .execute("SELECT pg_reload_conf()", &[])
            .await
            .unwrap();
        let shows = async || {
            let row = server.client().await.unwrap();
            let row = row.query_one("SHOW fsync", &[]).await.unwrap();
            row.get::<_, String>(0) == fsync
        };
        while !shows().await {
            tokio::task::yield_now().await;
        }
        let settings = settings(&server, "fsync");
        match fsync {
            "off" => is_refused(settings, "fsync = off").await,
            _ => drop(open(settings).await),
        }
    }
}

async fn newer_schema(server: &Mutex<Postgres>) {
    let server = server.lock().await;
    let client = server.client().await.unwrap();
    let settings = settings(&server, "schema");
    drop(open(settings.clone()).await);
    let versions = "SELECT count(*), max(version) FROM levada_schema";
    let row = client.query_one(versions, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i32>(1)), (1, 1));
    let newer = "UPDATE levada_schema SET version = 999";
    client.execute(newer, &[]).await.unwrap();
    is_refused(settings.clone(), "start a newer one").await;
    let back = "UPDATE levada_schema SET version = 1";
    client.execute(back, &[]).await.unwrap();
    drop(open(settings).await);
}
