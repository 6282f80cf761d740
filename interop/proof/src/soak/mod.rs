//! A long mixed load with a fault every few seconds: every acknowledgement is kept, and memory, file
//! descriptors, threads and disk do not grow.
//!
//! Half of the time the process is killed now and then, among other faults; in the other half it
//! lives on, so that a slow leak shows.

mod checks;
mod churn;
mod faults;
mod samples;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::load::producer::Pace;
use crate::load::server::{Server, levada};
use crate::load::{Load, Random, Shape};
use crate::mount::SmallDisk;
use crate::proxy::Proxy;
use checks::Checks;
use faults::{Fault, Stage};
use samples::Samples;

const DISK_MIB: u64 = 512;
/// Records of the raw topic live so long; the clients' partitions are kept by size.
const RETENTION: Duration = Duration::from_secs(20);
const CLIENT_RETENTION_BYTES: u64 = 2 << 20;
/// Between two faults.
const QUIET_MS: std::ops::Range<u64> = 1500..5000;
const CHURNERS: u64 = 2;

/// What the broker is started with beside its addresses and folder: everything small, so that an
/// hour sees each limit reached many times.
const SETTINGS: [(&str, &str); 11] = [
    // By default a day: an hour would only ever see the thousands of producers add up.
    ("producers-expiration-ms", "300000"),
    ("storage-file-bytes-max", "8MiB"),
    ("storage-pool-bytes-max", "16MiB"),
    ("storage-reserve-bytes", "8MiB"),
    ("storage-snapshot-bytes", "16MiB"),
    ("storage-disk-slack-bytes", "16MiB"),
    ("storage-maintenance-interval-ms", "1000"),
    ("memory-tail-cache-bytes", "8MiB"),
    ("memory-in-flight-bytes", "8MiB"),
    ("memory-request-bytes", "8MiB"),
    ("memory-response-bytes", "8MiB"),
];
/// What the disk may hold beside 1.5 times the live bytes: the slack, the pool and the reserve of
/// the settings, the log that two snapshots still need, two log files in writing and in release,
/// snapshots.
const SLACK_BYTES: u64 = (16 + 16 + 8 + 2 * 16 + 2 * 8 + 8) << 20;

/// What to do.
pub struct Plan {
    pub binary: PathBuf,
    pub folder: PathBuf,
    pub time: Duration,
    pub seed: u64,
    pub clients: Vec<String>,
}

/// What came of it.
#[derive(Debug, serde::Serialize)]
pub struct Outcome {
    pub minutes: f64,
    pub seed: u64,
    pub acknowledged: u64,
    pub seen: u64,
    pub commits: u64,
    pub checked: u64,
    pub topics_created: u64,
    pub topics_deleted: u64,
    pub connections: u64,
    pub lives: u64,
    pub faults: BTreeMap<&'static str, u64>,
    pub growth: samples::Growth,
    pub violations: Vec<String>,
}

/// Runs it to the end of its time.
///
/// # Errors
/// When something other than the broker is wrong: no mount, no such program.
pub fn run(plan: &Plan) -> Result<Outcome> {
    std::fs::create_dir_all(&plan.folder)?;
    let mount = plan.folder.join("disk");
    let disk = SmallDisk::on_a_loop_device(&mount, DISK_MIB)?;
    let data = mount.join("data");
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let advertised = listener.local_addr()?.to_string();
    let mut settings = SETTINGS.to_vec();
    settings.push(("kafka-advertised", &advertised));
    let command = levada(&plan.binary, &settings);
    let mut server = Server::new(&command, &plan.folder, data.clone())?;
    let proxy = Proxy::start(listener, &server.address)?;
    server.start()?;
    let mut load = Load::start(&shape(plan), &proxy.address, &plan.folder)?;
    let churn = Arc::new(churn::Churn::default());
    for number in 0..CHURNERS {
        let (churn, seed) = (Arc::clone(&churn), plan.seed);
        load.spawn(&proxy.address, move |address, ledger| {
            churn::topics(
                address,
                number,
                Random((seed << 16 | number) | 1),
                &churn,
                ledger,
            );
        });
    }
    let connecting = Arc::clone(&churn);
    load.spawn(&proxy.address, move |address, ledger| {
        churn::connections(address, &connecting, ledger);
    });
    let server = Arc::new(Mutex::new(server));
    let samples = Samples::start(&server, data, Arc::clone(&load.ledger));
    let mut checks = Checks::new(&server, &churn, &load.ledger);
    let mut stage = Stage {
        server: &server,
        proxy: &proxy,
        disk: &disk,
        random: Random(plan.seed | 1),
        fired: BTreeMap::new(),
        lives: 1,
    };
    soak(plan, &mut stage, &mut checks, &samples);
    load.stop();
    checks.at_the_end();
    let growth = samples.close(&load.ledger, &plan.folder.join("samples.csv"));
    if plan.time >= Duration::from_secs(60) {
        stage.require_all(&load.ledger);
    }
    let outcome = Outcome {
        minutes: plan.time.as_secs_f64() / 60.0,
        seed: plan.seed,
        acknowledged: load.ledger.acknowledged(),
        seen: load.ledger.seen(),
        commits: load.ledger.commits(),
        checked: checks.read(),
        topics_created: churn.created(),
        topics_deleted: churn.deleted(),
        connections: churn.connections(),
        lives: stage.lives,
        faults: std::mem::take(&mut stage.fired),
        growth,
        violations: load.ledger.violations(),
    };
    faults::lock(&server).kill()?;
    Ok(outcome)
}

/// The faults, one after the other, with checks in between.
fn soak(plan: &Plan, stage: &mut Stage<'_>, checks: &mut Checks, samples: &Samples) {
    let started = Instant::now();
    let mut told = Instant::now();
    let mut lives_on = false;
    for number in 0.. {
        if started.elapsed() >= plan.time || !stage.is_running() {
            break;
        }
        if !lives_on && started.elapsed() >= plan.time / 2 {
            lives_on = true;
            samples.lives_on();
        }
        thread::sleep(Duration::from_millis(stage.random.within(QUIET_MS)));
        let fault = Fault::choose(number, &mut stage.random, lives_on);
        if let Err(error) = stage.strike(fault) {
            checks.violation(format!("fault {number}, {fault:?}: {error:#}"));
            break;
        }
        checks.after(fault, number);
        if told.elapsed() >= Duration::from_secs(30) {
            told = Instant::now();
            checks.tell(started.elapsed(), &stage.fired);
        }
    }
    checks.still_runs();
}

fn shape(plan: &Plan) -> Shape {
    let setting = |name: &str, value: String| (name.to_owned(), value);
    Shape {
        seed: plan.seed,
        clients: plan.clients.clone(),
        pace: Pace {
            wait: Duration::from_millis(15),
            ..Pace::default()
        },
        session_timeout_ms: 0,
        raw_configs: vec![
            setting("retention.ms", RETENTION.as_millis().to_string()),
            // A batch that was sent again for long is as young as its place in the log.
            setting("message.timestamp.type", "LogAppendTime".into()),
        ],
        client_configs: vec![setting(
            "retention.bytes",
            CLIENT_RETENTION_BYTES.to_string(),
        )],
    }
}
