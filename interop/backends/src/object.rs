//! The journal in a bucket, on SeaweedFS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::join_all;
use levada_env::port::{PortError, Urgency};
use levada_env::{Env, SeededRandom};
use levada_journal::Journal;
use levada_journal::conformance::{
    Faulty, Place, a_crash_of_the_wrapper_takes_what_was_open, conforms,
    each_fault_fires_and_is_counted,
};
use levada_journal::object::{ObjectJournal, ObjectSettings, Patience, S3Settings, open_s3};
use levada_model::Extent;
use object_store::ObjectStoreExt;
use tokio::sync::Mutex;

use crate::runner::Runner;
use crate::servers::Seaweed;

const CHECKS: [&str; 7] = [
    "object: conforms",
    "object: conforms while SeaweedFS is killed at every crash",
    "object: conforms inside the fault wrapper",
    "object: the wrapper's faults fire",
    "object: journals that open together have epochs of their own",
    "object: wrong credentials are refused",
    "object: kill -9 of SeaweedFS under load loses nothing acknowledged",
];

/// Every check, on one server.
///
/// # Errors
/// When the server does not start.
pub fn checks(runner: &mut Runner, weed: &Path) -> Result<()> {
    if !runner.wants(&CHECKS) {
        return Ok(());
    }
    let start = tokio::runtime::Runtime::new()?;
    let server = Arc::new(Mutex::new(start.block_on(Seaweed::start(weed))?));
    let place = |prefix: &str, kill| InBucket {
        server: Arc::clone(&server),
        prefix: prefix.into(),
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
        let journal = place("faults", false).open().await;
        // The suite asks for enough of each fault: the seed decides, not the clock.
        let env = Env::real().with_random(Arc::new(SeededRandom::new(5)));
        each_fault_fires_and_is_counted(env.clone(), Arc::clone(&journal)).await;
        a_crash_of_the_wrapper_takes_what_was_open(env, journal).await;
    });
    runner.check(CHECKS[4], open_together(&server));
    runner.check(CHECKS[5], wrong_credentials(&server));
    runner.check(CHECKS[6], killed_under_load(&server));
    Ok(())
}

/// A journal below a prefix of the bucket.
struct InBucket {
    server: Arc<Mutex<Seaweed>>,
    prefix: String,
    /// Whether a crash takes the server too.
    kill: bool,
}

fn settings(prefix: &str) -> ObjectSettings {
    ObjectSettings {
        prefix: prefix.into(),
        patience: Patience {
            request_time_max: Duration::from_secs(10),
            retry_time_max: Duration::from_secs(60),
        },
        ..ObjectSettings::default()
    }
}

async fn open(s3: &S3Settings, prefix: &str) -> ObjectJournal {
    let opened = open_s3(Env::real(), s3, settings(prefix)).await;
    opened.unwrap()
}

impl Place for InBucket {
    async fn open(&mut self) -> Arc<dyn Journal> {
        let s3 = self.server.lock().await.s3();
        Arc::new(open(&s3, &self.prefix).await)
    }

    async fn crash(&mut self) -> bool {
        if self.kill {
            self.server.lock().await.restart().await.unwrap();
        }
        true
    }

    async fn damage(&mut self, extent: Extent) -> bool {
        let store = self.server.lock().await.store().unwrap();
        let (epoch, number) = (extent.segment.0 >> 40, extent.segment.0 & ((1 << 40) - 1));
        let path = format!("{}/segment/v1/{epoch:06x}/{number:010x}", self.prefix);
        let path = object_store::path::Path::from(path);
        let stored = store.get(&path).await.unwrap().bytes().await.unwrap();
        let mut stored = stored.to_vec();
        let middle = stored.len() - extent.length as usize / 2;
        stored[middle] ^= 16;
        store.put(&path, stored.into()).await.unwrap();
        true
    }

    fn is_shared(&self) -> bool {
        true
    }
}

async fn open_together(server: &Mutex<Seaweed>) {
    let s3 = server.lock().await.s3();
    let journals = join_all((0..12).map(|_| open(&s3, "together"))).await;
    let stage = |journal: &ObjectJournal| journal.stage(Vec::new(), Urgency::Normal).unwrap();
    let staged = journals.iter().map(|journal| stage(journal).extent.segment);
    let mut epochs: Vec<u64> = staged.map(|segment| segment.0 >> 40).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=12).collect::<Vec<u64>>());
}

async fn wrong_credentials(server: &Mutex<Seaweed>) {
    let s3 = S3Settings {
        secret_access_key: "wrong".into(),
        ..server.lock().await.s3()
    };
    let refused = open_s3(Env::real(), &s3, settings("refused")).await.err();
    assert!(
        matches!(refused, Some(PortError::Rejected(_))),
        "{refused:?}"
    );
}

/// What the load keeps in flight, and how often the server is killed under it.
const IN_FLIGHT: u64 = 8;
const KILLS: u32 = 4;
const SEGMENT_BYTES: usize = 200_000;

/// A segment that can be told from every other.
fn body(worker: u64, count: u64) -> Bytes {
    let random = SeededRandom::new(worker << 32 | count);
    let mut bytes = vec![0; SEGMENT_BYTES];
    levada_env::Random::fill(&random, &mut bytes);
    bytes.into()
}

async fn killed_under_load(server: &Mutex<Seaweed>) {
    let s3 = server.lock().await.s3();
    let journal = open(&s3, "load").await;
    let stop = AtomicBool::new(false);
    let worker = |worker: u64| {
        let (journal, stop) = (&journal, &stop);
        async move {
            let mut stored = Vec::new();
            for count in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let staged = journal.stage(vec![body(worker, count)], Urgency::Normal);
                let staged = staged.unwrap();
                // The server comes back within the journal's patience: nothing is left open.
                staged.ticket.await.unwrap();
                stored.push((staged.extent, count));
            }
            stored
        }
    };
    let load = join_all((0..IN_FLIGHT).map(worker));
    let kills = async {
        for round in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(400 + 170 * u64::from(round))).await;
            server.lock().await.restart().await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (stored, ()) = tokio::join!(load, kills);
    let total: usize = stored.iter().map(Vec::len).sum();
    for (worker, stored) in (0..).zip(&stored) {
        assert!(!stored.is_empty(), "worker {worker} stored nothing");
        for (extent, count) in stored {
            assert_eq!(journal.read(*extent).await.unwrap(), body(worker, *count));
        }
    }
    println!("     {KILLS} kills, {total} segments acknowledged, every one read back");
}
